"""Fixtures of the whole suite. What they start is described in the modules they import.

A test that asks for `database_url`, or for anything above it (`session`, `app`, `client`, …), runs on SQLite and on PostgreSQL;
`-k sqlite` or `-m "not postgresql"` picks one. Each such test begins with empty tables.
"""

import dataclasses
import os
from collections.abc import Callable, Generator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest
import redis
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from playwright.sync_api import Browser, Page, sync_playwright
from sqlalchemy.orm import Session

from pollsvc.app import create_app
from pollsvc.config import Settings
from pollsvc.db import db
from pollsvc.keys import Keys
from tests import chromium
from tests.collecting import pytest_collection_finish, pytest_collection_modifyitems  # noqa: F401 (hooks)
from tests.databases import PostgresDatabase, SqliteDatabase, SuiteDatabase, open_engine
from tests.factories import make_token
from tests.kept_engines import engines_of_workers  # noqa: F401 (a fixture)
from tests.live_server import LiveServer
from tests.measuring import pytest_runtest_protocol  # noqa: F401 (a hook)
from tests.postgres import PostgresServer
from tests.redis_server import RedisServer

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)

# Fixed keys: what a test computes today it computes tomorrow. The address is the one that Flask's test client speaks to.
ENVIRON = {
    "POLLSVC_PUBLIC_URL": "http://localhost",
    "POLLSVC_SECRET_KEY": "a-signing-key-that-only-the-tests-know",
    "POLLSVC_HASH_KEY": "a-hash-key-that-only-the-tests-know-of",
    "POLLSVC_ENCRYPTION_KEYS": "cG9sbHN2YydzIHRlc3RzIG9ubHkgcG9sbHN2YydzIHQ=",
}

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where everything is installed, a skipped test is a failed one."""
    report = yield
    return _skips_fail(report)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a module that skips itself."""
    report = yield
    return _skips_fail(report)


def _skips_fail(report: Report) -> Report:
    if chromium.is_required() and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = (
            f"Skipped, although POLLSVC_REQUIRE_BROWSER=1 promises that everything runs: {report.longrepr}"
        )
    return report


@pytest.fixture
def now() -> datetime:
    """A fixed time. Rules are handed it; what goes over HTTP uses the real one, which is later."""
    return NOW


@pytest.fixture(scope="session")
def keys() -> Keys:
    """The keys of ENVIRON."""
    return Settings.from_environ(ENVIRON, Path("/nowhere")).keys()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL cluster for this process of the suite."""
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="session")
def _redis_server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def redis_server(_redis_server: RedisServer) -> Iterator[RedisServer]:
    """A Redis of our own, empty, to be stopped, paused and started again at will."""
    _redis_server.flush()
    yield _redis_server
    _redis_server.restore()


@pytest.fixture
def redis_url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty Redis: the one of POLLSVC_TEST_REDIS_URL (its database is emptied!), or our own."""
    given = os.environ.get("POLLSVC_TEST_REDIS_URL")
    if not given:
        server: RedisServer = request.getfixturevalue("redis_server")
        return server.url
    with redis.Redis.from_url(given, socket_connect_timeout=2, socket_timeout=5) as client:
        client.flushdb()
    return given


@pytest.fixture(scope="session")
def _sqlite(tmp_path_factory: pytest.TempPathFactory, keys: Keys) -> SqliteDatabase:
    return SqliteDatabase(tmp_path_factory.mktemp("sqlite"), keys)


@pytest.fixture(scope="session")
def _postgresql(postgres: PostgresServer, keys: Keys) -> Iterator[PostgresDatabase]:
    made = PostgresDatabase(postgres, "suite", keys)
    yield made
    made.close()


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> SuiteDatabase:
    """A migrated database of each kind, made once. Ask for `database_url` or what is above it to have it emptied.

    Made by fixtures of their own, which last when the tests of a process change between the kinds; and not by arguments, for
    tests on SQLite would start PostgreSQL too.
    """
    made: SuiteDatabase = request.getfixturevalue(f"_{request.param}")
    return made


@pytest.fixture
def database_url(database: SuiteDatabase) -> str:
    """The URL of a migrated, empty database."""
    database.reset()
    return database.url


