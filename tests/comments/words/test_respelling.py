"""Second readings are looked for where there can be one."""

from hypothesis import given
from hypothesis import strategies as st

from pollsvc.comments.words.folding import fold
from pollsvc.comments.words.respelling import _joined, _Words, respellings


class TestRespellings:
    @given(st.text(st.sampled_from("abI1é法.-_•' \n,/:$!\u200b\u0301"), max_size=24))
    def test_the_quick_look_leaves_out_nothing(self, text: str) -> None:
        folded = fold(text)
        joined = list(_joined(_Words(folded, folded.spoken), 3))

        assert list(respellings(folded, 3))[1 : len(joined) + 1] == joined
