"""The service with nginx in front, started once: each test makes a poll of its own."""

import uuid
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import pytest
from sqlalchemy.orm import Session

from pollsvc.keys import Keys
from tests.conftest import ENVIRON
from tests.databases import SqliteDatabase, open_engine
from tests.factories import make_poll, make_site, make_token
from tests.live_server import LiveServer
from tests.nginx import Nginx, require_program

Made = TypeVar("Made")

#: Fewer than the slow clients of the tests. What is limited is so in one of them only, and by the day.
THREADS = 2
SETTINGS = {
    **{name: text for name, text in ENVIRON.items() if name != "POLLSVC_PUBLIC_URL"},
    "POLLSVC_TRUSTED_PROXIES": "127.0.0.1",
    "POLLSVC_LIMIT_VOTES": "1000000/minute",
    "POLLSVC_LIMIT_VOTERS": "5/day",
}


@pytest.fixture(scope="session")
def nginx_program() -> str:
    """The installed nginx; without one, what asks for it is skipped, or fails where nothing may be skipped."""
    return require_program()


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory, keys: Keys) -> SqliteDatabase:
    """A migrated database with a site."""
    database = SqliteDatabase(tmp_path_factory.mktemp("proxied"), keys)
    _write(database, keys, make_site)
    return database


@pytest.fixture(scope="session")
def service(
    nginx_program: str, installation: SqliteDatabase, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveServer]:
    """The service behind nginx."""
    settings = SETTINGS | {"POLLSVC_DATABASE_URL": installation.url}
    with LiveServer(settings, tmp_path_factory.mktemp("service"), "--threads", str(THREADS)) as server:
        yield server


@pytest.fixture(scope="session")
def proxy(nginx_program: str, service: LiveServer) -> Iterator[Nginx]:
    """nginx as shipped, in front of the service."""
    with Nginx(nginx_program, service.port) as nginx:
        yield nginx


@pytest.fixture
def new_poll(installation: SqliteDatabase, keys: Keys) -> Callable[..., uuid.UUID]:
    """Make a poll: `new_poll(results_visibility="after_vote")`."""

    def make(**changes: Any) -> uuid.UUID:
        return _write(installation, keys, lambda session: make_poll(session, **changes).id)

    return make


@pytest.fixture
def poll_id(new_poll: Callable[..., uuid.UUID]) -> uuid.UUID:
    """A poll that nobody has asked for."""
    return new_poll()


@pytest.fixture(scope="session")
def token(installation: SqliteDatabase, keys: Keys) -> str:
    """An administrator's."""
    return _write(installation, keys, make_token)


def _write(database: SqliteDatabase, keys: Keys, act: Callable[[Session], Made]) -> Made:
    engine = open_engine(database.url, keys)
    with Session(engine.execution_options(sqlite_write=True)) as session:
        made = act(session)
        session.commit()
    engine.dispose()
    return made
