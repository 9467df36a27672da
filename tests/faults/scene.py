"""What a fault happens to: `pollsvc serve` with its database, one open poll, and sometimes a Redis."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from pollsvc.config import PREFIX, Settings, fresh_keys
from tests.databases import migrate, open_engine
from tests.factories import make_poll, make_site
from tests.live_server import LiveServer
from tests.postgres import PostgresServer, StandbyServer
from tests.redis_server import RedisServer

#: So many that the load, which comes from one address, is counted and not refused.
PLENTY = "1000000000/minute"
#: As `serve` has them.
THREADS = 48
WORKERS = 2


@dataclass(frozen=True)
class Scene:
    """A service at work; what a scenario has no use for is None.

    :param clock: a file that sets the service's clock.
    """

    settings: Settings
    server: LiveServer
    poll_id: UUID
    postgres: PostgresServer | None = None
    standby: StandbyServer | None = None
    redis: RedisServer | None = None
    clock: Path | None = None

    @property
    def database_file(self) -> Path:
        """Where SQLite keeps everything."""
        return Path(str(sa.make_url(self.settings.database_url).database))


@contextmanager
def on_sqlite(folder: Path | None = None) -> Iterator[Scene]:
    """Serve from a SQLite file, which lies in `folder` where one is named."""
    with _folder() as own:
        environ = {PREFIX + "DATABASE_URL": f"sqlite:///{(folder or own) / 'pollsvc.db'}"}
        with _served(environ, own) as scene:
            yield scene


@contextmanager
def on_postgresql(
    max_connections: int = 100,
    environ: Mapping[str, str] | None = None,
    program: Sequence[str] | None = None,
) -> Iterator[Scene]:
    """Serve from a PostgreSQL with the durability of production; by `program` where that is not `pollsvc serve`."""
    with _folder() as folder, PostgresServer({"max_connections": str(max_connections)}) as postgres:
        given = {PREFIX + "DATABASE_URL": postgres.create_database("faults")}
        with _served(given | dict(environ or {}), folder, program) as scene:
            yield replace(scene, postgres=postgres)


@contextmanager
def on_postgresql_and_redis(environ: Mapping[str, str] | None = None) -> Iterator[Scene]:
    """Serve from a PostgreSQL, with limits counted in a Redis."""
    with _folder() as folder, PostgresServer({}) as postgres, RedisServer() as redis:
        given = {PREFIX + "DATABASE_URL": postgres.create_database("faults"), PREFIX + "REDIS_URL": redis.url}
        with _served(given | dict(environ or {}), folder) as scene:
            yield replace(scene, postgres=postgres, redis=redis)


@contextmanager
def on_primary_and_standby() -> Iterator[Scene]:
    """Serve from a PostgreSQL whose commits wait for a standby, by a URL that names both."""
    with ExitStack() as stack:
        folder = stack.enter_context(_folder())
        primary = stack.enter_context(PostgresServer({}))
        primary.create_database("faults")
        standby = stack.enter_context(StandbyServer(primary, "standby", {}))
        # After the copy was made: a standby that inherits the setting would wait for itself once it is promoted.
        with primary.connect() as connection:
            connection.execute("ALTER SYSTEM SET synchronous_standby_names = 'standby'")
            connection.execute("SELECT pg_reload_conf()")
        hosts = "&".join(f"host=127.0.0.1:{server.port}" for server in (primary, standby))
        url = f"postgresql://postgres@/faults?{hosts}&target_session_attrs=read-write"
        scene = stack.enter_context(_served({PREFIX + "DATABASE_URL": url}, folder))
        yield replace(scene, postgres=primary, standby=standby)


@contextmanager
def opened(settings: Settings) -> Iterator[Session]:
    """Open a session on a scene's database, as the application does."""
    engine = open_engine(settings.database_url, settings.keys())
    with Session(engine.execution_options(sqlite_write=True), expire_on_commit=False) as session:
        yield session
    engine.dispose()


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="pollsvc-faults-") as name:
        yield Path(name)


@contextmanager
def _served(
    environ: Mapping[str, str], folder: Path, program: Sequence[str] | None = None
) -> Iterator[Scene]:
    given = {PREFIX + name.upper(): key for name, key in fresh_keys().items()}
    given |= {PREFIX + "LIMIT_VOTES": PLENTY, PREFIX + "LIMIT_VOTES_PER_VOTER": PLENTY}
    given |= {PREFIX + "LOG_LEVEL": "warning"} | dict(environ)
    settings = Settings.from_environ(given, folder)
    migrate(settings.database_url, settings.keys())
    with opened(settings) as session:
        make_site(session)
        poll_id = make_poll(session).id
        session.commit()
    arguments = ("--workers", str(WORKERS), "--threads", str(THREADS), "--no-worker")
    with LiveServer(given, folder, *arguments, program=program) as server:
        yield Scene(settings, server, poll_id)
