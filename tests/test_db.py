"""Column types, engines and sessions on both databases."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import pytest
import sqlalchemy as sa
from flask import Flask
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy.exc import StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from pollsvc.corrections.models import Correction
from pollsvc.db import (
    EncryptedText,
    Installation,
    UtcDateTime,
    WrongHashKey,
    db,  # noqa: TID251 (these are its tests)
    engine_options,
    insert_into,
    prepare_engine,
    remember_hash_key,
)
from pollsvc.keys import Keys, new_encryption_key
from pollsvc.patience import lift_patience
from pollsvc.staff.models import StaffToken
from tests.conftest import ENVIRON
from tests.databases import open_engine
from tests.factories import make_correction, make_site, make_token

EMAIL = "ada@reader.example"


def keys_with(*ciphers: str, hash_key: str = ENVIRON["POLLSVC_HASH_KEY"]) -> Keys:
    return Keys([ENVIRON["POLLSVC_SECRET_KEY"]], hash_key, ciphers or (ENVIRON["POLLSVC_ENCRYPTION_KEYS"],))


class TestEncryptedText:
    @pytest.fixture
    def correction(self, session: Session, keys: Keys) -> Correction:
        make_site(session)
        correction = make_correction(session, keys=keys, email=EMAIL, message="Two decks, \u00fc \U0001f4f0.")
        session.commit()
        return correction

    def test_comes_back_as_it_was(self, session: Session, correction: Correction) -> None:
        session.expire_all()

        assert (correction.email, correction.message) == (EMAIL, "Two decks, \u00fc \U0001f4f0.")
        assert correction.quote is None

    def test_lies_encrypted_in_the_database(self, session: Session, correction: Correction) -> None:
        (row,) = session.execute(sa.text("SELECT name, email, message, quote FROM correction")).all()

        assert row.quote is None
        for column in (row.name, row.email, row.message):
            assert bytes(column).startswith(b"gAAAA")
            for word in (b"Ada", b"reader.example", b"decks"):
                assert word not in bytes(column)

    def test_the_same_text_never_lies_there_twice(
        self, session: Session, keys: Keys, correction: Correction
    ) -> None:
        make_correction(session, keys=keys, email=EMAIL)
        session.flush()

        stored = session.scalars(sa.text("SELECT email FROM correction")).all()

        assert len({bytes(each) for each in stored}) == 2

    def test_is_read_under_an_old_key_and_written_under_the_new(
        self, database_url: str, session: Session, correction: Correction
    ) -> None:
        newer = new_encryption_key()
        rotated = open_engine(database_url, keys_with(newer, ENVIRON["POLLSVC_ENCRYPTION_KEYS"]))
        with Session(rotated.execution_options(sqlite_write=True)) as other:
            read = other.get_one(Correction, correction.id)
            assert read.email == EMAIL
            read.email = "ada@elsewhere.example"
            other.commit()
        rotated.dispose()

        only_new = open_engine(database_url, keys_with(newer))
        with Session(only_new) as other:
            query = sa.select(Correction.email).where(Correction.id == correction.id)
            assert other.scalar(query) == "ada@elsewhere.example"
        only_new.dispose()

    def test_of_another_installation_is_not_read(self, database_url: str, correction: Correction) -> None:
        stranger = open_engine(database_url, keys_with(new_encryption_key()))

        with Session(stranger) as other:
            assert other.scalars(sa.select(Correction.email)).all() == [None]

        stranger.dispose()

    def test_keys_hang_on_the_engine(
        self, database_url: str, session: Session, correction: Correction
    ) -> None:
        stranger = open_engine(database_url, keys_with(new_encryption_key()))
        session.expire_all()

        assert correction.email == EMAIL
        stranger.dispose()


class TestUtcDateTime:
    @pytest.mark.parametrize(
        ("given", "kept"),
        [
            (
                datetime(2026, 3, 2, 9, 30, 0, 123_456, tzinfo=UTC),
                datetime(2026, 3, 2, 9, 30, 0, 123_456, tzinfo=UTC),
            ),
            (
                datetime(2026, 3, 2, 0, 30, tzinfo=timezone(timedelta(hours=2))),
                datetime(2026, 3, 1, 22, 30, tzinfo=UTC),
            ),
            (datetime(1, 1, 1, tzinfo=UTC), datetime(1, 1, 1, tzinfo=UTC)),
            (datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ],
        ids=str,
    )
    def test_is_kept_in_utc(self, session: Session, given: datetime, kept: datetime) -> None:
        make_token(session, expires_at=given)
        session.commit()
        session.expire_all()

        found = session.scalars(sa.select(StaffToken)).one().expires_at

        assert found == kept
        assert found is not None
        assert found.tzinfo is UTC

    def test_may_be_none(self, session: Session) -> None:
        make_token(session, expires_at=None)
        session.commit()
        session.expire_all()

        assert session.scalars(sa.select(StaffToken)).one().expires_at is None

    def test_without_a_zone_is_refused(self, session: Session) -> None:
        with pytest.raises(StatementError, match="a naive datetime has no place in the database"):
            session.execute(sa.select(sa.bindparam("at", datetime(2026, 3, 2), UtcDateTime)))  # noqa: DTZ001

    def test_compares_as_time_and_not_as_text(self, session: Session) -> None:
        make_token(session, expires_at=datetime(2026, 3, 2, 0, 30, tzinfo=timezone(timedelta(hours=2))))
        session.flush()

        an_hour_later = datetime(2026, 3, 1, 23, 0, tzinfo=UTC)
        assert (
            len(session.scalars(sa.select(StaffToken).where(StaffToken.expires_at < an_hour_later)).all())
            == 1
        )

    @hypothesis_settings(
        max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(st.datetimes(timezones=st.timezones(), allow_imaginary=False))
    def test_any_aware_time_comes_back(self, engine: sa.Engine, moment: datetime) -> None:
        dialect = engine.dialect
        try:
            moment.astimezone(UTC)
        except OverflowError:
            return
        column = UtcDateTime()

        kept = column.process_result_value(column.process_bind_param(moment, dialect), dialect)

        # In UTC: in an hour that a zone repeats, Python holds its times to be unequal to those of any other zone (PEP 495).
        assert kept == moment.astimezone(UTC)


class TestEngine:
    def test_of_sqlite_survives_a_power_cut_and_waits_for_locks(self, engine: sa.Engine) -> None:
        if engine.dialect.name != "sqlite":
            expected = {"synchronous_commit": "on", "statement_timeout": "15s", "lock_timeout": "14500ms"}
            expected |= {"TimeZone": "UTC", "idle_in_transaction_session_timeout": "1min"}
            query = "SHOW {}"
        else:
            expected = {
                "synchronous": "2",
                "foreign_keys": "1",
                "busy_timeout": "15000",
                "journal_mode": "wal",
            }
            query = "PRAGMA {}"

        with engine.connect() as connection:
            found = {name: str(connection.scalar(sa.text(query.format(name)))) for name in expected}

        assert found == expected

    def test_holds_no_more_connections_than_it_may(self, database_url: str, keys: Keys) -> None:
        options = engine_options(database_url, 1) | {"pool_timeout": 0.05}
        engine = sa.create_engine(**options)
        prepare_engine(engine, keys)

        with engine.connect(), pytest.raises(PoolTimeout):
            engine.connect()

        engine.dispose()


class TestSessions:
    def test_that_read_and_write_are_two(self, app: Flask) -> None:
        with app.app_context():
            assert len({id(each) for each in (db.session, db.writing)}) == 2

    def test_are_the_same_within_a_request_and_others_after(self, app: Flask) -> None:
        with app.app_context():
            first = db.writing
            assert db.writing is first
        with app.app_context():
            assert db.writing is not first

    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    def test_that_writes_takes_the_lock_of_sqlite_when_it_begins(
        self, make_app: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("pollsvc.db.PATIENCE", 0.05)
        app = make_app()
        with app.app_context():
            db.writing.execute(sa.text("SELECT 1"))
            with app.app_context():
                db.session.execute(sa.text("SELECT 1 FROM poll"))
                with pytest.raises(sa.exc.OperationalError, match="database is locked"):
                    db.writing.execute(sa.text("SELECT 1"))

    @pytest.mark.parametrize("database", ["postgresql"], indirect=True)
    def test_that_votes_commits_each_statement_on_postgresql(self, app: Flask, session: Session) -> None:
        with app.app_context(), Session(db.engines["voting"]) as voting:
            voting.execute(sa.insert(Installation).values(name="x", value="y"))
            session.rollback()
            assert session.get(Installation, "x") is not None
            voting.execute(sa.delete(Installation).where(Installation.name == "x"))

    def test_that_is_left_without_a_commit_changes_nothing(self, app: Flask, session: Session) -> None:
        with app.app_context():
            make_token(db.writing)

        assert session.scalars(sa.select(StaffToken)).all() == []


class TestLiftPatience:
    @pytest.mark.parametrize("database", ["postgresql"], indirect=True)
    def test_statements_of_this_transaction_have_no_bound_and_later_ones_have(self, session: Session) -> None:
        asked = sa.text("SHOW statement_timeout")

        lift_patience(session)

        assert session.scalar(asked) == "0"
        session.commit()
        assert session.scalar(asked) == "15s"

    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    def test_sqlite_has_no_bound_to_lift(self, session: Session) -> None:
        lift_patience(session)

        assert session.scalar(sa.text("SELECT 1")) == 1


class TestRememberHashKey:
    def test_the_same_key_is_welcome_again(self, session: Session, keys: Keys) -> None:
        remember_hash_key(session, keys)

        assert session.get_one(Installation, "hash_key").value == keys.fingerprint()

    def test_another_key_is_refused_with_what_to_do(self, session: Session) -> None:
        with pytest.raises(WrongHashKey, match="Put the old key back"):
            remember_hash_key(session, keys_with(hash_key="another-hash-key-of-the-same-length-as"))

    def test_rotated_signing_and_encryption_keys_are_welcome(self, session: Session) -> None:
        rotated = Keys(["n" * 32], ENVIRON["POLLSVC_HASH_KEY"], [new_encryption_key()])

        remember_hash_key(session, rotated)

    def test_the_key_itself_is_not_stored(self, session: Session) -> None:
        stored = session.scalars(sa.select(Installation.value)).all()

        assert ENVIRON["POLLSVC_HASH_KEY"] not in "".join(stored)

    def test_the_first_start_writes_it_down(self, session: Session, keys: Keys) -> None:
        session.execute(sa.delete(Installation))

        remember_hash_key(session, keys)

        assert session.get_one(Installation, "hash_key").value == keys.fingerprint()
        session.rollback()


class TestInsertInto:
    def test_knows_on_conflict_on_both_databases(self, session: Session) -> None:
        for value in ("first", "second"):
            insert = insert_into(session, Installation).values(name="x", value=value)
            session.execute(insert.on_conflict_do_nothing(index_elements=["name"]))

        assert session.get_one(Installation, "x").value == "first"
        session.rollback()


class TestModel:
    def test_a_column_of_text_is_never_encrypted_by_accident(self) -> None:
        encrypted = {
            f"{mapper.local_table.name}.{column.name}"  # type: ignore[attr-defined]
            for mapper in Installation.registry.mappers
            for column in mapper.local_table.columns
            if isinstance(column.type, EncryptedText)
        }

        # Addresses, and names and texts that are not published (DESIGN §5, personal data).
        assert {"correction.name", "correction.email", "correction.message"} <= encrypted
        assert {"correction.quote", "correction.note", "subscriber.email"} <= encrypted
