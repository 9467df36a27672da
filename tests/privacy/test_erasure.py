"""A reader who voted, signed up and sent a correction is forgotten: everywhere, and nothing else is."""

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy import select
from sqlalchemy.orm import Session

from pollsvc.consent.chain import verify_chain
from pollsvc.consent.models import (
    Confirmation,
    Consent,
    ConsentEvent,
    Kind,
    MailPermit,
    SignUp,
    Subscriber,
    Suppression,
)
from pollsvc.consent.service import email_hash
from pollsvc.corrections.models import Correction
from pollsvc.db import Model
from pollsvc.outbox.delivery import FIRST_PAUSE, LEASE, Result, claim, settle
from pollsvc.outbox.mail import FolderTransport
from pollsvc.outbox.models import OutboxAttempt, OutboxEvent, OutboxMessage
from pollsvc.privacy.models import DataRequest, Leftover
from pollsvc.privacy.service import Erased, erase_person
from pollsvc.staff.models import AuditEntry
from tests.consent.stored import rows_of, tables_with
from tests.factories import ACTOR, ARTICLE_URL
from tests.privacy.scene import NEVER_STORED, PUBLISHED, Scene, count, subscriber_id

#: What the reader did, and the log tells of.
LOGGED = {
    "/v1/consents",
    "/v1/corrections",
    "/v1/comments",
    "/v1/comments/<uuid:comment_id>/reports",
    "/v1/polls/<uuid:poll_id>/votes",
    "/data",
}
GONE = (Subscriber, Consent, SignUp, Confirmation, MailPermit, DataRequest, OutboxMessage, OutboxAttempt)


def erase(scene: Scene) -> dict[str, object]:
    return scene.post("/v1/privacy/erasures", {"email": scene.email}, 200, by=scene.staff)


def clear(scene: Scene) -> None:
    """Let the worker clear away what is left, now and when every lease is over."""
    scene.work()
    scene.later(2 * LEASE + timedelta(seconds=1))
    scene.work()


class TestEverything:
    def test_is_found_before(self, fully_planted: Scene) -> None:
        """Or the search after would prove nothing."""
        found = fully_planted.found()

        assert set(found) == set(fully_planted.words) - NEVER_STORED
        assert {
            "subscriber, decrypted",
            "sign_up, decrypted",
            "correction, decrypted",
            "comment, decrypted",
        } <= found["address"]
        assert any(place.startswith("mail/") for place in found["address"])
        assert found["webhook payload"] >= {"outbox_message, decrypted"}
        assert fully_planted.fragments_left(fully_planted.secrets()) >= 9

    # First, so that what is logged while the reader does all this is searched too.
    def test_is_nowhere_after(self, capfd: pytest.CaptureFixture[str], fully_planted: Scene) -> None:
        scene = fully_planted
        scene.analyze()
        secrets = scene.secrets()
        results = scene.results()
        events = rows_of(scene.session, "consent_event")
        scene.session.commit()

        answer = erase(scene)
        clear(scene)
        scene.rewrite_tables()

        erased = {"consents": 3, "sign_ups": 1, "corrections": 1, "comments": 2}
        assert answer == {"status": "erased", "erased": erased}
        assert scene.found() == {}
        gone = secrets - scene.secrets()
        assert len(gone) >= 9
        assert scene.fragments_left(gone) == 0
        logs = "".join(capfd.readouterr())
        assert set(re.findall(r'"route":"([^"]+)"', logs)) >= LOGGED
        assert [word for word in scene.words.values() if word in logs] == []
        assert scene.results() == results
        after = rows_of(scene.session, "consent_event")
        assert [event for event in events if event not in after] == []
        verdict = verify_chain(scene.session, scene.now())
        assert (verdict.fault, verdict.waiting) == (None, 0)
        assert verdict.sealed == len(after)

    def test_before_its_pages_are_written_anew_is_nowhere_in_the_clear(self, fully_planted: Scene) -> None:
        """PostgreSQL's pages may still hold what was deleted, as it stood there: encrypted, save what was published."""
        erase(fully_planted)
        clear(fully_planted)

        found = fully_planted.found()
        secret = {place for where in found.keys() - PUBLISHED for place in found[where]}
        assert [place for place in secret if not re.fullmatch(r"base/[0-9]+, decrypted", place)] == []
        published = {place for where in found.keys() & PUBLISHED for place in found[where]}
        assert [place for place in published if not re.match(r"base/[0-9]+", place)] == []

    def test_what_is_kept_is_the_publisher_s_or_proof(self, fully_planted: Scene) -> None:
        erase(fully_planted)
        clear(fully_planted)

        found = fully_planted.found(fully_planted.kept)
        assert {where: places & set(Model.metadata.tables) for where, places in found.items()} == {
            "article's path": {"article"},
            "origin": {"consent_event"},
            "import's source": {"consent_event"},
        }

    def test_that_the_address_leads_to_is_gone(self, planted: Scene) -> None:
        was = subscriber_id(planted.session)

        erase(planted)
        clear(planted)

        assert count(planted.session, *GONE, Leftover) == [0] * (len(GONE) + 1)
        assert list((planted.settings.instance / "mail").iterdir()) == []
        hashed = email_hash(planted.keys, planted.email)
        assert tables_with(planted.session, hashed) == {"suppression"}
        # Proof keeps a number that belongs to nobody any more.
        assert tables_with(planted.session, was.bytes, str(was).encode()) == {"consent_event", "audit_entry"}

    def test_of_others_stays(self, planted: Scene) -> None:
        planted.sign_up(planted.text, "bea@reader.example")
        planted.later(timedelta(seconds=5))
        planted.work()

        erase(planted)
        clear(planted)

        (mail,) = planted.mails()
        assert mail["To"] == "bea@reader.example"
        assert planted.session.scalars(select(Subscriber.email)).all() == ["bea@reader.example"]


