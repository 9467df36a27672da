"""Events are sealed in a chain by one worker at a time, and whatever is done to them afterwards is found."""

import dataclasses
import sqlite3
import threading
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from pollsvc.config import Settings
from pollsvc.consent.chain import (
    FIELDS,
    START,
    TEXT_FIELDS,
    canonical,
    has_unsealed,
    seal_events,
    seal_hash,
    verify_chain,
)
from pollsvc.consent.models import ConsentEvent, ConsentSeal, ConsentText, SignUp, Subscriber
from pollsvc.consent.service import email_hash
from pollsvc.db import Model
from pollsvc.keys import Keys
from pollsvc.worker import Worker
from tests.consent.acts import ADA, ask
from tests.consent.happenings import happen, seal_all
from tests.consent.tampering import nothing_refused
from tests.databases import open_engine
from tests.factories import THEN, make_article, make_consent_text, make_site


@pytest.fixture
def text(session: Session) -> ConsentText:
    made = make_consent_text(session, site=make_site(session))
    session.commit()
    return made


@pytest.fixture
def sealed(session: Session, text: ConsentText, now: datetime) -> list[uuid.UUID]:
    """Six events and their seals."""
    made = happen(session, text, 6)
    seal_all(session, now)
    assert verify_chain(session, now).bad_position is None
    return made


