"""`python -m tests.bench.growth`: the same calls on a small and on a large database, in turns.

On PostgreSQL 10 thousand ballots beside 10 million, in two databases of one cluster; on SQLite 10 thousand beside a million.
Votes should keep 0.8 of their rate, reads should not take more than 1.2 times as long, and an export should need no more
memory. At the end every tally is compared with its ballots; the status is 1 where they differ.
"""

import itertools
import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import click

from pollsvc.config import PREFIX, fresh_keys
from tests.bench import report, usage
from tests.bench.filling import HOT_ARTICLE
from tests.bench.grown import SETUPS, Grown, Setup, databases_of, reconcile, serve_grown
from tests.bench.load import Figures, fetch, send
from tests.bench.rows import Row
from tests.factories import make_voter_token
from tests.postgres import PostgresServer

PART = "growth"
VOTES_HOT, VOTES_NEW = "votes, the poll with most ballots", "votes, a new poll"
EXPORT = "export of the poll with most ballots"
#: What is read, and where; newsroom calls carry a token.
READS = {
    "results": "/v1/polls/{poll}/results",
    "polls of an article": f"/v1/articles/polls?article_url={quote(HOT_ARTICLE, safe='')}",
    "staff list": "/v1/polls",
    EXPORT: "/v1/polls/{poll}/export.csv",
}
STAFF = ("staff list", EXPORT)
#: The least share of the small database's rate that is a pass. A call may take 1.2 times as long.
GOALS = {VOTES_HOT: 0.8, VOTES_NEW: 0.8} | dict.fromkeys(READS, 1 / 1.2)
MOST_A_SECOND = 4_000
WARM_UP = 2.0
_NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class Outcome:
    """What a setup came to.

    :param facts: what explains the rows: bytes, seconds, what a vote writes, memory of an export.
    :param is_sound: whether every tally equals its ballots at the end.
    """

    rows: list[Row]
    facts: dict[str, str]
    is_sound: bool


@click.command()
@click.option(
    "--database", "databases", multiple=True, type=click.Choice(list(SETUPS)), help="Only this one."
)
@click.option("--ballots", nargs=2, type=int, help="Small and large; the default depends on the database.")
@click.option("--clients", default=64, show_default=True)
@click.option("--seconds", default=2.0, show_default=True, help="Of each run.")
@click.option("--rounds", default=6, show_default=True, help="Of small and large, in turn.")
@click.option(
    "--setting", "options", multiple=True, help="Of PostgreSQL, such as shared_buffers=2GB; may be repeated."
)
def main(
    *,
    databases: Sequence[str],
    ballots: tuple[int, int] | None,
    clients: int,
    seconds: float,
    rounds: int,
    options: Sequence[str],
) -> None:
    """Measure, and print a table."""
    logging.getLogger("alembic").setLevel(logging.WARNING)
    given = dict(option.split("=", 1) for option in options)
    outcomes = [
        measure(
            SETUPS[name],
            ballots=ballots or SETUPS[name].ballots,
            clients=clients,
            seconds=seconds,
            rounds=rounds,
            options=given,
        )
        for name in databases or SETUPS
    ]
    for outcome in outcomes:
        click.echo(report.table(outcome.rows))
        click.echo(report.facts(outcome.facts))
    if not all(outcome.is_sound for outcome in outcomes):
        raise click.ClickException("Tallies and ballots do not agree.")


def measure(
    setup: Setup,
    *,
    ballots: tuple[int, int],
    clients: int,
    seconds: float,
    rounds: int,
    options: dict[str, str] | None = None,
) -> Outcome:
    """Run one setup on both sizes.

    :param options: settings of PostgreSQL.
    """
    facts: dict[str, str] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pollsvc-growth-")))
        given = {PREFIX + name.upper(): key for name, key in fresh_keys().items()}
        # One machine sends everything: the limits are counted as ever, and never reached.
        given |= dict.fromkeys(("POLLSVC_LIMIT_VOTES", "POLLSVC_LIMIT_STAFF"), "1000000000/minute")
        databases, wal = stack.enter_context(databases_of(setup, folder, ballots, options or {}, facts))
        given |= databases.pop(0)
        grown = [
            stack.enter_context(serve_grown(setup, given | database, folder / str(place), number, facts))
            for place, (database, number) in enumerate(zip(databases, ballots, strict=True))
        ]
        _run(grown, wal, facts, clients=clients, seconds=seconds, rounds=rounds)
        memories = [usage.proportional(each.server.process.pid) for each in grown]
        for each in grown:
            each.server.stop()
        is_sound = [reconcile(each, facts) for each in grown]
    rows = [row for what in grown[0].runs for row in _rows(what, setup.told, clients, grown, memories)]
    return Outcome(rows, facts, all(is_sound))


