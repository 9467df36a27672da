"""`pollsvc consent …` and `pollsvc verify`."""

import uuid
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from pollsvc.consent.models import Consent, ConsentSeal, ConsentText
from pollsvc.consent.receipts import fingerprint, public_key
from pollsvc.keys import Keys
from tests.cli.commands import Run
from tests.conftest import ENVIRON
from tests.consent.acts import ask
from tests.consent.happenings import happen, letters, seal_all
from tests.consent.tampering import nothing_refused
from tests.factories import THEN, make_consent_text, make_site


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
    return made


class TestVerifyChain:
    def test_sound_chain_gives_its_head_to_keep(
        self, run_on: Run, session: Session, sealed: list[uuid.UUID]
    ) -> None:
        done = run_on("consent", "verify")

        head = session.get_one(ConsentSeal, 6).hash.hex()
        assert (done.exit_code, done.stdout) == (0, f"6:{head}\n")
        again = run_on("consent", "verify", "--expect", done.stdout.strip())
        assert again.exit_code == 0
        assert run_on("consent", "verify", "--expect", f"6:{'0' * 64}").exit_code == 1

    def test_difference_ends_with_1_and_names_the_position(
        self, run_on: Run, session: Session, sealed: list[uuid.UUID]
    ) -> None:
        with nothing_refused(session) as connection:
            connection.exec_driver_sql("DELETE FROM consent_seal WHERE position = 2")

        done = run_on("consent", "verify")

        assert (done.exit_code, done.stdout) == (1, "position 2: it is missing\n")

    def test_events_that_wait_are_told(self, run_on: Run, session: Session, text: ConsentText) -> None:
        happen(session, text, id=uuid.UUID(int=1))
        session.commit()

        done = run_on("consent", "verify")

        assert done.exit_code == 0
        assert "1 events wait for their seal" in done.stderr

    def test_expectation_that_is_none_is_refused(self, run: Run) -> None:
        done = run("consent", "verify", "--expect", "6")

        assert done.exit_code == 2
        assert "Must be a position, a colon and 64 hexadecimal digits." in done.stderr


class TestRebuild:
    @pytest.fixture
    def consent(self, session: Session, keys: Keys, text: ConsentText) -> uuid.UUID:
        made = ask(session, keys, text, datetime.now(UTC))
        session.commit()
        return made.id

    def test_right_table_is_told_to_be_so(self, run_on: Run, consent: uuid.UUID) -> None:
        for arguments in (["--check"], []):
            done = run_on("consent", "rebuild", *arguments)
            assert (done.exit_code, done.stdout) == (0, "")
            assert "Every consent stands as its events say." in done.stderr

    def test_check_names_the_difference_and_changes_nothing(
        self, run_on: Run, session: Session, consent: uuid.UUID
    ) -> None:
        session.execute(sa.update(Consent).values(state="active"))
        session.commit()

        done = run_on("consent", "rebuild", "--check")

        assert (done.exit_code, done.stdout) == (1, f"consent {consent}: changed state\n")
        session.expire_all()
        assert session.get_one(Consent, consent).state == "active"

    def test_difference_is_put_right(self, run_on: Run, session: Session, consent: uuid.UUID) -> None:
        session.execute(sa.delete(Consent))
        session.commit()

        done = run_on("consent", "rebuild")

        assert (done.exit_code, done.stdout) == (0, f"consent {consent}: missing\n")
        session.expunge_all()
        assert session.get_one(Consent, consent).state == "pending"
        assert run_on("consent", "rebuild", "--check").exit_code == 0


class TestKey:
    def test_is_printed_alone_with_its_fingerprint_beside(self, run: Run, keys: Keys) -> None:
        done = run("consent", "key")

        assert (done.exit_code, done.stdout) == (0, public_key(keys) + "\n")
        assert done.stderr.endswith(f"SHA-256 {fingerprint(public_key(keys))}\n")


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
class TestVerifyReceipt:
    @pytest.fixture
    def receipt(self, here: Path, session: Session, keys: Keys, text: ConsentText) -> Path:
        ask(session, keys, text, THEN)
        path = here / "consent-receipt.json"
        path.write_text(letters(session)[0]["attachments"][0]["content"])
        return path

    def test_sound_one_is_shown(self, run: Run, receipt: Path, text: ConsentText) -> None:
        done = run("verify", str(receipt))

        assert done.exit_code == 0
        assert text.body in done.stdout

    def test_needs_nothing_but_the_key(self, run: Run, receipt: Path, keys: Keys) -> None:
        nothing = {**dict.fromkeys(ENVIRON), "POLLSVC_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}

        done = run("verify", str(receipt), "--public-key", public_key(keys).upper(), **nothing)

        assert done.exit_code == 0
        assert not (receipt.parent / "instance").exists()

    def test_changed_one_ends_with_1_and_the_reason(self, run: Run, receipt: Path) -> None:
        receipt.write_text(receipt.read_text().replace("newsletter", "advertising"))

        done = run("verify", str(receipt))

        assert done.exit_code == 1
        assert done.stdout == "It was changed: the signature does not belong to what it says.\n"

    def test_of_somebody_else_is_refused(self, run: Run, receipt: Path) -> None:
        done = run("verify", str(receipt), POLLSVC_HASH_KEY="another-hash-key-of-the-same-length-as")

        assert (done.exit_code, done.stdout) == (1, "It was signed with another key than this one.\n")

    def test_without_an_installation_the_key_is_asked_for_and_none_is_made(
        self, run: Run, receipt: Path
    ) -> None:
        done = run("verify", str(receipt), **dict.fromkeys(ENVIRON))

        assert done.exit_code == 1
        assert "--public-key" in done.stderr
        assert not (receipt.parent / "instance").exists()

    def test_key_that_is_none_is_refused(self, run: Run, receipt: Path) -> None:
        done = run("verify", str(receipt), "--public-key", "abc")

        assert done.exit_code == 2
        assert "64 hexadecimal digits" in done.stderr
