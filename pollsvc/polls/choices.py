"""How a poll's choices may be edited: freely before the first ballot, in their wording only after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pollsvc.errors import Conflict, one_field
from pollsvc.polls.models import Choice, Poll


@dataclass(frozen=True)
class ChoiceEdit:
    """One choice as an editor sends it: with the id of the one it is, or None."""

    id: int | None
    text: str


class ChoicesFixed(Conflict):
    """Ballots are in: what they mean must stay."""

    code = "choices_fixed"
    detail = (
        "Ballots are in: choices can be neither added, removed nor reordered. Their wording may be mended; "
        "send each choice with its id."
    )


def arrange_choices(poll: Poll, edits: Sequence[ChoiceEdit], *, has_ballots: bool) -> None:
    """Give a poll these choices, in this order. Ids stay with their choice and are never given again.

    A choice sent without its id is matched by its text; where no choice has an id and ballots are in, by its place.

    :raises Invalid: if an id is not the poll's, or two choices say the same.
    :raises ChoicesFixed: if ballots are in and this is more than a new wording.
    """
    _refuse_repeats(edits)
    known = {choice.id: choice for choice in poll.choices}
    for index, edit in enumerate(edits):
        if edit.id is not None and edit.id not in known:
            raise one_field(f"choices.{index}.id", "This poll has no choice with this id.")
    wanted = _identified(poll, edits, has_ballots=has_ballots)
    if has_ballots:
        _refuse_new_meanings(poll, wanted)
    arranged = []
    for position, (choice_id, text) in enumerate(wanted):
        choice = _new_choice(poll) if choice_id is None else known[choice_id]
        choice.text, choice.position = text, position
        arranged.append(choice)
    poll.choices[:] = arranged


def _new_choice(poll: Poll) -> Choice:
    choice = Choice(id=poll.next_choice_id)
    poll.next_choice_id += 1
    return choice


def _identified(
    poll: Poll, edits: Sequence[ChoiceEdit], *, has_ballots: bool
) -> list[tuple[int | None, str]]:
    named = {edit.id for edit in edits if edit.id is not None}
    if has_ballots and not named and len(edits) == len(poll.choices):
        return [(choice.id, edit.text) for choice, edit in zip(poll.choices, edits, strict=True)]
    by_text = {choice.text: choice.id for choice in poll.choices if choice.id not in named}
    return [(by_text.get(edit.text) if edit.id is None else edit.id, edit.text) for edit in edits]


def _refuse_new_meanings(poll: Poll, wanted: Sequence[tuple[int | None, str]]) -> None:
    if [choice_id for choice_id, _ in wanted] != [choice.id for choice in poll.choices]:
        raise ChoicesFixed
    by_text = {choice.text: choice.id for choice in poll.choices}
    # "No, Yes" in place of "Yes, No" is an exchange of meanings, not a new wording.
    if any(by_text.get(text, choice_id) != choice_id for choice_id, text in wanted):
        raise ChoicesFixed


def _refuse_repeats(edits: Sequence[ChoiceEdit]) -> None:
    texts: set[str] = set()
    ids: set[int] = set()
    for index, edit in enumerate(edits):
        if edit.text.casefold() in texts or edit.id in ids:
            raise one_field(f"choices.{index}", "This choice stands here twice.")
        texts.add(edit.text.casefold())
        if edit.id is not None:
            ids.add(edit.id)
