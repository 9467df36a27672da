"""Votes and reads, in turns with routes that do nothing: the parts `votes` and `reads`.

Every vote is another reader's. What is compared takes turns in one run, so that what else the machine does falls on both. At
the end the database is counted: slots, ballots and answers agree.
"""

import bisect
import itertools
import random
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click
from sqlalchemy import func, insert, select
from uuid_utils.compat import uuid7

from pollsvc.polls.models import Ballot, Choice, Poll, TallySlot
from pollsvc.polls.tallies import find_differences
from tests.bench import usage
from tests.bench.load import Figures, fetch, send
from tests.bench.pgbench import measure_sql
from tests.bench.rows import Row
from tests.bench.server import BARE, NOOP
from tests.bench.setups import Running, Setup, running
from tests.factories import make_poll, make_site, make_voter_token

#: More than a server answers in a second here; a run that uses its tokens up says so.
MOST_A_SECOND = 6_000
WARM_UP = 2.0
#: Polls of the second kind of load, drawn by Zipf's law: the n-th is voted on a n-th as often as the first.
MANY_POLLS = 10_000

VOTES, SPREAD = "votes, one hot poll", "votes, 10,000 polls by Zipf"
NOOP_ROUTE, BARE_ROUTE = "no-op with a vote's schema and limits", "bare route"
POLL, RESULTS, UNCHANGED = "a poll", "results", "a poll, 304"

#: Yardstick and goal of each thing measured, by database.
YARDSTICKS = {VOTES: NOOP_ROUTE, SPREAD: VOTES, POLL: BARE_ROUTE, RESULTS: BARE_ROUTE, UNCHANGED: BARE_ROUTE}
GOALS = {
    "PostgreSQL + Redis": {VOTES: 0.5, SPREAD: 0.9, POLL: 0.35, RESULTS: 0.35},
    "SQLite": {VOTES: 0.4},
}


@dataclass
class Measured:
    """What one thing came to, round by round."""

    rounds: list[Figures] = field(default_factory=list)
    service: float = 0.0
    database: float = 0.0


def measure(
    setup: Setup, *, clients: int, seconds: float, rounds: int, facts: dict[str, str]
) -> tuple[list[Row], bool]:
    """Run one setup, and say whether its database agrees with its answers at the end."""
    with running(setup, facts) as service:
        hot, spread = make_polls(service)
        runs = dict(_runs(service, hot, spread, clients))
        for run in runs.values():
            run(WARM_UP)
        found = {what: Measured() for what in runs}
        # Now in this order, now in the opposite one: what else the machine does grows or fades over seconds.
        orders = itertools.cycle((list(runs.items()), list(reversed(runs.items()))))
        for what, run in itertools.chain.from_iterable(itertools.islice(orders, rounds)):
            figures = watched(service, found[what], run, seconds)
            click.echo(f"{setup.name}: {what}: {figures.rate:.0f}/s, p99 {figures.p99:.0f} ms", err=True)
        memory = usage.proportional(service.server.process.pid)
        batches = service.counted("pollsvc_vote_batch_ballots_count")
        ballots = service.counted("pollsvc_vote_batch_ballots_sum") / batches
        facts[f"{setup.name}, ballots committed together"] = f"{ballots:.1f} in the mean"
        service.server.stop()
        told, is_sound = count(
            service, sent=[each for what in (VOTES, SPREAD) for each in found[what].rounds]
        )
        facts[f"{setup.name}, counted"] = told
        rows = [_row(setup, clients, what, found, memory) for what in runs]
        if service.postgres:
            rows += measure_sql(service, hot, clients=clients, seconds=seconds)
    return rows, is_sound


def make_polls(service: Running) -> tuple[uuid.UUID, list[uuid.UUID]]:
    """Make the one poll that everybody votes in, and many others."""
    with service.session() as session:
        site = make_site(session)
        hot = make_poll(session)
        session.flush()
        names = (column.key for column in Poll.__table__.columns)
        like_hot = {name: getattr(hot, name) for name in names}
        others = [uuid7() for _ in range(MANY_POLLS)]
        for some in (
            itertools.batched(others, 500) if hasattr(itertools, "batched") else _batched(others, 500)
        ):
            session.execute(insert(Poll), [{**like_hot, "id": each, "site_id": site.id} for each in some])
            choices = [
                {"poll_id": each, "id": number, "text": text, "position": number - 1}
                for each in some
                for number, text in ((1, "Yes"), (2, "No"))
            ]
            session.execute(insert(Choice), choices)
        session.commit()
        return hot.id, others


