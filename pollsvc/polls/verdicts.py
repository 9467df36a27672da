"""What is handed to the vote's SQL, and what it says."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

#: A gate that says: somebody has this poll to himself, and whoever may not wait has to come back.
BUSY = "busy"


@dataclass(frozen=True)
class NewBallot:
    """What is to be written: choices in ascending order, the time at which the vote came in."""

    poll_id: uuid.UUID
    voter_key: bytes
    choices: list[int]
    tier: str
    now: datetime

    @property
    def second(self) -> datetime:
        """The time as the tally's clock keeps it."""
        return self.now.replace(microsecond=0)

    @property
    def hour(self) -> datetime:
        """The time as the ballot keeps it."""
        return self.now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


@dataclass(frozen=True)
class Verdict:
    """What the database said to a ballot.

    :param gate: ``open``, or why not: ``withdrawn``, ``closed``, ``not_open``, ``unknown_choice``, ``too_many``,
        and ``busy`` where the ballot was not to wait.
    :param is_counted: whether the ballot is now in.
    :param previous: the choices of the voter's earlier ballot, or None.
    :param allow_change: whether the poll lets a voter choose again.
    """

    gate: str
    is_counted: bool
    previous: list[int] | None
    allow_change: bool
