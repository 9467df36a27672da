"""What the clients of a fault scenario sent, and what came of each request."""

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Try:
    """One request and its end.

    :param vote: number of the vote, which is also its reader's; None for a read of the results.
    :param began: monotonic seconds; ended likewise.
    :param status: of the answer; None where the connection was refused, dropped or given up.
    :param flaw: what is wrong with the answer, in words; empty where it is as promised.
    """

    vote: int | None
    began: float
    ended: float
    status: int | None
    flaw: str = ""

    @property
    def seconds(self) -> float:
        """How long the client waited."""
        return self.ended - self.began

    @property
    def is_answered_vote(self) -> bool:
        """Whether this told a reader that the vote is in."""
        return self.vote is not None and self.status in (200, 201)


class Record:
    """All tries of all clients; written by many threads at once."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._tries: list[Try] = []
        self._sent: set[int] = set()
        self._answered: set[int] = set()
        self._latest = ""

    def send(self, vote: int) -> None:
        """Note that a vote is about to leave: from now on the database may hold it."""
        with self._changed:
            self._sent.add(vote)

    def add(self, tried: Try) -> None:
        """Note the end of a request."""
        with self._changed:
            self._tries.append(tried)
            if tried.vote is not None and tried.is_answered_vote:
                self._answered.add(tried.vote)
            self._changed.notify_all()

    def see(self, as_of: str) -> None:
        """Note what time a result bore. RFC 3339 in UTC, so that the text sorts as the time does."""
        with self._changed:
            self._latest = max(self._latest, as_of)

    @property
    def seen(self) -> tuple[int, str]:
        """How many votes have been answered, and the latest time of a result: what a read that begins now must hold."""
        with self._changed:
            return len(self._answered), self._latest

    @property
    def tries(self) -> list[Try]:
        """The requests that have ended until now."""
        with self._changed:
            return list(self._tries)

    @property
    def sent(self) -> frozenset[int]:
        """The votes that were sent at least once."""
        with self._changed:
            return frozenset(self._sent)

    @property
    def answered(self) -> frozenset[int]:
        """The votes of which a reader was told that they are in."""
        with self._changed:
            return frozenset(self._answered)

    def statuses(self) -> Counter[int | None]:
        """Count the requests by their status."""
        return Counter(tried.status for tried in self.tries)

    def wait_for(self, condition: Callable[[list[Try]], bool], seconds: float) -> bool:
        """Wait until the tries are as asked for; False where they are not in time."""
        with self._changed:
            return self._changed.wait_for(lambda: condition(self._tries), seconds)