def _run(
    grown: Sequence[Grown],
    wal: PostgresServer | None,
    facts: dict[str, str],
    *,
    clients: int,
    seconds: float,
    rounds: int,
) -> None:
    for each in grown:
        _vote(each, VOTES_NEW, clients, WARM_UP)
    for what, each in itertools.product((VOTES_HOT, VOTES_NEW, *READS), grown):
        each.runs[what] = []
    turns = [
        (what, each)
        for number in range(rounds)
        for what in (VOTES_HOT, VOTES_NEW, *READS)
        # Now one first, now the other: what the machine does beside grows or fades over seconds.
        for each in (grown if number % 2 else reversed(grown))
    ]
    for what, each in turns:
        before = _written(wal)
        ask = _read if what in READS else _vote
        figures = ask(each, what, clients, seconds)
        each.runs[what].append(figures)
        if wal is not None and what == VOTES_HOT:
            told = f"{(_written(wal) - before) / max(1, figures.statuses.get(201, 0)) / 1024:.1f}"
            name = f"KiB of WAL for a vote at {each.ballots:,}, round by round"
            facts[name] = f"{facts[name]}, {told}" if name in facts else told
        click.echo(f"{what}, {each.ballots:,}: {figures.rate:.0f}/s, p99 {figures.p99:.0f} ms", err=True)
    for each in grown:
        facts[f"peak of a worker at {each.ballots:,}"] = f"{_export_alone(each, clients, seconds):.0f} MiB"


def _vote(each: Grown, what: str, clients: int, seconds: float) -> Figures:
    numbers = itertools.islice(_NUMBERS, int(seconds * MOST_A_SECOND))
    each.tokens.write_text("".join(f"{make_voter_token(each.keys, number=number)}\n" for number in numbers))
    poll = each.filled.hot_poll if what == VOTES_HOT else each.filled.new_poll
    return send(f"{each.server.address}/v1/polls/{poll}/votes", each.tokens, clients=clients, seconds=seconds)


def _read(each: Grown, what: str, clients: int, seconds: float) -> Figures:
    headers = {"Authorization": f"Bearer {each.filled.token}"} if what in STAFF else {}
    url = each.server.address + READS[what].format(poll=each.filled.hot_poll)
    return fetch(url, clients=clients, seconds=seconds, headers=headers)


def _export_alone(each: Grown, clients: int, seconds: float) -> float:
    """Export once more, and give the most that one worker held meanwhile."""
    usage.forget_peaks(each.server.process.pid)
    _read(each, EXPORT, clients, seconds)
    return usage.peak(each.server.process.pid)


def _written(wal: PostgresServer | None) -> int:
    """Bytes of write-ahead log since the cluster began."""
    if wal is None:
        return 0
    with wal.connect() as connection:
        row = connection.execute("SELECT (pg_current_wal_lsn() - '0/0')::bigint").fetchone()
    assert row
    assert isinstance(row[0], int)
    return row[0]


def _rows(
    what: str, setup: str, clients: int, grown: Sequence[Grown], memories: Sequence[float]
) -> Iterator[Row]:
    small, _ = grown
    for each, held in zip(grown, memories, strict=True):
        runs = each.runs[what]
        is_yardstick = each is small
        yield Row(
            part=PART,
            what=_named(what, each),
            setup=setup,
            clients=clients,
            rounds=tuple(runs),
            yardstick=None if is_yardstick else _named(what, small),
            ratios=()
            if is_yardstick
            else tuple(
                run.rate / max(first.rate, 1.0) for run, first in zip(runs, small.runs[what], strict=True)
            ),
            goal=None if is_yardstick else GOALS[what],
            memory=held,
        )


def _named(what: str, each: Grown) -> str:
    return f"{what}, {each.ballots:,} ballots"


if __name__ == "__main__":
    main()
