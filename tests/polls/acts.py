"""What an editor does to a poll, flushed and not committed."""

from typing import Any

from sqlalchemy.orm import Session

from pollsvc.polls.choices import ChoiceEdit
from pollsvc.polls.models import Poll
from pollsvc.polls.service import close_poll, edit_poll, recount_poll, withdraw_poll
from tests.conftest import NOW
from tests.factories import ACTOR


def edit(session: Session, poll: Poll, *, version: int | None = None, **changes: Any) -> Poll:
    """Edit a poll; `version` is the one that was read."""
    return edit_poll(session, poll.id, changes, version=version, actor=ACTOR, now=NOW)


def close(session: Session, poll: Poll) -> Poll:
    """Close a poll."""
    return close_poll(session, poll.id, actor=ACTOR, now=NOW)


def withdraw(session: Session, poll: Poll) -> Poll:
    """Take a poll off every page."""
    return withdraw_poll(session, poll.id, actor=ACTOR, now=NOW)


def recount(session: Session, poll: Poll) -> object:
    """Rebuild a poll's tally."""
    return recount_poll(session, poll.id, actor=ACTOR, now=NOW)


def texts(*choices: str) -> list[ChoiceEdit]:
    """Choices as an editor sends them without ids."""
    return [ChoiceEdit(None, text) for text in choices]
