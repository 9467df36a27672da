from collections.abc import Sequence

import pytest

from pollsvc.errors import Invalid
from pollsvc.polls.choices import ChoiceEdit, ChoicesFixed, arrange_choices
from pollsvc.polls.models import Choice, Poll

Sent = str | tuple[int, str]


def yes_and_no() -> Poll:
    choices = [Choice(id=1, text="Yes", position=0), Choice(id=2, text="No", position=1)]
    return Poll(choices=choices, next_choice_id=3)


def arrange(poll: Poll, sent: Sequence[Sent], *, has_ballots: bool = False) -> list[tuple[int, str]]:
    edits = [ChoiceEdit(None, each) if isinstance(each, str) else ChoiceEdit(*each) for each in sent]
    arrange_choices(poll, edits, has_ballots=has_ballots)
    assert [choice.position for choice in poll.choices] == list(range(len(poll.choices)))
    return [(choice.id, choice.text) for choice in poll.choices]


class TestBeforeTheFirstBallot:
    @pytest.mark.parametrize(
        ("sent", "arranged"),
        [
            pytest.param(["Yes", "No"], [(1, "Yes"), (2, "No")], id="as they are"),
            pytest.param(["No", "Yes"], [(2, "No"), (1, "Yes")], id="another order"),
            pytest.param(["Yes", "No", "Perhaps"], [(1, "Yes"), (2, "No"), (3, "Perhaps")], id="one more"),
            pytest.param(["Yes", "Never"], [(1, "Yes"), (3, "Never")], id="another text is another choice"),
            pytest.param(["yes", "No"], [(3, "yes"), (2, "No")], id="another spelling is another text"),
            pytest.param([(1, "Aye"), (2, "No")], [(1, "Aye"), (2, "No")], id="a new wording, by id"),
            pytest.param([(2, "No"), (1, "Yes")], [(2, "No"), (1, "Yes")], id="another order, by id"),
            pytest.param([(1, "No"), (2, "Yes")], [(1, "No"), (2, "Yes")], id="exchanged, by id"),
            pytest.param([(1, "Aye"), "No"], [(1, "Aye"), (2, "No")], id="one by id, one by its text"),
            pytest.param([(1, "No"), "Yes"], [(1, "No"), (3, "Yes")], id="an id stands before a text"),
            pytest.param(["Left", "Right"], [(3, "Left"), (4, "Right")], id="all new"),
        ],
    )
    def test_choices_are_free(self, sent: list[Sent], arranged: list[tuple[int, str]]) -> None:
        assert arrange(yes_and_no(), sent) == arranged

    def test_first_choices_are_numbered_in_the_order_given(self) -> None:
        assert arrange(Poll(next_choice_id=1), ["B", "A", "C"]) == [(1, "B"), (2, "A"), (3, "C")]

    def test_id_of_a_removed_choice_is_never_given_again(self) -> None:
        poll = yes_and_no()
        arrange(poll, ["Yes", "Perhaps"])

        assert arrange(poll, ["Yes", "No"]) == [(1, "Yes"), (4, "No")]


class TestAfterTheFirstBallot:
    @pytest.mark.parametrize(
        ("sent", "arranged"),
        [
            pytest.param(["Yes", "No"], [(1, "Yes"), (2, "No")], id="as they are"),
            pytest.param(["Yes", "Nope"], [(1, "Yes"), (2, "Nope")], id="a new wording, by place"),
            pytest.param([(1, "Aye"), (2, "Nay")], [(1, "Aye"), (2, "Nay")], id="new wordings, by id"),
            pytest.param([(1, "Aye"), "No"], [(1, "Aye"), (2, "No")], id="one by id, one by its text"),
            pytest.param(["yes", "No"], [(1, "yes"), (2, "No")], id="another spelling"),
        ],
    )
    def test_wording_may_be_mended(self, sent: list[Sent], arranged: list[tuple[int, str]]) -> None:
        assert arrange(yes_and_no(), sent, has_ballots=True) == arranged

    @pytest.mark.parametrize(
        "sent",
        [
            pytest.param(["Yes", "No", "Perhaps"], id="one more"),
            pytest.param([(1, "Yes"), (2, "No"), "Perhaps"], id="one more, by id"),
            pytest.param(["Yes"], id="one less"),
            pytest.param([(1, "Yes")], id="one less, by id"),
            pytest.param([(2, "No"), (1, "Yes")], id="another order, by id"),
            pytest.param(["No", "Yes"], id="exchanged, by text"),
            pytest.param([(1, "No"), (2, "Yes")], id="exchanged, by id"),
            pytest.param(["No", "Perhaps"], id="moved and reworded"),
            pytest.param([(1, "Yes"), "Nope"], id="a new text without its id"),
        ],
    )
    def test_what_ballots_mean_may_not_change(self, sent: list[Sent]) -> None:
        poll = yes_and_no()

        with pytest.raises(ChoicesFixed):
            arrange(poll, sent, has_ballots=True)

        assert [(choice.id, choice.text) for choice in poll.choices] == [(1, "Yes"), (2, "No")]


class TestRefusals:
    @pytest.mark.parametrize("has_ballots", [False, True], ids=["before ballots", "after ballots"])
    @pytest.mark.parametrize(
        ("sent", "field"),
        [
            pytest.param(["Yes", "Yes"], "choices.1", id="the same text"),
            pytest.param(["Yes", "No", "YES"], "choices.2", id="the same but for its case"),
            pytest.param(["Straße", "STRASSE"], "choices.1", id="the same but for its case, in German"),
            pytest.param([(1, "Yes"), (1, "No")], "choices.1", id="the same id"),
            pytest.param([(1, "Yes"), (9, "No")], "choices.1.id", id="an id of no choice"),
            pytest.param([(3, "Yes"), "No"], "choices.0.id", id="an id that is still to come"),
        ],
    )
    def test_field_is_named(self, sent: list[Sent], field: str, has_ballots: bool) -> None:
        with pytest.raises(Invalid) as caught:
            arrange(yes_and_no(), sent, has_ballots=has_ballots)

        assert list(caught.value.fields) == [field]