def _batched(items: Sequence[uuid.UUID], size: int) -> Iterator[Sequence[uuid.UUID]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _runs(
    service: Running, hot: uuid.UUID, spread: Sequence[uuid.UUID], clients: int
) -> Iterator[tuple[str, Callable[[float], Figures]]]:
    address = service.server.address
    tokens = Tokens(service, spread)

    def vote(path: str, *, is_spread: bool = False) -> Callable[[float], Figures]:
        def run(seconds: float) -> Figures:
            file = tokens.write(seconds, is_spread=is_spread)
            return send(address + path, file, clients=clients, seconds=seconds)

        return run

    def read(path: str, headers: Mapping[str, str] | None = None) -> Callable[[float], Figures]:
        return lambda seconds: fetch(address + path, clients=clients, seconds=seconds, headers=headers or {})

    yield BARE_ROUTE, read(BARE)
    yield NOOP_ROUTE, vote(NOOP)
    yield VOTES, vote(f"/v1/polls/{hot}/votes")
    yield SPREAD, vote(f"/v1/polls/{hot}/votes", is_spread=True)
    yield POLL, read(f"/v1/polls/{hot}")
    yield RESULTS, read(f"/v1/polls/{hot}/results")
    quiet = spread[-1]
    tag = service.server.header(f"/v1/polls/{quiet}", "ETag")
    yield UNCHANGED, read(f"/v1/polls/{quiet}", {"If-None-Match": tag})


class Tokens:
    """Files of voter tokens that were never used."""

    def __init__(self, service: Running, spread: Sequence[uuid.UUID]) -> None:
        self._service = service
        self._path = service.folder / "tokens"
        self._numbers = itertools.count(1)
        self._polls = spread
        # Drawn once, from a fixed seed: each run has the same polls in the same order.
        weights = list(itertools.accumulate(1 / place for place in range(1, len(spread) + 1)))
        draw = random.Random(1)
        self._places = [bisect.bisect(weights, draw.random() * weights[-1]) for _ in range(100_000)]

    def write(self, seconds: float, *, is_spread: bool) -> Path:
        """Write tokens of readers who never voted, enough for so many seconds, each for a poll where polls are many."""
        numbers = itertools.islice(self._numbers, int(seconds * MOST_A_SECOND))
        lines = [make_voter_token(self._service.keys, number=number) for number in numbers]
        if is_spread:
            places = itertools.cycle(self._places)
            lines = [f"/v1/polls/{self._polls[next(places)]}/votes {line}" for line in lines]
        self._path.write_text("\n".join(lines) + "\n")
        return self._path


def watched(service: Running, found: Measured, run: Callable[[float], Figures], seconds: float) -> Figures:
    """Measure once, with the processor's time that service and database take meanwhile."""
    database = service.postgres.pid if service.postgres else None
    before = usage.processor(service.server.process.pid), usage.processor(database)
    figures = run(seconds)
    found.service += usage.processor(service.server.process.pid) - before[0]
    found.database += usage.processor(database) - before[1]
    found.rounds.append(figures)
    return figures


def _row(setup: Setup, clients: int, what: str, found: Mapping[str, Measured], memory: float) -> Row:
    mine, yardstick = found[what], YARDSTICKS.get(what)
    answers = sum(figures.answered for figures in mine.rounds)
    pairs = zip(mine.rounds, found[yardstick].rounds, strict=True) if yardstick else ()
    return Row(
        part="reads" if what in (POLL, RESULTS, UNCHANGED, BARE_ROUTE) else "votes",
        what=what,
        setup=setup.told,
        clients=clients,
        rounds=tuple(mine.rounds),
        yardstick=yardstick,
        ratios=tuple(one.rate / other.rate for one, other in pairs),
        goal=GOALS[setup.name].get(what),
        memory=memory,
        service=mine.service / answers * 1_000,
        database=None if setup.name == "SQLite" else mine.database / answers * 1_000,
    )


def count(service: Running, sent: Sequence[Figures]) -> tuple[str, bool]:
    """Count what the database holds beside what was answered.

    After the server has ended: what was under way when the load stopped is finished and counted, though nobody heard.
    """
    with service.session() as session:
        ballots = session.scalars(select(func.count()).select_from(Ballot)).one()
        slots = int(session.scalars(select(func.sum(TallySlot.n))).one())
        differences = len(find_differences(session))
    answered = sum(figures.statuses.get(201, 0) for figures in sent)
    told = f"{slots} in slots, {ballots} ballots, {answered} measured answers 201, {differences} differences"
    return told, slots == ballots and not differences and answered <= ballots