@pytest.fixture(scope="session")
def _engine(database: SuiteDatabase, keys: Keys) -> Iterator[sa.Engine]:
    engine = open_engine(database.url, keys)
    yield engine
    engine.dispose()


@pytest.fixture
def engine(_engine: sa.Engine, database_url: str) -> sa.Engine:
    """An engine like the application's, beside it. `engine.execution_options(sqlite_write=True)` begins as writers do."""
    return _engine


@pytest.fixture
def session(engine: sa.Engine) -> Iterator[Session]:
    """A session for rules and for looking at what a request left. Commit before a request, and after it to see anew."""
    with Session(engine, expire_on_commit=False) as opened:
        yield opened


@pytest.fixture(scope="session")
def settings(database: SuiteDatabase, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of the application under test; `dataclasses.replace` makes others for `create_app`."""
    return Settings.from_environ(
        {**ENVIRON, "POLLSVC_DATABASE_URL": database.url}, tmp_path_factory.mktemp("installation")
    )


@pytest.fixture(scope="session")
def _application(settings: Settings) -> Iterator[Flask]:
    application = create_app(settings, ring=lambda: None)
    yield application
    close(application)


@pytest.fixture
def app(_application: Flask, database_url: str) -> Flask:
    """The application, on empty tables and with its limits uncounted."""
    reset_limits(_application)
    return _application


@pytest.fixture
def make_app(settings: Settings, database_url: str) -> Iterator[Callable[..., Flask]]:
    """Make another application with other settings: `make_app(limit_votes="3/minute", redis_url=redis_url)`."""
    made: list[Flask] = []

    def make(*, threads: int | None = None, **changes: Any) -> Flask:
        made.append(create_app(dataclasses.replace(settings, **changes), threads, lambda: None))
        return made[-1]

    yield make
    for application in made:
        close(application)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A reader."""
    return app.test_client()


@pytest.fixture
def staff_client(staff_client_with: Callable[..., FlaskClient]) -> FlaskClient:
    """An administrator of the newsroom."""
    return staff_client_with("admin")


@pytest.fixture
def staff_client_with(app: Flask, session: Session) -> Callable[..., FlaskClient]:
    """Make a member of the newsroom with these scopes: `staff_client_with("polls:write")`."""

    def make(*scopes: str) -> FlaskClient:
        token = make_token(session, scopes=scopes)
        session.commit()
        client = app.test_client()
        client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token}"
        return client

    return make


def close(application: Flask) -> None:
    """Close the connections that an application keeps open."""
    with application.app_context():
        for engine in db.engines.values():
            engine.dispose()


def reset_limits(application: Flask) -> None:
    """Forget what was counted against the limits."""
    for limiter in application.extensions["limiter"]:
        limiter.reset()


@pytest.fixture
def live_server(database_url: str, tmp_path: Path) -> Iterator[Callable[..., LiveServer]]:
    """Start the real server: `live_server("--workers", "2", POLLSVC_REDIS_URL=redis_url)`. Ended with the test."""
    started: list[LiveServer] = []

    def start(*arguments: str, **changes: str) -> LiveServer:
        chosen = {name: value for name, value in ENVIRON.items() if name != "POLLSVC_PUBLIC_URL"}
        server = LiveServer(chosen | {"POLLSVC_DATABASE_URL": database_url} | changes, tmp_path, *arguments)
        started.append(server)
        server.start()
        return server

    yield start
    for server in started:
        server.__exit__()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The system's Chromium. Use `watcher` or `page`, which see what a page complains about."""
    with sync_playwright() as playwright:
        opened = chromium.launch(playwright)
        yield opened
        opened.close()


@pytest.fixture
def watcher(browser: Browser, request: pytest.FixtureRequest) -> Iterator[chromium.Watcher]:
    """Open pages: `watcher.page(viewport=…, java_script_enabled=False)`. A word on the console fails the test.

    `@pytest.mark.allows_console("status of 422")` lets those through that the pattern matches.
    """
    opened = chromium.Watcher(browser)
    yield opened
    opened.close()
    marker = request.node.get_closest_marker("allows_console")
    unexpected = opened.unexpected(marker.args[0] if marker else None)
    assert not unexpected, "the page wrote to its console:\n" + "\n".join(unexpected)


@pytest.fixture
def page(watcher: chromium.Watcher) -> Page:
    """A page in a fresh profile."""
    return watcher.page()
