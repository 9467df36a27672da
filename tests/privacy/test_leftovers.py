"""What an erasure leaves outside of the tables is cleared away, and again; whoever dies in between loses nothing."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy import select
from sqlalchemy.orm import Session

from pollsvc.outbox.delivery import LEASE
from pollsvc.privacy.leftovers import (
    clear_database_files,
    clear_leftovers,
    is_any_due,
    orphaned_files,
    write_down,
)
from pollsvc.privacy.models import Leftover
from pollsvc.privacy.service import leave_over
from tests.privacy.scene import Scene, count

MESSAGE_ID = "<0123456789abcdef0123456789abcdef@localhost>"


@pytest.fixture
def left(scene: Scene) -> Scene:
    """A file and a row that names it."""
    leave_over(scene.session, [MESSAGE_ID], scene.now())
    scene.session.commit()
    write(scene)
    return scene


def write(scene: Scene) -> None:
    folder = scene.settings.instance / "mail"
    folder.mkdir(exist_ok=True)
    (folder / "0123456789abcdef0123456789abcdef.eml").write_text("To: ada@reader.example")


def clear(scene: Scene) -> None:
    with Session(scene.session.get_bind().engine.execution_options(sqlite_write=True)) as session:
        assert is_any_due(session, scene.now())
        session.rollback()
        assert not clear_leftovers(session, scene.settings, scene.now())
        session.commit()


class TestOrphanedFiles:
    def test_one_that_has_its_last_name_by_now_is_none(self, scene: Scene) -> None:
        folder = scene.settings.instance / "mail"
        folder.mkdir()
        # It is listed, and no longer there when it is looked at.
        (folder / ".abc.part").symlink_to(folder / "gone")

        assert orphaned_files(scene.session, scene.settings, scene.now()) == []


class TestClearLeftovers:
    def test_is_done_at_once_and_again_when_every_lease_is_over(self, left: Scene) -> None:
        clear(left)
        assert left.mails() == []
        assert not is_any_due(left.session, left.now())
        left.session.commit()

        write(left)
        left.later(2 * LEASE + timedelta(seconds=1))
        clear(left)

        assert left.mails() == []
        assert count(left.session, Leftover) == [0]

    def test_is_done_anew_by_who_comes_after_one_that_died(self, left: Scene) -> None:
        with Session(left.session.get_bind().engine.execution_options(sqlite_write=True)) as session:
            clear_leftovers(session, left.settings, left.now())
            # It dies here: nothing is committed.

        assert left.mails() == []
        assert left.session.scalars(select(Leftover.is_last)).all() == [False]

    def test_of_what_another_worker_finished_changes_nothing(self, left: Scene) -> None:
        found = left.session.scalars(select(Leftover.id)).all()
        left.session.execute(sa.delete(Leftover))

        write_down(left.session, found, left.now())

        assert count(left.session, Leftover) == [0]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
class TestWriteAheadLog:
    @pytest.fixture
    def reader(self, left: Scene) -> Iterator[sqlite3.Connection]:
        """Somebody who reads an older state, so that the log must stay."""
        path = str(left.session.get_bind().engine.url.database)
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("BEGIN")
            connection.execute("SELECT count(*) FROM leftover").fetchone()
            leave_over(left.session, [], left.now())
            left.session.commit()
            yield connection

    def test_waits_for_who_reads_and_is_emptied_then(self, left: Scene, reader: sqlite3.Connection) -> None:
        clear(left)
        assert left.session.scalars(select(Leftover.is_last)).all() == [False, False]
        left.session.commit()

        reader.execute("COMMIT")
        clear(left)

        assert left.session.scalars(select(Leftover.is_last)).all() == [True, True]

    def test_is_empty_after(self, left: Scene) -> None:
        engine = left.session.get_bind().engine

        assert clear_database_files(engine)

        assert left.log_size() == 0

    def test_deleted_pages_are_overwritten(self, engine: sa.Engine) -> None:
        with engine.connect() as connection:
            assert connection.exec_driver_sql("PRAGMA secure_delete").scalar() == 1


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
class TestVacuum:
    def test_gives_dead_rows_free(self, planted: Scene) -> None:
        planted.post("/v1/privacy/erasures", {"email": planted.email}, 200, by=planted.staff)
        planted.session.commit()

        planted.work()

        dead = sa.text(
            "SELECT n_dead_tup, vacuum_count FROM pg_stat_user_tables WHERE relname = 'subscriber'"
        )
        with planted.session.get_bind().engine.connect() as connection:
            connection.execute(sa.text("SELECT pg_stat_force_next_flush(), pg_stat_clear_snapshot()"))
            left, vacuums = connection.execute(dead).one()
        assert (left, vacuums > 0) == (0, True)

    def test_leaves_the_connection_as_patient_as_it_was(self, scene: Scene) -> None:
        engine = scene.session.get_bind().engine
        clear_database_files(engine)

        for _ in range(5):
            with engine.connect() as connection:
                assert connection.exec_driver_sql("SHOW statement_timeout").scalar() == "15s"
