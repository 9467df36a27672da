"""A migration is made while the release before it writes: nobody who votes is refused, no vote is lost, no sign-up either.

What that release writes stands here as SQL, with the columns that it knows. Before 0003 these are of 0001 and 0002.
"""

import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from pollsvc.keys import Keys
from pollsvc.migrating import is_behind, migrating
from tests.cli.commands import installed
from tests.conftest import ENVIRON
from tests.databases import SuiteDatabase, open_engine
from tests.processes import wait_until

pytestmark = [pytest.mark.live, pytest.mark.slow]

BEFORE = "0002"
THEN = datetime(2026, 3, 1, 8, tzinfo=UTC)


class ReleaseBefore:
    """Writes as the release before does: ballots and events of sign-ups.

    :param url: a database of its schema.
    """

    def __init__(self, url: str, keys: Keys) -> None:
        self.engine = open_engine(url, keys)
        self._writing = self.engine.execution_options(sqlite_write=True)
        self._tables = sa.MetaData()
        self._tables.reflect(self.engine)
        self.poll, self.text, self.person = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
        self.ballots = 0
        self.sign_ups = 0
        self._begin(keys)

    def _begin(self, keys: Keys) -> None:
        site = uuid.uuid4()
        self._insert("site", id=site, name="The Gazette", created_at=THEN)
        self._insert(
            "consent_text",
            id=self.text,
            site_id=site,
            purpose="newsletter",
            version=1,
            body="Yes",
            body_hash=bytes(32),
            created_at=THEN,
            created_by="test",
        )
        self._insert(
            "poll",
            id=self.poll,
            site_id=site,
            question="At night?",
            kind="single",
            results_visibility="always",
            allow_change=False,
            next_choice_id=2,
            version=1,
            created_at=THEN,
            updated_at=THEN,
        )
        self._insert(
            "subscriber",
            id=self.person,
            email=keys.cipher.encrypt(b"ada@reader.example"),
            email_hash=bytes(32),
        )

    def vote(self) -> None:
        self._insert(
            "ballot",
            poll_id=self.poll,
            voter_key=os.urandom(32),
            choices=[1],
            tier="storage",
            state="counted",
            voted_hour=THEN,
        )
        self.ballots += 1

    def sign_up(self) -> None:
        self._insert(
            "consent_event",
            id=uuid.uuid4(),
            kind="requested",
            subscriber_id=self.person,
            text_id=self.text,
            text_hash=bytes(32),
            method="checkbox",
            is_suspect=False,
            occurred_at=THEN,
        )
        self.sign_ups += 1

    def count(self, table: str) -> int:
        with self.engine.connect() as connection:
            return connection.execute(
                sa.select(sa.func.count()).select_from(self._tables.tables[table])
            ).scalar_one()

    def _insert(self, table: str, **row: object) -> None:
        found = self._tables.tables[table]
        with self._writing.begin() as connection:
            connection.execute(found.insert(), {name: self._as_kept(value) for name, value in row.items()})

    def _as_kept(self, value: object) -> object:
        if self.engine.dialect.name != "sqlite":
            return value
        if isinstance(value, uuid.UUID):
            return value.hex
        return value.replace(tzinfo=None) if isinstance(value, datetime) else value


@pytest.fixture
def older_url(request: pytest.FixtureRequest, database: SuiteDatabase, tmp_path: Path) -> Iterator[str]:
    """A database as the release before left it."""
    server = None if database.url.startswith("sqlite") else request.getfixturevalue("postgres")
    url = f"sqlite:///{tmp_path / 'older.db'}" if server is None else server.create_database("older")
    with migrating(url) as alembic:
        alembic.upgrade(BEFORE)
    yield url
    if server is not None:
        server.drop_database("older")


def test_what_the_release_before_writes_meanwhile_is_kept(older_url: str, keys: Keys, tmp_path: Path) -> None:
    before = ReleaseBefore(older_url, keys)
    failed: list[BaseException] = []
    written = threading.Semaphore(0)
    is_over = threading.Event()

    def go_on(act: Callable[[], None]) -> None:
        while not is_over.is_set():
            try:
                act()
            except BaseException as error:  # noqa: BLE001 (told below)
                failed.append(error)
                return
            finally:
                written.release()

    def wait_for_more() -> None:
        for _ in range(200):
            assert written.acquire(timeout=20)

    threads = [threading.Thread(target=go_on, args=(act,)) for act in (before.vote, before.sign_up)]
    for thread in threads:
        thread.start()
    wait_for_more()

    settings = {name: value for name, value in ENVIRON.items() if name != "POLLSVC_PUBLIC_URL"}
    done = installed(tmp_path, "db", "upgrade", **settings, POLLSVC_DATABASE_URL=older_url)
    wait_for_more()
    is_over.set()
    for thread in threads:
        thread.join()

    assert done.returncode == 0, done.stderr
    assert not is_behind(older_url)
    assert failed == []
    assert before.count("ballot") == before.ballots
    assert before.count("consent_event") == before.sign_ups
    before.engine.dispose()


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_who_holds_one_table_and_wants_another_is_not_ended(older_url: str, keys: Keys) -> None:
    """Also where the tables become free one after the other, each of them in time."""
    engine = open_engine(older_url, keys)
    asked = sa.text(
        "SELECT count(*) FROM pg_locks WHERE relation = 'ballot'::regclass AND mode = 'AccessExclusiveLock' "
        "AND (granted OR NOT :is_granted)"
    )

    def wait_for_upgrade(*, is_granted: bool) -> None:
        with engine.connect() as connection:
            wait_until(lambda: bool(connection.scalar(asked, {"is_granted": is_granted})))

    def hold(connection: sa.Connection, table: str) -> None:
        connection.execute(sa.text(f"LOCK TABLE {table} IN ACCESS SHARE MODE"))

    def upgrade() -> None:
        with migrating(older_url) as alembic:
            alembic.upgrade()

    with ThreadPoolExecutor(2) as pool, engine.connect() as writer, ExitStack() as holding:
        hold(writer, "site")
        busy = [holding.enter_context(engine.connect()) for _ in range(3)]
        for connection, table in zip(busy, ("ballot", "correction", "consent_event"), strict=True):
            hold(connection, table)
        upgraded = pool.submit(upgrade)
        wait_for_upgrade(is_granted=False)
        busy[0].rollback()
        wait_for_upgrade(is_granted=True)
        wanted = pool.submit(hold, writer, "ballot")
        for connection in busy[1:]:
            time.sleep(0.4)
            connection.rollback()

        wanted.result(20)

        writer.rollback()
        upgraded.result(60)
    assert not is_behind(older_url)
    engine.dispose()
