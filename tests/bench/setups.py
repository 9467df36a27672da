"""Ways of running the service, and the service running in one of them with the yardsticks beside its own routes."""

import re
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.orm import Session

from pollsvc.config import PREFIX, Settings, fresh_keys
from pollsvc.keys import Keys
from tests.databases import migrate, open_engine
from tests.live_server import LiveServer
from tests.ports import free_port
from tests.postgres import PostgresServer
from tests.redis_server import RedisServer

ROOT = Path(__file__).parent.parent.parent
PROGRAM = [sys.executable, "-m", "tests.bench.server"]


@dataclass(frozen=True)
class Setup:
    """One way of running the service."""

    name: str
    workers: int
    threads: int
    #: More arguments of the benchmark's own server, such as `--no-pin`.
    more: tuple[str, ...] = ()

    @property
    def told(self) -> str:
        """What runs, in a row's words."""
        workers = "1 worker" if self.workers == 1 else f"{self.workers} workers"
        return " ".join([f"{self.name}, {workers} of {self.threads} threads", *self.more])


SETUPS = {
    "sqlite": Setup("SQLite", 1, 48),
    "postgresql": Setup("PostgreSQL + Redis", 2, 48),
}


@dataclass(frozen=True)
class Running:
    """The service on an empty, migrated database of its own.

    :param metrics: the URL of its metrics, which needs no token.
    :param postgres: where its data is; None on SQLite.
    """

    setup: Setup
    settings: Settings
    keys: Keys
    folder: Path
    server: LiveServer
    metrics: str
    postgres: PostgresServer | None

    def counted(self, name: str) -> float:
        """Give a metric of the service, over all its processes and labels."""
        with urllib.request.urlopen(self.metrics, timeout=20) as response:
            text = response.read().decode()
        found = re.findall(rf"^{re.escape(name)}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE)
        return sum(map(float, found))

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Open a session on the database, beside the service."""
        engine = open_engine(self.settings.database_url, self.keys)
        with Session(engine.execution_options(sqlite_write=True), expire_on_commit=False) as session:
            yield session
        engine.dispose()


@contextmanager
def running(setup: Setup, facts: dict[str, str]) -> Iterator[Running]:
    """Start a setup, with the durability of production."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pollsvc-bench-")))
        given = {PREFIX + name.upper(): key for name, key in fresh_keys().items()}
        # One machine sends everything: the limits are counted as ever, and never reached.
        given |= {f"POLLSVC_LIMIT_{name}": "1000000000/minute" for name in ("VOTES", "COMMENTS")}
        given["PYTHONPATH"] = str(ROOT)
        metrics_port = free_port()
        given["POLLSVC_METRICS_PORT"] = str(metrics_port)
        postgres = None
        if setup.name == "SQLite":
            given["POLLSVC_DATABASE_URL"] = f"sqlite:///{folder / 'pollsvc.db'}"
        else:
            # No option of its own: fsync, full_page_writes and synchronous_commit are on.
            postgres = stack.enter_context(PostgresServer(options={}))
            given["POLLSVC_DATABASE_URL"] = postgres.create_database("bench")
            given["POLLSVC_REDIS_URL"] = stack.enter_context(RedisServer()).url
            with postgres.connect() as connection:
                row = connection.execute("SHOW server_version").fetchone()
                facts["PostgreSQL"] = str(row[0]) if row else "unknown"
        settings = Settings.from_environ(given, folder)
        migrate(settings.database_url, settings.keys())
        # What is measured is what readers wait for.
        arguments = (
            "--workers", str(setup.workers), "--threads", str(setup.threads), "--no-worker", *setup.more
        )  # fmt: skip
        server = stack.enter_context(LiveServer(given, folder, *arguments, program=PROGRAM))
        metrics = f"http://127.0.0.1:{metrics_port}/metrics"
        yield Running(setup, settings, settings.keys(), folder, server, metrics, postgres)
