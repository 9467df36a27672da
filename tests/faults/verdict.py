"""What a scenario came to: the clients' record, held against what the database holds."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pollsvc.config import Settings
from pollsvc.keys import Keys
from pollsvc.polls.models import Ballot, TallySlot
from pollsvc.polls.tallies import find_differences
from pollsvc.voters.service import voter_key
from tests.factories import make_voter
from tests.faults.load import choice_of
from tests.faults.record import Record
from tests.faults.scene import opened

#: Seconds within which every request is answered or its connection closed; after them it counts as a hang. The service
#: waits for 15, and these machines are slow now and then.
LONGEST = 17.0


@dataclass(frozen=True)
class Verdict:
    """The figures of one scenario, and what broke a promise.

    :param sent: votes, each of another reader, however often each was sent.
    :param counted: answers 201 and 200 to votes; a vote sent twice has two.
    :param dropped: requests whose connection was refused, dropped or given up.
    :param recovery: seconds from the end of the fault to the first answer 201 to a vote sent after it; None where the
        service was to end.
    :param lost: votes that were answered 2xx and are not in the database.
    :param differences: choices whose tally is not what the ballots say.
    :param flaws: each promise that did not hold, in words.
    :param log: what the service wrote meanwhile.
    """

    scenario: str
    sent: int
    counted: int
    refused: int
    dropped: int
    longest: float
    recovery: float | None
    lost: int
    differences: int
    flaws: tuple[str, ...]
    log: str = field(default="", repr=False)


def judge(
    scenario: str,
    record: Record,
    settings: Settings,
    poll_id: UUID,
    *,
    may_drop: bool,
    ends: bool,
    healed: float,
    flaws: tuple[str, ...] = (),
) -> Verdict:
    """Hold a record against the database.

    :param may_drop: whether a process was killed or stopped, which closes the connections that it had.
    :param ends: whether the service was to end, so that votes may stay without an answer.
    :param healed: when the fault was over, in monotonic seconds.
    :param flaws: what the scenario itself found.
    """
    with opened(settings) as session:
        found = [*flaws, *_broken_answers(record, may_drop=may_drop, ends=ends)]
        differences = find_differences(session, poll_id)
        if differences:
            found.append(f"slots minus ballots: {differences}")
        lost, more = _compare(record, _ballots(session, settings.keys(), poll_id, record), ends=ends)
        found += more + _sums(session, poll_id)
    tries = record.tries
    recovered = [tried.ended for tried in tries if tried.status == 201 and tried.began >= healed]
    return Verdict(
        scenario,
        sent=len(record.sent),
        counted=sum(tried.is_answered_vote for tried in tries),
        refused=record.statuses()[503],
        dropped=record.statuses()[None],
        longest=max((tried.seconds for tried in tries), default=0.0),
        recovery=min(recovered) - healed if recovered else None,
        lost=lost,
        differences=len(differences),
        flaws=tuple(found),
    )


def _broken_answers(record: Record, *, may_drop: bool, ends: bool) -> list[str]:
    tries = record.tries
    found = [
        f"{count} times: {flaw}" for flaw, count in Counter(tried.flaw for tried in tries).items() if flaw
    ]
    late = [tried.seconds for tried in tries if tried.seconds > LONGEST]
    if late:
        found.append(
            f"{len(late)} requests waited longer than {LONGEST:.0f} s, the longest {max(late):.1f} s"
        )
    if (dropped := record.statuses()[None]) and not may_drop:
        found.append(f"{dropped} requests were dropped")
    if (open_ones := record.sent - record.answered) and not ends:
        found.append(f"{len(open_ones)} votes never were answered")
    created = Counter(tried.vote for tried in tries if tried.vote is not None and tried.status == 201)
    if twice := [vote for vote, count in created.items() if count > 1]:
        found.append(f"{len(twice)} votes were answered 201 more than once")
    return found


def _ballots(
    session: Session, keys: Keys, poll_id: UUID, record: Record
) -> dict[int | None, list[list[int]]]:
    """Give the choices of every ballot, by the number of its vote; None collects those that nobody sent."""
    numbers = {voter_key(keys, poll_id, make_voter(number=number)): number for number in record.sent}
    held: dict[int | None, list[list[int]]] = {}
    for key, choices in session.execute(
        select(Ballot.voter_key, Ballot.choices).where(Ballot.poll_id == poll_id)
    ):
        held.setdefault(numbers.get(bytes(key)), []).append(list(choices))
    return held


def _compare(
    record: Record, held: Mapping[int | None, list[list[int]]], *, ends: bool
) -> tuple[int, list[str]]:
    found = []
    lost = [vote for vote in record.answered if vote not in held]
    if lost:
        found.append(f"{len(lost)} votes that were answered are not in the database")
    if strange := held.get(None):
        found.append(f"{len(strange)} ballots were never sent")
    wrong = [vote for vote, ballots in held.items() if vote is not None and ballots != [[choice_of(vote)]]]
    if wrong:
        found.append(f"{len(wrong)} readers have other ballots than they sent")
    return len(lost), found


def _sums(session: Session, poll_id: UUID) -> list[str]:
    ballots = session.scalars(select(func.count()).where(Ballot.poll_id == poll_id)).one()
    of_slots = select(func.sum(TallySlot.n), func.sum(TallySlot.voters)).where(TallySlot.poll_id == poll_id)
    votes, voters = session.execute(of_slots).one()
    if (votes or 0, voters or 0) == (ballots, ballots):
        return []
    return [f"slots hold {votes} votes of {voters} voters, and there are {ballots} ballots"]