class TestTraces:
    """What stays, and says nothing about whom."""

    def test_each_consent_has_an_event(self, planted: Scene) -> None:
        consent = planted.session.scalars(select(Consent.id)).one()
        erase(planted)
        planted.session.commit()

        last = planted.session.scalars(select(ConsentEvent).order_by(ConsentEvent.id.desc())).first()
        assert last
        assert (last.kind, last.consent_id, last.method) == (Kind.ERASED, consent, "staff")
        assert last.actor.startswith("token:")

    def test_endpoints_are_told_of_the_consent_and_of_nothing_else(self, planted: Scene) -> None:
        consent = planted.session.scalars(select(Consent.id)).one()
        erase(planted)
        planted.session.commit()

        (event,) = planted.session.scalars(select(OutboxEvent)).all()
        assert (event.kind, event.subject) == ("consent.erased", f"consent:{consent}")
        assert event.data == f'{{"consent_id":"{consent}"}}'

    def test_the_stub_of_a_correction_tells_that_one_came(self, planted: Scene) -> None:
        before = planted.session.scalars(select(Correction)).one()
        planted.session.commit()
        erase(planted)

        after = planted.get(f"/v1/corrections/{before.id}")
        assert (after["reference"], after["article_url"], after["status"]) == (
            before.reference,
            ARTICLE_URL,
            "handled",
        )
        assert [after[name] for name in ("name", "email", "message", "quote", "note")] == [
            "",
            "",
            "",
            None,
            None,
        ]
        assert after["erased_at"]
        assert after["version"] == before.version + 1

    def test_the_audit_row_counts_and_names_nobody(self, planted: Scene) -> None:
        was = subscriber_id(planted.session)
        erase(planted)
        planted.session.commit()

        entry = planted.session.scalars(select(AuditEntry).where(AuditEntry.action == "person.erased")).one()
        assert (entry.object_type, entry.object_id) == ("subscriber", str(was))
        assert entry.detail == {
            "consents": 1,
            "sign_ups": 1,
            "corrections": 1,
            "comments": 0,
            "choice": "remove_text",
        }


class TestAgain:
    def test_changes_nothing(self, planted: Scene) -> None:
        erase(planted)
        clear(planted)
        before = {table: rows_of(planted.session, table) for table in Model.metadata.tables}
        planted.session.commit()

        answer = erase(planted)

        assert answer == {
            "status": "erased",
            "erased": {"consents": 0, "sign_ups": 0, "corrections": 0, "comments": 0},
        }
        planted.session.commit()
        after = {table: rows_of(planted.session, table) for table in before}
        changed = {table for table in before if sorted(before[table]) != sorted(after[table])}
        assert changed <= {"staff_token"}  # its last use

    def test_of_an_address_that_nobody_knows_is_answered_alike(self, scene: Scene) -> None:
        answer = scene.post("/v1/privacy/erasures", {"email": "nobody@reader.example"}, 200, by=scene.staff)

        assert answer == {
            "status": "erased",
            "erased": {"consents": 0, "sign_ups": 0, "corrections": 0, "comments": 0},
        }
        assert count(scene.session, Suppression) == [1]

    def test_sign_up_sends_nothing(self, planted: Scene) -> None:
        erase(planted)
        clear(planted)

        planted.sign_up(planted.text)
        planted.later(timedelta(days=2))
        planted.work()

        assert planted.mails() == []
        assert count(planted.session, Subscriber, SignUp, OutboxMessage) == [0, 0, 0]


