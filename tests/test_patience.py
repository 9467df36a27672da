"""What is done once more after a cut, and what is told where that fails too."""

from collections.abc import Callable
from itertools import count

import pytest
from sqlalchemy.exc import OperationalError

from pollsvc.patience import again_if_cut

CUT = OperationalError("COMMIT", {}, ValueError(), connection_invalidated=True)
REFUSED = OperationalError("SELECT", {}, ValueError())


def failing(*errors: OperationalError) -> Callable[[], int]:
    """Give the number of the first try for which no error is left."""
    tries = count()

    def act() -> int:
        number = next(tries)
        if number < len(errors):
            raise errors[number]
        return number

    return act


class TestAgainIfCut:
    @pytest.mark.parametrize("is_write", [False, True])
    def test_a_cut_is_tried_once_more_and_nothing_else_is(self, is_write: bool) -> None:
        assert again_if_cut(failing(), is_write=is_write) == 0
        assert again_if_cut(failing(CUT), is_write=is_write) == 1
        with pytest.raises(OperationalError) as raised:
            again_if_cut(failing(REFUSED), is_write=is_write)
        assert raised.value is REFUSED

    @pytest.mark.parametrize(("is_write", "told"), [(False, REFUSED), (True, CUT)], ids=["read", "write"])
    def test_of_a_write_the_cut_is_told_whatever_came_after(
        self, is_write: bool, told: OperationalError
    ) -> None:
        with pytest.raises(OperationalError) as raised:
            again_if_cut(failing(CUT, REFUSED), is_write=is_write)

        assert raised.value is told