class TestSealEvents:
    def test_positions_count_from_one_without_gaps_in_the_order_of_events(
        self, session: Session, text: ConsentText, now: datetime
    ) -> None:
        made = happen(session, text, 3)
        seal_all(session, now)
        made += happen(session, text, 2)

        seal_all(session, now)

        seals = session.execute(
            select(ConsentSeal.position, ConsentSeal.event_id).order_by(ConsentSeal.position)
        )
        assert [tuple(row) for row in seals] == list(enumerate(made, start=1))

    def test_each_hash_is_over_the_one_before_and_the_first_over_zeros(
        self, session: Session, sealed: list[uuid.UUID]
    ) -> None:
        before = START
        for position, event_id in enumerate(sealed, start=1):
            event = session.get_one(ConsentEvent, event_id)
            expected = seal_hash(
                before,
                {name: getattr(event, name) for name in FIELDS}
                | {f"of_text_{name}": getattr(event.text, name) for name in TEXT_FIELDS},
            )
            seal = session.get_one(ConsentSeal, position)
            assert seal.hash == expected
            before = expected

    def test_event_that_was_committed_late_is_sealed_behind(
        self, session: Session, text: ConsentText, now: datetime
    ) -> None:
        late = uuid7()
        happen(session, text, 2)
        seal_all(session, datetime.now(UTC))
        happen(session, text, id=late)

        seal_all(session, datetime.now(UTC))

        assert session.scalar(select(ConsentSeal.position).where(ConsentSeal.event_id == late)) == 3

    def test_event_that_comes_an_hour_late_waits_for_the_thorough_look(
        self, session: Session, text: ConsentText, sealed: list[uuid.UUID]
    ) -> None:
        hour_ago = uuid.UUID(int=(int(datetime.now(UTC).timestamp() - 3_600) * 1_000) << 80)
        happen(session, text, id=hour_ago)

        seal_all(session, datetime.now(UTC))

        assert not has_unsealed(session, datetime.now(UTC))
        assert has_unsealed(session, datetime.now(UTC), is_thorough=True)
        assert [row["id"] for row in seal_events(session, datetime.now(UTC), is_thorough=True)] == [hour_ago]

    def test_batch_is_bounded(
        self, session: Session, text: ConsentText, now: datetime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("pollsvc.consent.chain.BATCH", 4)
        happen(session, text, 6)

        assert [len(seal_events(session, now)) for _ in range(3)] == [4, 2, 0]

    def test_with_nothing_to_seal_does_nothing(self, session: Session, now: datetime) -> None:
        assert not has_unsealed(session, now)
        assert list(seal_events(session, now)) == []

    @pytest.mark.parametrize("database", ["postgresql"], indirect=True)
    def test_while_another_one_seals_nobody_waits(
        self, session: Session, engine: sa.Engine, text: ConsentText, now: datetime
    ) -> None:
        happen(session, text, 2)
        session.commit()
        with Session(engine) as other:
            seal_events(other, now)

            assert list(seal_events(session, now)) == []
            other.commit()

    def test_workers_at_once_leave_one_chain(
        self, database_url: str, session: Session, keys: Keys, text: ConsentText, now: datetime
    ) -> None:
        happen(session, text, 150)
        session.commit()
        start = threading.Barrier(4)
        failures: list[BaseException] = []

        def work() -> None:
            engine = open_engine(database_url, keys).execution_options(sqlite_write=True)
            try:
                start.wait()
                is_left = True
                while is_left:
                    with Session(engine) as mine:
                        seal_events(mine, now)
                        mine.commit()
                        # None were sealed where another one had the lock just then.
                        is_left = has_unsealed(mine, now)
            except BaseException as error:  # noqa: BLE001 (told by the test)
                failures.append(error)
            finally:
                engine.dispose()

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("pollsvc.consent.chain.BATCH", 3)
            threads = [threading.Thread(target=work) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        verdict = verify_chain(session, now)
        assert failures == []
        assert (verdict.sealed, verdict.bad_position) == (150, None)

    def test_worker_seals_what_was_signed_up(
        self, settings: Settings, session: Session, keys: Keys, text: ConsentText
    ) -> None:
        ask(session, keys, text, datetime.now(UTC))
        session.commit()
        worker = Worker(settings)

        worker.look()

        worker.close()
        verdict = verify_chain(session, datetime.now(UTC) + timedelta(hours=1))
        assert (verdict.sealed, verdict.bad_position, verdict.waiting) == (2, None, 0)


class TestCanonical:
    def test_is_written_in_one_way(self, text: ConsentText) -> None:
        event = dict.fromkeys([*FIELDS, *(f"of_text_{name}" for name in TEXT_FIELDS)]) | {
            "of_text_mode": "explicit",
            "id": uuid.UUID(int=1),
            "text_hash": b"\x01\xff",
            "evidence": {"b": "ü", "a": True},
            "occurred_at": datetime(2026, 3, 1, 8, tzinfo=UTC),
        }

        written = canonical(event).decode()

        assert written.startswith(
            '{"actor":null,"article_id":null,"consent_id":null,"evidence":{"a":true,"b":"ü"},'
        )
        assert '"id":"00000000-0000-0000-0000-000000000001"' in written
        assert '"occurred_at":"2026-03-01T08:00:00.000000+00:00"' in written
        assert '"text_hash":"01ff"' in written
        assert '"mode":"explicit"' in written

    def test_covers_every_column(self) -> None:
        # A column that comes later belongs to a form of its own: the seals made before do not know it.
        assert set(FIELDS) == {column.name for column in ConsentEvent.__table__.columns}


def hexed(session: Session, event_id: uuid.UUID) -> str:
    """An id as it lies in the database."""
    return event_id.hex if session.get_bind().dialect.name == "sqlite" else str(event_id)


CHANGES = {
    "kind": "'confirmed'",
    "consent_id": "NULL",
    "subscriber_id": "id",
    "text_hash": "(SELECT hash FROM consent_seal WHERE position = 1)",
    "origin": "'https://other.example'",
    "method": "'widget'",
    "evidence": "'{}'",
    "actor": "'system'",
    "is_suspect": "NOT is_suspect",
}


class TestVerifyChain:
    def test_empty_one_holds(self, session: Session, now: datetime) -> None:
        verdict = verify_chain(session, now)

        assert (verdict.sealed, verdict.head, verdict.bad_position, verdict.waiting) == (0, START, None, 0)

    @pytest.mark.parametrize("column", CHANGES)
    @pytest.mark.parametrize("position", [1, 4, 6])
    def test_changed_event_is_named(
        self, session: Session, sealed: list[uuid.UUID], now: datetime, column: str, position: int
    ) -> None:
        with nothing_refused(session) as connection:
            changed = hexed(session, sealed[position - 1])
            connection.exec_driver_sql(
                f"UPDATE consent_event SET {column} = {CHANGES[column]} WHERE id = '{changed}'"
            )

        verdict = verify_chain(session, now)

        assert (verdict.bad_position, verdict.sealed) == (position, position - 1)
        assert verdict.fault == "its event, or what its text asks for, was changed, reordered or put in"

    def test_time_moved_by_a_microsecond_is_named(
        self, session: Session, sealed: list[uuid.UUID], now: datetime
    ) -> None:
        with nothing_refused(session) as connection:
            moved = THEN + timedelta(microseconds=1)
            connection.execute(
                sa.update(ConsentEvent).where(ConsentEvent.id == sealed[2]).values(occurred_at=moved)
            )

        assert verify_chain(session, now).bad_position == 3

    @pytest.mark.parametrize("position", [1, 3, 6])
    def test_deleted_event_is_named(
        self, session: Session, sealed: list[uuid.UUID], now: datetime, position: int
    ) -> None:
        with nothing_refused(session) as connection:
            gone = hexed(session, sealed[position - 1])
            connection.exec_driver_sql(f"DELETE FROM consent_event WHERE id = '{gone}'")

        verdict = verify_chain(session, now)

        assert (verdict.bad_position, verdict.fault) == (position, "its event is missing")

    @pytest.mark.parametrize("position", [1, 3])
    def test_event_deleted_with_its_seal_is_named(
        self, session: Session, sealed: list[uuid.UUID], now: datetime, position: int
    ) -> None:
        with nothing_refused(session) as connection:
            connection.exec_driver_sql(f"DELETE FROM consent_seal WHERE position = {position}")
            gone = hexed(session, sealed[position - 1])
            connection.exec_driver_sql(f"DELETE FROM consent_event WHERE id = '{gone}'")

        verdict = verify_chain(session, now)

        assert (verdict.bad_position, verdict.fault) == (position, "it is missing")

    def test_deleted_and_counted_anew_is_named(
        self, session: Session, sealed: list[uuid.UUID], now: datetime
    ) -> None:
        with nothing_refused(session) as connection:
            connection.exec_driver_sql("DELETE FROM consent_seal WHERE position = 3")
            for position in (4, 5, 6):
                connection.exec_driver_sql(
                    f"UPDATE consent_seal SET position = {position - 1} WHERE position = {position}"
                )

        assert verify_chain(session, now).bad_position == 3

    def test_reordered_events_are_named(
        self, session: Session, sealed: list[uuid.UUID], now: datetime
    ) -> None:
        with nothing_refused(session) as connection:
            for position, event_id in ((2, uuid7()), (3, sealed[1]), (2, sealed[2])):
                connection.exec_driver_sql(
                    f"UPDATE consent_seal SET event_id = '{hexed(session, event_id)}' WHERE position = {position}"
                )

        assert verify_chain(session, now).bad_position == 2

    def test_foreign_event_in_another_ones_place_is_named(
        self, session: Session, text: ConsentText, sealed: list[uuid.UUID], now: datetime
    ) -> None:
        (foreign,) = happen(session, text)
        with nothing_refused(session) as connection:
            connection.exec_driver_sql(
                f"UPDATE consent_seal SET event_id = '{hexed(session, foreign)}' WHERE position = 5"
            )

        assert verify_chain(session, now).bad_position == 5

    def test_seal_before_the_first_is_named(
        self, session: Session, text: ConsentText, sealed: list[uuid.UUID], now: datetime
    ) -> None:
        (foreign,) = happen(session, text)
        session.add(ConsentSeal(position=0, event_id=foreign, hash=bytes(32), sealed_at=now))
        session.commit()

        assert verify_chain(session, now).bad_position == 1

    def test_changed_text_is_named_by_the_first_event_that_shows_it(
        self, session: Session, text: ConsentText, sealed: list[uuid.UUID], now: datetime
    ) -> None:
        with nothing_refused(session) as connection:
            connection.exec_driver_sql("UPDATE consent_text SET body = 'Send me everything.'")
        session.expire_all()

        verdict = verify_chain(session, now)

        assert (verdict.bad_position, verdict.fault) == (1, "the text that was shown was changed")

    def test_what_a_text_asks_for_cannot_be_changed_unseen(
        self, session: Session, sealed: list[uuid.UUID], now: datetime
    ) -> None:
        with nothing_refused(session) as connection:
            connection.exec_driver_sql("UPDATE consent_text SET mode = 'notice_only'")
        session.expire_all()

        assert verify_chain(session, now).bad_position == 1

    def test_walk_goes_page_by_page(
        self,
        session: Session,
        text: ConsentText,
        sealed: list[uuid.UUID],
        now: datetime,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("pollsvc.consent.chain._PAGE", 2)
        with nothing_refused(session) as connection:
            connection.exec_driver_sql("DELETE FROM consent_seal WHERE position = 6")

        assert verify_chain(session, now).sealed == 5

    def test_chain_made_anew_differs_from_the_hash_that_was_kept(
        self, session: Session, sealed: list[uuid.UUID], now: datetime
    ) -> None:
        kept = session.get_one(ConsentSeal, 4)
        expected = (kept.position, kept.hash)
        with nothing_refused(session) as connection:
            first = hexed(session, sealed[0])
            connection.exec_driver_sql(f"UPDATE consent_event SET method = 'widget' WHERE id = '{first}'")
            connection.exec_driver_sql("DELETE FROM consent_seal")
        seal_all(session, now)

        assert verify_chain(session, now).bad_position is None
        verdict = verify_chain(session, now, expected=expected)
        assert (verdict.bad_position, verdict.sealed) == (4, 3)

    def test_end_that_was_cut_off_differs_from_the_hash_that_was_kept(
        self, session: Session, sealed: list[uuid.UUID], now: datetime
    ) -> None:
        kept = session.get_one(ConsentSeal, 6)
        expected = (kept.position, kept.hash)
        assert verify_chain(session, now, expected=expected).bad_position is None
        with nothing_refused(session) as connection:
            connection.exec_driver_sql("DELETE FROM consent_seal WHERE position > 4")

        verdict = verify_chain(session, now, expected=expected)

        assert verdict.bad_position == 5
        assert "its end is missing" in str(verdict.fault)

    def test_events_that_should_be_sealed_by_now_are_counted(
        self, session: Session, text: ConsentText, sealed: list[uuid.UUID]
    ) -> None:
        happen(session, text, 2)
        moment = datetime.now(UTC)

        counts = [verify_chain(session, moment + timedelta(minutes=late)).waiting for late in (1, 6)]

        assert counts == [0, 2]


class TestAppendOnly:
    @pytest.mark.parametrize("table", ["consent_text", "consent_event", "consent_seal", "audit_entry"])
    @pytest.mark.parametrize("database", ["postgresql"], indirect=True)
    def test_is_not_emptied_by_truncate(self, session: Session, sealed: list[uuid.UUID], table: str) -> None:
        with pytest.raises(IntegrityError, match="is append-only"):
            session.execute(sa.text(f"TRUNCATE {table} CASCADE"))

    @pytest.mark.parametrize("table", ["consent_text", "consent_event", "consent_seal", "audit_entry"])
    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    def test_row_is_not_replaced_by_another_one(
        self, session: Session, sealed: list[uuid.UUID], table: str
    ) -> None:
        with pytest.raises(IntegrityError, match=f"{table} is append-only"):
            session.execute(sa.text(f"INSERT OR REPLACE INTO {table} SELECT * FROM {table}"))

    @pytest.mark.parametrize(
        ("table", "given"),
        [
            ("consent_text", {}),
            ("consent_text", {"id": "randomblob(16)"}),
            ("consent_text", {"id": "randomblob(16)", "version": "version + 1", "rowid": "rowid"}),
            ("consent_event", {}),
            ("consent_event", {"id": "randomblob(16)", "rowid": "rowid"}),
            ("consent_seal", {}),
            ("consent_seal", {"position": "position + 100"}),
            ("consent_seal", {"event_id": "randomblob(16)"}),
            ("audit_entry", {}),
            ("audit_entry", {"id": "randomblob(16)", "rowid": "rowid"}),
        ],
    )
    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    def test_row_is_replaced_by_no_connection_either_that_knows_nothing_of_us(
        self, session: Session, sealed: list[uuid.UUID], *, table: str, given: dict[str, str]
    ) -> None:
        columns = {column.name: column.name for column in Model.metadata.tables[table].columns} | given
        stranger = sqlite3.connect(str(session.get_bind().engine.url.database))
        before = stranger.execute(f"SELECT * FROM {table}").fetchall()
        statement = f"({', '.join(columns)}) SELECT {', '.join(columns.values())} FROM {table}"

        with pytest.raises(sqlite3.IntegrityError, match=f"{table} is append-only"):
            stranger.execute(f"INSERT OR REPLACE INTO {table} {statement}")

        assert stranger.execute(f"SELECT * FROM {table}").fetchall() == before != []
        stranger.close()

    @pytest.mark.parametrize("statement", ["UPDATE consent_seal SET hash = hash", "DELETE FROM consent_seal"])
    def test_seal_is_neither_changed_nor_deleted(
        self, session: Session, sealed: list[uuid.UUID], statement: str
    ) -> None:
        with pytest.raises(IntegrityError, match="consent_seal is append-only"):
            session.execute(sa.text(statement))


@pytest.fixture
def of_release_before(session: Session, keys: Keys, text: ConsentText) -> Callable[..., uuid.UUID]:
    """Sign somebody up as the release before does it: a person's row and an event without a consent."""

    def sign_up(email: str = ADA, **changes: Any) -> uuid.UUID:
        hashed = email_hash(keys, email)
        person = session.scalar(select(Subscriber.id).where(Subscriber.email_hash == hashed))
        if person is None:
            person = uuid.uuid4()
            session.add(Subscriber(id=person, email=email, email_hash=hashed))
        article = make_article(session)
        given = {"consent_id": None, "evidence": None, "subscriber_id": person, "article_id": article.id}
        (event,) = happen(session, text, **(given | changes))
        session.commit()
        return event

    return sign_up


class TestEventsOfTheReleaseBefore:
    def test_become_sign_ups_that_are_confirmed_as_any_other(
        self, settings: Settings, session: Session, of_release_before: Callable[..., uuid.UUID]
    ) -> None:
        first = of_release_before()
        worker = Worker(settings)

        worker.look()  # seals it, and makes the sign-up
        worker.look()  # decides that

        worker.close()
        session.expire_all()
        later = session.scalars(
            select(ConsentEvent).where(ConsentEvent.consent_id.is_not(None)).order_by(ConsentEvent.id)
        ).all()
        assert [event.kind for event in later] == ["requested", "confirmation_sent"]
        assert (later[0].evidence or {})["first_event"] == str(first)
        assert later[0].occurred_at == THEN
        assert session.scalars(select(SignUp)).all() == []
        assert session.scalars(select(Subscriber.email)).all() == [ADA]

    def test_are_adopted_once(
        self, settings: Settings, session: Session, of_release_before: Callable[..., uuid.UUID]
    ) -> None:
        of_release_before()
        worker = Worker(settings)

        for _ in range(4):
            worker.look()

        worker.close()
        kinds = session.scalars(select(ConsentEvent.kind).order_by(ConsentEvent.id)).all()
        assert kinds == ["requested", "requested", "confirmation_sent"]

    def test_person_who_is_known_otherwise_keeps_the_row(
        self,
        settings: Settings,
        session: Session,
        keys: Keys,
        text: ConsentText,
        of_release_before: Callable[..., uuid.UUID],
    ) -> None:
        known = ask(session, keys, text, datetime.now(UTC)).subscriber_id
        session.commit()
        of_release_before()
        worker = Worker(dataclasses.replace(settings))

        worker.look()
        worker.look()

        worker.close()
        assert session.scalars(select(Subscriber.id)).all() == [known]

    @pytest.mark.parametrize(
        "changes",
        [
            pytest.param({"subscriber_id": uuid.uuid4()}, id="of a person who was erased"),
            pytest.param({"article_id": None}, id="without an article"),
        ],
    )
    def test_that_nobody_can_be_asked_about_stay_events(
        self,
        settings: Settings,
        session: Session,
        of_release_before: Callable[..., uuid.UUID],
        changes: dict[str, Any],
    ) -> None:
        of_release_before(**changes)
        worker = Worker(settings)

        worker.look()
        worker.look()

        worker.close()
        assert len(session.scalars(select(ConsentEvent)).all()) == 1
        assert session.scalars(select(SignUp)).all() == []
