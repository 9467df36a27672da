"""`python -m tests.bench`: votes a second on one hot poll, beside a no-op route in the same run.

On SQLite with one web process, and on PostgreSQL and Redis with two. Every vote is another reader's. No-op and votes take
turns, so that what else the machine does falls on both. At the end the database is counted: slots, ballots and 201s agree,
or the status is 1.
"""

import json
import logging
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import click
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pollsvc.config import PREFIX, Settings, fresh_keys
from pollsvc.keys import Keys
from pollsvc.polls.models import Ballot, TallySlot
from pollsvc.polls.tallies import find_differences
from tests.bench import machine, report
from tests.bench.load import Figures, generator, send
from tests.bench.server import NOOP
from tests.databases import migrate, open_engine
from tests.factories import make_poll, make_site, make_voter_token
from tests.live_server import LiveServer
from tests.postgres import PostgresServer
from tests.redis_server import RedisServer

ROOT = Path(__file__).parent.parent.parent
PROGRAM = [sys.executable, "-m", "tests.bench.server"]
#: More than a server answers in a second here; a run that uses its tokens up says so.
MOST_A_SECOND = 4_000
WARM_UP = 2.0


@dataclass
class Setup:
    """One way of running the service, and what it came to."""

    name: str
    arguments: tuple[str, ...]
    rounds: dict[int, list[dict[str, Figures]]] = field(default_factory=dict)
    counted: dict[str, int] = field(default_factory=dict)


SETUPS = {
    "sqlite": Setup("SQLite", ("--workers", "1", "--threads", "8")),
    "postgresql": Setup("PostgreSQL + Redis", ("--workers", "2", "--threads", "8")),
}


@click.command()
@click.option(
    "--database", "databases", multiple=True, type=click.Choice(list(SETUPS)), help="Only this one."
)
@click.option("--clients", multiple=True, type=int, default=(32, 64), show_default=True)
@click.option("--seconds", default=6.0, show_default=True, help="Of each run.")
@click.option("--rounds", default=3, show_default=True, help="Of no-op and votes, in turn.")
@click.option(
    "--out", type=click.Path(path_type=Path), default=ROOT / "bench-results", help="Folder for the figures."
)
def main(
    databases: tuple[str, ...], clients: tuple[int, ...], seconds: float, rounds: int, out: Path
) -> None:
    """Measure, print a table, and keep the figures."""
    logging.getLogger("alembic").setLevel(logging.WARNING)
    facts = {**machine.describe(), "load by": generator()}
    measured = [SETUPS[name] for name in databases or SETUPS]
    for setup in measured:
        measure(setup, clients=clients, seconds=seconds, rounds=rounds, facts=facts)
    told = "\n\n".join([report.table(measured), report.facts(facts)])
    click.echo(told)
    stem = datetime.now(UTC).strftime("votes-%Y%m%dT%H%M%SZ")
    out.mkdir(parents=True, exist_ok=True)
    kept = {"machine": facts, "seconds": seconds, "setups": [asdict(setup) for setup in measured]}
    (out / f"{stem}.json").write_text(json.dumps(kept, indent=1) + "\n")
    (out / f"{stem}.md").write_text(told + "\n")
    click.echo(f"Kept in {out / stem}.json and .md", err=True)
    if not all(report.agrees(setup) for setup in measured):
        raise click.ClickException("Slots, ballots and answers do not agree.")


def measure(
    setup: Setup, *, clients: tuple[int, ...], seconds: float, rounds: int, facts: dict[str, str]
) -> None:
    """Run one setup, with every number of clients."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pollsvc-bench-")))
        given = {PREFIX + name.upper(): key for name, key in fresh_keys().items()}
        given |= stack.enter_context(databases_of(setup, folder, facts))
        # One machine sends everything: the limits are counted as ever, and never reached.
        given |= {"POLLSVC_LIMIT_VOTES": "1000000000/minute", "PYTHONPATH": str(ROOT)}
        settings = Settings.from_environ(given, folder)
        migrate(settings.database_url, settings.keys())
        poll_id = make_hot_poll(settings)
        tokens = Tokens(settings.keys(), folder / "tokens")
        with LiveServer(given, folder, *setup.arguments, program=PROGRAM) as server:
            votes, noop = f"{server.address}/v1/polls/{poll_id}/votes", server.address + NOOP
            sent = [send(votes, tokens.fresh(WARM_UP), clients=min(clients), seconds=WARM_UP)]
            send(noop, tokens.latest, clients=min(clients), seconds=WARM_UP)
            for number in clients:
                setup.rounds[number] = []
                for _ in range(rounds):
                    idle = send(noop, tokens.latest, clients=number, seconds=seconds)
                    sent.append(send(votes, tokens.fresh(seconds), clients=number, seconds=seconds))
                    setup.rounds[number].append({"noop": idle, "votes": sent[-1]})
                    click.echo(report.line(setup.name, number, idle, sent[-1]), err=True)
        # After the server has ended: what was under way when the load stopped is finished and counted, though nobody heard.
        setup.counted = count(settings) | {
            "created": sum(figures.statuses.get(201, 0) for figures in sent),
            "unheard_at_most": len(sent) * max(clients),
        }


@contextmanager
def databases_of(setup: Setup, folder: Path, facts: dict[str, str]) -> Iterator[dict[str, str]]:
    """Start what a setup keeps its data in, with the durability of production."""
    if setup.name == "SQLite":
        yield {"POLLSVC_DATABASE_URL": f"sqlite:///{folder / 'pollsvc.db'}"}
        return
    # No option of its own: fsync, full_page_writes and synchronous_commit are on.
    with PostgresServer(options={}) as postgres, RedisServer() as redis:
        with postgres.connect() as connection:
            row = connection.execute("SHOW server_version").fetchone()
            facts["PostgreSQL"] = str(row[0]) if row else "unknown"
        yield {
            "POLLSVC_DATABASE_URL": postgres.create_database("bench"),
            "POLLSVC_REDIS_URL": redis.url,
        }


class Tokens:
    """A file of voter tokens; the no-op takes the latest, which it does not use up."""

    def __init__(self, keys: Keys, path: Path) -> None:
        self._keys, self.latest, self._next = keys, path, 1

    def fresh(self, seconds: float) -> Path:
        """Write tokens of readers who never voted, enough for so many seconds."""
        first, self._next = self._next, self._next + int(seconds * MOST_A_SECOND)
        lines = [make_voter_token(self._keys, number=number) for number in range(first, self._next)]
        self.latest.write_text("\n".join(lines) + "\n")
        return self.latest


def make_hot_poll(settings: Settings) -> uuid.UUID:
    """Make the one poll that everybody votes in."""
    with opened(settings) as session:
        make_site(session)
        poll_id = make_poll(session).id
        session.commit()
    return poll_id


def count(settings: Settings) -> dict[str, int]:
    """Count what the database holds."""
    with opened(settings) as session:
        return {
            "ballots": session.scalars(select(func.count()).select_from(Ballot)).one(),
            "slots": int(session.scalars(select(func.sum(TallySlot.n))).one()),
            "differences": len(find_differences(session)),
        }


@contextmanager
def opened(settings: Settings) -> Iterator[Session]:
    """Open a session on a setup's database."""
    engine = open_engine(settings.database_url, settings.keys())
    with Session(engine.execution_options(sqlite_write=True), expire_on_commit=False) as session:
        yield session
    engine.dispose()


if __name__ == "__main__":
    main()
