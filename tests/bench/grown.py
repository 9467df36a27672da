"""A database of a certain size and the service on it, as the growth part measures them."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy.orm import Session

from pollsvc.config import Settings
from pollsvc.keys import Keys
from pollsvc.patience import lift_patience
from pollsvc.polls.tallies import find_differences
from tests.bench import setups
from tests.bench.filling import Filled, fill, sizes
from tests.bench.load import Figures
from tests.databases import migrate, open_engine
from tests.live_server import LiveServer
from tests.postgres import PostgresServer
from tests.redis_server import RedisServer


@dataclass(frozen=True)
class Setup(setups.Setup):
    """A way of running the service, and how many ballots make a small and a large database of it."""

    ballots: tuple[int, int] = (0, 0)


SETUPS = {
    name: Setup(setup.name, setup.workers, setup.threads, ballots=ballots)
    for (name, setup), ballots in zip(
        setups.SETUPS.items(), ((10_000, 1_000_000), (10_000, 10_000_000)), strict=True
    )
}


@dataclass
class Grown:
    """A database of one size, and the service on it."""

    ballots: int
    url: str
    keys: Keys
    filled: Filled
    server: LiveServer
    tokens: Path
    runs: dict[str, list[Figures]] = field(default_factory=dict)


@contextmanager
def databases_of(
    setup: Setup, folder: Path, ballots: tuple[int, int], options: dict[str, str], facts: dict[str, str]
) -> Iterator[tuple[list[dict[str, str]], PostgresServer | None]]:
    """Start what data is kept in, as durable as in production: settings of all, then of each size."""
    if setup.name == "SQLite":
        yield [{}, *({"POLLSVC_DATABASE_URL": f"sqlite:///{folder / f'{n}.db'}"} for n in ballots)], None
        return
    with PostgresServer(options=options) as postgres, RedisServer() as redis:
        with postgres.connect() as connection:
            for name in ("shared_buffers", "max_wal_size", "checkpoint_timeout", "wal_compression"):
                row = connection.execute(f"SHOW {name}").fetchone()
                facts[name] = str(row[0]) if row else "unknown"
        urls = [postgres.create_database(f"grown_{place}") for place in range(len(ballots))]
        yield [{"POLLSVC_REDIS_URL": redis.url}, *({"POLLSVC_DATABASE_URL": url} for url in urls)], postgres


@contextmanager
def serve_grown(
    setup: Setup, given: dict[str, str], folder: Path, ballots: int, facts: dict[str, str]
) -> Iterator[Grown]:
    """Fill a database with so many ballots and serve it."""
    folder.mkdir()
    settings = Settings.from_environ(given, folder)
    migrate(settings.database_url, settings.keys())
    began = time.monotonic()
    filled = fill(settings.database_url, settings.keys(), ballots=ballots)
    took = time.monotonic() - began
    held = sizes(settings.database_url, settings.keys())
    facts[f"{ballots:,} ballots"] = (
        f"{held['bytes'] / 2**20:,.0f} MiB, {held['poll']:,} polls on as many articles, "
        f"{held['tally_slot']:,} slots; filled in {took:.0f} s"
    )
    arguments = ("--workers", str(setup.workers), "--threads", str(setup.threads))
    with LiveServer(given, folder, *arguments) as server:
        yield Grown(ballots, settings.database_url, settings.keys(), filled, server, folder / "tokens")


def reconcile(each: Grown, facts: dict[str, str]) -> bool:
    """Compare every tally with its ballots, and say whether they agree."""
    engine = open_engine(each.url, each.keys)
    with Session(engine) as session:
        lift_patience(session)
        began = time.monotonic()
        differences = find_differences(session)
    engine.dispose()
    told = f"{len(differences)} differences, found in {time.monotonic() - began:.1f} s"
    facts[f"reconcile at {each.ballots:,}"] = told
    return not differences