class TestErasedCorrection:
    def decide(self, scene: Scene, **changes: object) -> tuple[int, dict[str, object]]:
        report = scene.session.scalars(select(Correction)).one()
        scene.session.commit()
        answer = scene.staff.patch(
            f"/v1/corrections/{report.id}", json={"version": report.version, **changes}
        )
        return answer.status_code, answer.json or {}

    def test_can_be_put_away(self, planted: Scene) -> None:
        erase(planted)

        status, report = self.decide(planted, status="spam")

        assert (status, report["status"]) == (200, "spam")

    def test_takes_no_note(self, planted: Scene) -> None:
        erase(planted)

        status, problem = self.decide(planted, status="handled", note="It was Ada.")

        assert (status, problem["code"]) == (422, "invalid")
        assert "note" in str(problem["errors"])

    def test_is_stale_for_who_has_it_open(self, planted: Scene) -> None:
        report = planted.session.scalars(select(Correction)).one()
        planted.session.commit()
        erase(planted)

        late = {"status": "new", "version": report.version, "note": "Ask Ada."}
        answer = planted.staff.patch(f"/v1/corrections/{report.id}", json=late)

        assert answer.status_code == 409
        assert "stale_version" in answer.text


class TestUnderWay:
    """What goes on at the same moment does not bring anything back."""

    def test_delivery_leaves_no_file(self, scene: Scene) -> None:
        scene.sign_up(scene.text)
        scene.worker.transports = {}
        scene.work()
        # An attempt failed, for want of a transport: the next is due.
        scene.later(FIRST_PAUSE)
        now = scene.now()
        session = scene.session
        message = claim(session, subscriber_id(session), now, "mail")
        session.commit()
        assert message

        erase(scene)
        FolderTransport(scene.settings)(message, now)
        settled = settle(session, message, Result(None, None, 5), now, 0.5)
        session.commit()

        assert settled is None
        assert len(scene.mails()) == 1
        clear(scene)
        assert scene.mails() == []
        assert count(session, *GONE, Leftover) == [0] * (len(GONE) + 1)

    def test_process_that_dies_before_the_files_leaves_them_to_the_worker(self, planted: Scene) -> None:
        assert planted.mails()
        now = planted.now()
        erase_person(
            planted.session, email_hash(planted.keys, planted.email), method="staff", actor=ACTOR, now=now
        )

        planted.work()

        assert planted.mails() == []

    def test_file_that_cannot_be_deleted_yet_is_left_to_the_worker(self, planted: Scene) -> None:
        kept = next((planted.settings.instance / "mail").glob("*.eml"))
        kept.unlink()
        kept.mkdir()  # no file, and not to be deleted like one

        assert erase(planted)["status"] == "erased"

        assert count(planted.session, Subscriber, Leftover) == [0, 1]
        kept.rmdir()
        planted.work()
        assert planted.mails() == []

    def test_sign_up_decided_at_the_same_time_is_forgotten_or_refused(
        self, scene: Scene, engine: sa.Engine
    ) -> None:
        """Many times both at once; in whichever order, no address is left."""
        writing = engine.execution_options(sqlite_write=True)
        for number in range(8):
            email = f"canary-{number}@reader.example"
            scene.sign_up(scene.text, email)
            start = threading.Barrier(2)

            def forget(email: str = email, start: threading.Barrier = start) -> Erased:
                start.wait()
                with Session(writing) as session:
                    hashed = email_hash(scene.keys, email)
                    erased = erase_person(session, hashed, method="staff", actor=ACTOR, now=scene.now())
                    session.commit()
                    return erased

            def decide(start: threading.Barrier = start) -> None:
                start.wait()
                scene.worker.look()

            scene.later(timedelta(seconds=3))
            with ThreadPoolExecutor(2) as pool:
                erased, _ = pool.submit(forget), pool.submit(decide).result()
                erased.result()
        clear(scene)

        assert count(scene.session, Subscriber, Consent, SignUp, OutboxMessage) == [0, 0, 0, 0]
        assert scene.mails() == []

    def test_confirming_and_erasing_at_the_same_time_wait_for_each_other(
        self, scene: Scene, engine: sa.Engine
    ) -> None:
        for number in range(6):
            email = f"canary-{number}@reader.example"
            scene.sign_up(scene.text, email)
            scene.later(timedelta(seconds=3))
            scene.work()
            (confirm,) = set(scene.links("consent"))
            client = scene.client.application.test_client()
            with ThreadPoolExecutor(2) as pool:
                confirmed = pool.submit(client.post, confirm)
                body = {"email": email}
                erased = pool.submit(scene.staff.post, "/v1/privacy/erasures", json=body)
                assert (confirmed.result().status_code, erased.result().status_code) == (200, 200)
            clear(scene)

        assert count(scene.session, Subscriber, Consent, OutboxMessage) == [0, 0, 0]
        kinds = scene.session.scalars(select(OutboxEvent.kind)).all()
        assert list(kinds) == ["consent.erased"] * 6
