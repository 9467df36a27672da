"""`python -m tests.bench`: votes a second on one hot poll, beside a no-op route in the same run.

On SQLite with one web process, and on PostgreSQL and Redis with two. Every vote is another reader's. No-op and votes take
turns, so that what else the machine does falls on both. At the end the database is counted: slots, ballots and 201s agree,
or the status is 1.
"""

import json
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

from pollsvc.keys import Keys, new_encryption_key, new_secret
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
    facts = {**machine.describe(), "load by": generator()}
    for name, fact in facts.items():
        click.echo(f"{name:12} {fact}")
    measured = [SETUPS[name] for name in databases or SETUPS]
    for setup in measured:
        measure(setup, clients=clients, seconds=seconds, rounds=rounds, facts=facts)
    table = report.table(measured)
    click.echo("\n" + table)
    stem = datetime.now(UTC).strftime("votes-%Y%m%dT%H%M%SZ")
    out.mkdir(parents=True, exist_ok=True)
    kept = {"machine": facts, "seconds": seconds, "setups": [asdict(setup) for setup in measured]}
    (out / f"{stem}.json").write_text(json.dumps(kept, indent=1) + "\n")
    (out / f"{stem}.md").write_text(table + "\n")
    click.echo(f"Kept in {out / stem}.json and .md", err=True)
    if not all(report.agrees(setup) for setup in measured):
        raise click.ClickException("Slots, ballots and answers do not agree.")


def measure(
    setup: Setup, *, clients: tuple[int, ...], seconds: float, rounds: int, facts: dict[str, str]
) -> None:
    """Run one setup, with every number of clients."""
    keys_given = {
        "POLLSVC_SECRET_KEY": new_secret(),
        "POLLSVC_HASH_KEY": new_secret(),
        "POLLSVC_ENCRYPTION_KEYS": new_encryption_key(),
    }
    keys = Keys(
        (keys_given["POLLSVC_SECRET_KEY"],),
        keys_given["POLLSVC_HASH_KEY"],
        (keys_given["POLLSVC_ENCRYPTION_KEYS"],),
    )
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pollsvc-bench-")))
        settings = stack.enter_context(databases_of(setup, folder, facts)) | keys_given
        url = settings["POLLSVC_DATABASE_URL"]
        migrate(url, keys)
        poll_id = make_hot_poll(url, keys)
        server = stack.enter_context(
            LiveServer(
                # One machine sends everything: the limits are counted as ever, and never reached.
                {**settings, "POLLSVC_LIMIT_VOTES": "1000000000/minute", "PYTHONPATH": str(ROOT)},
                folder,
                *setup.arguments,
                program=PROGRAM,
            )
        )
        votes, noop = f"{server.address}/v1/polls/{poll_id}/votes", server.address + NOOP
        tokens = Tokens(keys, folder / "tokens")
        sent = [send(votes, tokens.fresh(WARM_UP), clients=min(clients), seconds=WARM_UP)]
        send(noop, tokens.same(), clients=min(clients), seconds=WARM_UP)
        for number in clients:
            setup.rounds[number] = []
            for _ in range(rounds):
                idle = send(noop, tokens.same(), clients=number, seconds=seconds)
                sent.append(send(votes, tokens.fresh(seconds), clients=number, seconds=seconds))
                setup.rounds[number].append({"noop": idle, "votes": sent[-1]})
                click.echo(report.line(setup.name, number, idle, sent[-1]), err=True)
        setup.counted = count(url, keys) | {
            "created": sum(figures.statuses.get(201, 0) for figures in sent),
            # What was under way when the load stopped may be counted, though nobody was there to hear it.
            "unheard": len(sent) * max(clients),
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
    """Files of voter tokens; every fresh one is of readers who never voted."""

    def __init__(self, keys: Keys, path: Path) -> None:
        self._keys, self._path, self._next = keys, path, 1

    def fresh(self, seconds: float) -> Path:
        """Write enough tokens for so many seconds."""
        first, self._next = self._next, self._next + int(seconds * MOST_A_SECOND)
        lines = [make_voter_token(self._keys, number=number) for number in range(first, self._next)]
        self._path.write_text("\n".join(lines) + "\n")
        return self._path

    def same(self) -> Path:
        """Give the tokens that were written last, or some where there are none: the no-op stores nothing."""
        return self._path if self._path.exists() else self.fresh(1)


def make_hot_poll(url: str, keys: Keys) -> uuid.UUID:
    """Make the one poll that everybody votes in."""
    engine = open_engine(url, keys)
    with Session(engine.execution_options(sqlite_write=True)) as session:
        make_site(session)
        poll_id = make_poll(session).id
        session.commit()
    engine.dispose()
    return poll_id


def count(url: str, keys: Keys) -> dict[str, int]:
    """Count what the database holds."""
    engine = open_engine(url, keys)
    with Session(engine) as session:
        found = {
            "ballots": session.scalars(select(func.count()).select_from(Ballot)).one(),
            "slots": int(session.scalars(select(func.sum(TallySlot.n))).one()),
            "differences": len(find_differences(session)),
        }
    engine.dispose()
    return found


if __name__ == "__main__":
    main()
