"""Encryption keys change: everything is encrypted anew with the first, then the old one may go."""

import base64
import uuid
from datetime import timedelta

from cryptography.fernet import Fernet, InvalidToken
from sqlalchemy import select
from sqlalchemy.orm import Session

from pollsvc.consent.models import Subscriber
from pollsvc.corrections.models import Correction
from pollsvc.db import EncryptedText, Model
from pollsvc.keys import Keys
from pollsvc.privacy.rotation import renew_some, sealed_tables
from tests.cli.commands import Run
from tests.conftest import ENVIRON
from tests.consent.stored import rows_of
from tests.databases import open_engine
from tests.privacy.scene import TOKEN, Scene
from tests.unreadable import make_unreadable

OLD = ENVIRON["POLLSVC_ENCRYPTION_KEYS"]
NEW = base64.urlsafe_b64encode(b"a newer key, known to tests only").decode()
APPEND_ONLY = {"consent_text", "consent_event", "consent_seal", "audit_entry"}


def sealed_with(session: Session, key: str) -> int:
    """Count the values that a key alone decrypts; each other one counts as nothing."""
    cipher, count = Fernet(key), 0
    for sealed in sealed_tables():
        for row in rows_of(session, sealed.name):
            for value in row:
                if TOKEN.fullmatch(value):
                    try:
                        cipher.decrypt(value)
                        count += 1
                    except InvalidToken:
                        continue
    session.commit()
    return count


class TestReencrypt:
    def test_lets_the_old_key_go(self, planted: Scene, run_on: Run) -> None:
        before, secrets = sealed_with(planted.session, OLD), len(planted.secrets())
        assert before == secrets > 9

        result = run_on("db", "reencrypt", POLLSVC_ENCRYPTION_KEYS=f"{NEW},{OLD}")

        assert result.exit_code == 0, result.output
        assert sealed_with(planted.session, NEW) == before
        assert sealed_with(planted.session, OLD) == 0
        keys = Keys([ENVIRON["POLLSVC_SECRET_KEY"]], ENVIRON["POLLSVC_HASH_KEY"], [NEW])
        engine = open_engine(
            planted.session.get_bind().engine.url.render_as_string(hide_password=False), keys
        )
        with Session(engine) as session:
            assert session.scalars(select(Subscriber.email)).all() == [planted.email]
        engine.dispose()

    def test_tells_how_far_it_is(self, planted: Scene, run_on: Run) -> None:
        result = run_on("db", "reencrypt", POLLSVC_ENCRYPTION_KEYS=f"{NEW},{OLD}")

        assert "subscriber: 1 rows, 1 encrypted anew" in result.stderr
        assert result.stdout == ""

    def test_changes_nothing_the_second_time(self, planted: Scene, run_on: Run) -> None:
        given = {"POLLSVC_ENCRYPTION_KEYS": f"{NEW},{OLD}"}
        run_on("db", "reencrypt", **given)
        before = rows_of(planted.session, "correction")
        planted.session.commit()

        result = run_on("db", "reencrypt", **given)

        assert "correction: 1 rows, 0 encrypted anew" in result.stderr
        assert rows_of(planted.session, "correction") == before

    def test_names_the_table_of_a_key_that_is_missing(self, planted: Scene, run_on: Run) -> None:
        result = run_on("db", "reencrypt", POLLSVC_ENCRYPTION_KEYS=NEW)

        assert result.exit_code == 1
        assert "was encrypted with a key that is not among POLLSVC_ENCRYPTION_KEYS" in result.stderr

    def test_passes_over_and_names_what_no_key_opens(self, planted: Scene, run_on: Run) -> None:
        before = sealed_with(planted.session, OLD)
        make_unreadable(planted.session, "correction", "quote")
        lost = planted.session.scalars(select(Correction.id)).one()
        planted.session.commit()

        result = run_on("db", "reencrypt", "--skip-unreadable", POLLSVC_ENCRYPTION_KEYS=f"{NEW},{OLD}")

        assert result.exit_code == 3
        assert f"correction {lost}: no key opens it" in result.stderr
        assert "1 rows hold what no key opens" in result.stderr
        # The rest of its row too: nothing needs the old key any more.
        assert sealed_with(planted.session, NEW) == before - 1
        assert sealed_with(planted.session, OLD) == 0

    def test_passes_over_nothing_where_every_key_is_there(self, planted: Scene, run_on: Run) -> None:
        result = run_on("db", "reencrypt", "--skip-unreadable", POLLSVC_ENCRYPTION_KEYS=f"{NEW},{OLD}")

        assert result.exit_code == 0
        assert "Everything is encrypted with the first key." in result.stderr

    def test_goes_through_many_rows(self, session: Session, run_on: Run, keys: Keys) -> None:
        emails = [f"ada-{number}@reader.example" for number in range(250)]
        session.add_all(
            Subscriber(id=uuid.uuid4(), email=email, email_hash=keys.digest("email", email.encode()))
            for email in emails
        )
        session.commit()

        result = run_on("db", "reencrypt", POLLSVC_ENCRYPTION_KEYS=f"{NEW},{OLD}")

        assert "subscriber: 250 rows, 250 encrypted anew" in result.stderr
        assert sealed_with(session, NEW) == 250

    def test_goes_on_where_it_was_stopped(self, planted: Scene) -> None:
        both = Keys([ENVIRON["POLLSVC_SECRET_KEY"]], ENVIRON["POLLSVC_HASH_KEY"], [NEW, OLD])
        writing = planted.session.get_bind().engine.execution_options(sqlite_write=True)
        for _ in range(2):
            planted.later(timedelta(days=1))
            planted.work()
            with Session(writing) as session:
                for sealed in sealed_tables():
                    renew_some(session, both, sealed, None, 1)
                session.commit()

        # The worker goes on with the old key first: what it wrote is encrypted with that one, and still read.
        assert sealed_with(planted.session, OLD) + sealed_with(planted.session, NEW) == len(planted.secrets())


class TestSealedTables:
    def test_are_all_that_hold_something_encrypted(self) -> None:
        named = {sealed.name: set(sealed.columns) for sealed in sealed_tables()}

        assert named == {
            name: columns
            for name, table in Model.metadata.tables.items()
            if (
                columns := {column.name for column in table.columns if isinstance(column.type, EncryptedText)}
            )
        }

    def test_are_none_that_refuse_a_change(self) -> None:
        assert {sealed.name for sealed in sealed_tables()} & APPEND_ONLY == set()
