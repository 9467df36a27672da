"""Reports come in with a reference, and are decided once."""

import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pollsvc.articles.models import Article
from pollsvc.consent.service import email_hash
from pollsvc.corrections.models import Correction
from pollsvc.corrections.service import (
    CorrectionNotFound,
    decide_correction,
    get_correction,
    list_corrections,
    new_reference,
    submit_correction,
)
from pollsvc.errors import Invalid, StaleVersion
from pollsvc.keys import Keys
from pollsvc.staff.models import AuditEntry
from tests.factories import ARTICLE_URL, make_correction, make_site
from tests.unreadable import make_unreadable

REPORT: dict[str, Any] = {
    "article_url": f"{ARTICLE_URL}/?utm_source=newsletter#top",
    "name": "Ada Reader",
    "email": "Ada@reader.example",
    "message": "The ferry has two decks,\nnot three.",
    "quote": "all three decks",
    "is_suspect": True,
}


@pytest.fixture
def correction(session: Session, keys: Keys) -> Correction:
    """A report that was committed."""
    make_site(session)
    made = make_correction(session, keys=keys)
    session.commit()
    return made


def decisions(session: Session) -> list[AuditEntry]:
    session.flush()
    decided = select(AuditEntry).where(AuditEntry.action == "correction.decided").order_by(AuditEntry.id)
    return list(session.scalars(decided))


class TestSubmitCorrection:
    def test_keeps_what_was_sent_for_the_article(self, session: Session, keys: Keys, now: datetime) -> None:
        site = make_site(session)

        submit_correction(session, keys, **REPORT, now=now)

        session.commit()
        session.expire_all()
        stored = session.scalars(select(Correction)).one()
        assert {name: getattr(stored, name) for name in REPORT} == REPORT | {"article_url": ARTICLE_URL}
        assert stored.article.site_id == site.id
        assert (stored.status, stored.version, stored.created_at) == ("new", 1, now)
        assert (stored.note, stored.decided_at, stored.decided_by) == (None, None, None)

    def test_address_is_found_by_its_hash_whatever_the_case(
        self, session: Session, keys: Keys, now: datetime
    ) -> None:
        make_site(session)

        made = submit_correction(session, keys, **REPORT, now=now)

        assert made.email_hash == email_hash(keys, "ada@READER.example")

    def test_host_that_no_site_owns_is_refused(self, session: Session, keys: Keys, now: datetime) -> None:
        with pytest.raises(Invalid) as caught:
            submit_correction(session, keys, **REPORT, now=now)

        assert list(caught.value.fields) == ["article_url"]
        assert session.scalars(select(func.count()).select_from(Article)).one() == 0


class TestNewReference:
    def test_is_short_enough_to_be_read_out_and_has_no_letters_alike(self) -> None:
        references = {new_reference() for _ in range(500)}

        assert all(len(each) == 13 and each[:2] == "C-" and each[7] == "-" for each in references)
        assert not set("".join(references).replace("C-", "").replace("-", "")) & set("01ILOU")

    def test_differs_each_time_in_each_place(self) -> None:
        references = [new_reference() for _ in range(500)]

        assert len(set(references)) == 500
        places = [Counter(letters) for letters in zip(*references, strict=True)]
        varied = [place for place in places if len(place) > 1]
        # Thirty letters, evenly: one of them far ahead of the others would be a reference to guess by.
        assert len(varied) == 10
        assert all(len(place) >= 25 and max(place.values()) < 60 for place in varied)


class TestGetCorrection:
    def test_is_found_by_its_id(self, session: Session, correction: Correction) -> None:
        assert get_correction(session, correction.id) is correction

    def test_unknown_id_is_refused(self, session: Session) -> None:
        with pytest.raises(CorrectionNotFound):
            get_correction(session, uuid.uuid4())


class TestListCorrections:
    @pytest.mark.parametrize(
        ("status", "is_suspect", "names"),
        [
            pytest.param(None, None, {"new", "handled", "suspect"}, id="all"),
            pytest.param("new", None, {"new", "suspect"}, id="by status"),
            pytest.param("spam", None, set(), id="of a status that none has"),
            pytest.param(None, True, {"suspect"}, id="suspect"),
            pytest.param("new", False, {"new"}, id="by both"),
        ],
    )
    def test_holds_what_is_asked_for(
        self, reports: Session, status: str | None, is_suspect: bool | None, names: set[str]
    ) -> None:
        found = reports.scalars(list_corrections(status, is_suspect))

        assert {each.name for each in found} == names

    @pytest.fixture
    def reports(self, session: Session, keys: Keys, now: datetime) -> Session:
        make_site(session)
        make_correction(session, keys=keys, name="new")
        make_correction(session, keys=keys, name="suspect", is_suspect=True)
        handled = make_correction(session, keys=keys, name="handled")
        decide_correction(session, handled.id, {"status": "handled"}, version=1, actor="token:1", now=now)
        return session


