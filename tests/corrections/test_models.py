"""Each named constraint of corrections refuses what it should, and what a person wrote is encrypted."""

import uuid
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from pollsvc.corrections.models import Correction
from pollsvc.corrections.service import decide_correction
from pollsvc.keys import Keys
from tests.consent.stored import files_with, rows_of, tables_with
from tests.factories import ACTOR, make_correction, make_site

FOREIGN_KEY = r"FOREIGN KEY constraint failed|fk_correction_article_id"
WRITTEN = {
    "name": "canary-name",
    "email": "canary-email@reader.example",
    "message": "canary-message",
    "quote": "canary-quote",
}


@pytest.fixture
def correction(session: Session, keys: Keys) -> Correction:
    make_site(session)
    return make_correction(session, keys=keys, **WRITTEN)


class TestCorrection:
    def test_reference_is_of_one_report(self, session: Session, keys: Keys, correction: Correction) -> None:
        other = make_correction(session, keys=keys)

        with pytest.raises(IntegrityError, match=r"uq_correction_reference|correction\.reference"):
            change(session, other, reference=correction.reference)

    @pytest.mark.parametrize("status", ["", "NEW", "upheld", "deleted"])
    def test_status_is_known(self, session: Session, correction: Correction, status: str) -> None:
        with pytest.raises(IntegrityError, match="ck_correction_known_status"):
            change(session, correction, status=status)

    def test_versions_begin_at_one(self, session: Session, correction: Correction) -> None:
        with pytest.raises(IntegrityError, match="ck_correction_version_from_one"):
            change(session, correction, version=0)

    def test_article_exists(self, session: Session, correction: Correction) -> None:
        with pytest.raises(IntegrityError, match=FOREIGN_KEY):
            change(session, correction, article_id=uuid.uuid4())


class TestEncryption:
    def test_nothing_that_a_person_wrote_stands_in_the_clear(
        self, session: Session, correction: Correction, now: datetime
    ) -> None:
        decision = {"status": "handled", "note": "canary-note"}
        decide_correction(session, correction.id, decision, version=1, actor=ACTOR, now=now)
        session.commit()

        assert tables_with(session, b"canary-") == set()
        assert files_with(session, b"canary-") == set()

    def test_it_is_read_back_as_it_was_written(self, session: Session, correction: Correction) -> None:
        session.commit()
        session.expire_all()

        stored = session.scalars(select(Correction)).one()
        assert {name: getattr(stored, name) for name in WRITTEN} == WRITTEN

    def test_equal_texts_do_not_look_equal(
        self, session: Session, keys: Keys, correction: Correction
    ) -> None:
        make_correction(session, keys=keys, **WRITTEN)

        first, second = (set(row) for row in rows_of(session, "correction"))

        encrypted = {value for value in first & second if value.startswith(b"gAAAA")}
        assert encrypted == set()

    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    def test_search_of_the_files_finds_what_is_in_the_clear(
        self, session: Session, correction: Correction
    ) -> None:
        # Else the two tests above would pass on an empty folder.
        session.commit()

        assert "pollsvc.db" in {
            name.removesuffix("-wal") for name in files_with(session, correction.reference.encode())
        }


def change(session: Session, correction: Correction, **values: Any) -> None:
    """Change a row behind the back of the rules."""
    session.execute(update(Correction).where(Correction.id == correction.id).values(**values))