class TestDecideCorrection:
    def test_says_what_became_of_it_and_who_decided(
        self, session: Session, correction: Correction, now: datetime
    ) -> None:
        decided = decide_correction(
            session,
            correction.id,
            {"status": "handled", "note": "Two decks it is."},
            version=1,
            actor="token:1",
            now=now,
        )

        session.commit()
        session.expire_all()
        assert (decided.status, decided.version, decided.note) == ("handled", 2, "Two decks it is.")
        assert (decided.decided_by, decided.decided_at) == ("token:1", now)

    @pytest.mark.parametrize(
        "path",
        [
            pytest.param(["handled"], id="new to handled"),
            pytest.param(["spam"], id="new to spam"),
            pytest.param(["handled", "new"], id="handled to new again"),
            pytest.param(["spam", "handled"], id="spam to handled"),
        ],
    )
    def test_any_status_may_follow_any_other(
        self, session: Session, correction: Correction, now: datetime, path: list[str]
    ) -> None:
        for version, status in enumerate(path, start=1):
            decide_correction(
                session, correction.id, {"status": status}, version=version, actor="token:1", now=now
            )

        assert (correction.status, correction.version) == (path[-1], len(path) + 1)
        assert [entry.detail["after"] for entry in decisions(session)] == path

    @pytest.mark.parametrize(
        ("changes", "note"),
        [
            pytest.param({"status": "spam"}, "As it was.", id="left out it stays"),
            pytest.param({"status": "spam", "note": None}, None, id="null takes it away"),
            pytest.param({"status": "spam", "note": "Other."}, "Other.", id="another replaces it"),
            pytest.param({"status": "handled", "note": "Other."}, "Other.", id="with the status as it is"),
        ],
    )
    def test_note(
        self,
        session: Session,
        correction: Correction,
        now: datetime,
        changes: dict[str, str | None],
        note: str | None,
    ) -> None:
        first = {"status": "handled", "note": "As it was."}
        decide_correction(session, correction.id, first, version=1, actor="token:1", now=now)

        decide_correction(session, correction.id, changes, version=2, actor="token:2", now=now)

        assert (correction.note, correction.version) == (note, 3)

    def test_a_note_that_no_key_opens_can_be_taken_away(
        self, session: Session, correction: Correction, now: datetime
    ) -> None:
        first = {"status": "handled", "note": "As it was."}
        decide_correction(session, correction.id, first, version=1, actor="token:1", now=now)
        make_unreadable(session, "correction", "note")

        changes = {"status": "handled", "note": None}
        decide_correction(session, correction.id, changes, version=2, actor="token:2", now=now)

        session.flush()
        assert session.scalars(select(Correction.note.is_(None))).one()
        assert correction.version == 3

    def test_what_is_so_already_changes_nothing(
        self, session: Session, correction: Correction, now: datetime
    ) -> None:
        decide_correction(session, correction.id, {"status": "spam"}, version=1, actor="token:1", now=now)

        again = decide_correction(
            session,
            correction.id,
            {"status": "spam"},
            version=2,
            actor="token:2",
            now=now + timedelta(hours=1),
        )

        assert (again.version, again.decided_by, again.decided_at) == (2, "token:1", now)
        assert len(decisions(session)) == 1

    def test_audit_row_holds_no_text_of_reader_or_editor(
        self, session: Session, correction: Correction, now: datetime
    ) -> None:
        decision = {"status": "handled", "note": "Rang Ada."}

        decide_correction(session, correction.id, decision, version=1, actor="token:1", now=now)

        (entry,) = decisions(session)
        assert (entry.actor, entry.occurred_at) == ("token:1", now)
        assert (entry.object_type, entry.object_id) == ("correction", str(correction.id))
        assert entry.detail == {"before": "new", "after": "handled", "version": 2, "has_note": True}

    @pytest.mark.parametrize("version", [1, 3], ids=["older", "newer"])
    def test_other_version_is_refused_with_what_is_so_now(
        self, session: Session, correction: Correction, now: datetime, version: int
    ) -> None:
        decide_correction(session, correction.id, {"status": "handled"}, version=1, actor="token:1", now=now)

        with pytest.raises(StaleVersion) as caught:
            decide_correction(
                session, correction.id, {"status": "spam"}, version=version, actor="token:2", now=now
            )

        assert caught.value.extra == {"current": {"status": "handled", "version": 2, "decided_by": "token:1"}}
        assert correction.status == "handled"
        assert len(decisions(session)) == 1

    def test_unknown_id_is_refused(self, session: Session, now: datetime) -> None:
        with pytest.raises(CorrectionNotFound):
            decide_correction(session, uuid.uuid4(), {"status": "spam"}, version=1, actor="token:1", now=now)

    @pytest.mark.parametrize("database", ["postgresql"], indirect=True)
    def test_of_many_editors_at_once_exactly_one_decides(
        self, session: Session, engine: sa.Engine, correction: Correction, now: datetime
    ) -> None:
        def decide(number: int) -> str:
            choice = {"status": "spam" if number % 2 else "handled"}
            with Session(engine) as own:
                try:
                    decide_correction(own, correction.id, choice, version=1, actor=f"token:{number}", now=now)
                except StaleVersion as stale:
                    return str(stale.extra["current"]["decided_by"])
                own.commit()
                return "won"

        with ThreadPoolExecutor(5) as pool:
            outcomes = list(pool.map(decide, range(10)))

        session.expire_all()
        winner = f"token:{outcomes.index('won')}"
        assert Counter(outcomes) == {"won": 1, winner: 9}
        assert (correction.version, correction.decided_by) == (2, winner)
        assert [entry.actor for entry in decisions(session)] == [winner]
