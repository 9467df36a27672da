"""Addresses that nothing is sent to: for which reason, until when, and who may come back."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from pollsvc.consent.models import Consent, ConsentEvent, Kind, Reason, State, Subscriber, Suppression
from pollsvc.consent.service import email_hash
from pollsvc.outbox.models import OutboxEvent, OutboxMessage
from pollsvc.privacy.suppressions import suppress
from pollsvc.staff.models import AuditEntry
from tests.privacy.scene import Scene, correct, count, subscribe


def call(scene: Scene, path: str) -> dict[str, Any]:
    return scene.post(f"/v1/suppressions{path}", {"email": scene.email}, 200, by=scene.staff)


def reason_of(scene: Scene) -> str | None:
    scene.session.commit()
    return scene.session.scalar(select(Suppression.reason))


class TestReasons:
    @pytest.mark.parametrize(
        ("first", "second", "stays"),
        [
            pytest.param(Reason.WITHDRAWN, Reason.ERASED, Reason.ERASED, id="who left is erased"),
            pytest.param(Reason.WITHDRAWN, Reason.OBJECTED, Reason.OBJECTED, id="who left objects"),
            pytest.param(
                Reason.OBJECTED, Reason.WITHDRAWN, Reason.OBJECTED, id="who objected is forgotten in time"
            ),
            pytest.param(Reason.ERASED, Reason.WITHDRAWN, Reason.ERASED, id="who was erased"),
            pytest.param(Reason.ERASED, Reason.OBJECTED, Reason.ERASED, id="who was erased objects"),
            pytest.param(Reason.ERASED, Reason.ERASED, Reason.ERASED, id="twice"),
        ],
    )
    def test_the_stronger_one_stays(self, scene: Scene, first: Reason, second: Reason, stays: Reason) -> None:
        hashed = email_hash(scene.keys, scene.email)

        assert suppress(scene.session, hashed, first, scene.now())
        assert suppress(scene.session, hashed, second, scene.now()) is (first != stays)

        assert reason_of(scene) == stays

    @pytest.mark.parametrize(
        ("reason", "mails"), [(Reason.ERASED, 0), (Reason.OBJECTED, 0), (Reason.WITHDRAWN, 1)]
    )
    def test_only_who_left_may_sign_up_again(self, scene: Scene, reason: Reason, mails: int) -> None:
        suppress(scene.session, email_hash(scene.keys, scene.email), reason, scene.now())
        scene.session.commit()

        scene.sign_up(scene.text)
        scene.later(timedelta(seconds=1))
        scene.work()

        assert len(scene.mails()) == mails
        assert reason_of(scene) == reason

    def test_who_left_and_confirms_anew_is_back(self, scene: Scene) -> None:
        suppress(scene.session, email_hash(scene.keys, scene.email), Reason.WITHDRAWN, scene.now())
        scene.session.commit()

        subscribe(scene)

        assert count(scene.session, Suppression) == [0]


class TestSuppress:
    def test_ends_what_was_agreed_to(self, scene: Scene) -> None:
        subscribe(scene)

        assert call(scene, "") == {"is_suppressed": True, "changed": True}

        scene.session.commit()
        assert scene.session.scalars(select(Consent.state)).all() == [State.WITHDRAWN]
        last = scene.session.scalars(select(ConsentEvent).order_by(ConsentEvent.id.desc())).first()
        assert last
        assert (last.kind, last.method) == (Kind.SUPPRESSED, "staff")
        assert "consent.withdrawn" in scene.session.scalars(select(OutboxEvent.kind)).all()

    def test_ends_what_was_only_asked_for_and_tells_nobody(self, scene: Scene) -> None:
        scene.sign_up(scene.text)
        scene.later(timedelta(seconds=1))
        scene.work()

        call(scene, "")

        told = scene.session.scalars(select(OutboxEvent.kind)).all()
        assert [kind for kind in told if kind.startswith("consent.")] == []

    def test_what_was_written_and_has_not_left_is_not_sent(self, scene: Scene) -> None:
        scene.sign_up(scene.text)
        scene.later(timedelta(seconds=1))
        scene.worker.attend()
        assert count(scene.session, OutboxMessage) == [1]

        call(scene, "")
        scene.work()

        assert scene.mails() == []

    def test_what_was_given_up_cannot_be_sent_again(self, scene: Scene) -> None:
        scene.sign_up(scene.text)
        scene.later(timedelta(seconds=1))
        scene.worker.attend()
        scene.session.execute(update(OutboxMessage).values(state="dead"))
        scene.session.commit()

        call(scene, "")

        assert count(scene.session, OutboxMessage) == [0]

    def test_link_to_who_only_sent_a_correction_is_not_sent_and_the_desk_still_hears_of_it(
        self, scene: Scene
    ) -> None:
        scene.site.desk_email = "desk@news.example"
        scene.session.commit()
        correct(scene)
        scene.client.post("/data", data={"email": scene.email})
        scene.later(timedelta(seconds=1))
        scene.session.commit()
        scene.worker.attend()
        kinds = select(OutboxMessage.kind).order_by(OutboxMessage.kind)
        assert scene.session.scalars(kinds).all() == ["correction", "data_link"]

        call(scene, "")

        scene.session.commit()
        assert scene.session.scalars(kinds).all() == ["correction"]

    def test_changes_nothing_the_second_time(self, scene: Scene) -> None:
        call(scene, "")

        assert call(scene, "") == {"is_suppressed": True, "changed": False}

        scene.session.commit()
        actions = scene.session.scalars(select(AuditEntry.action)).all()
        assert actions.count("address.suppressed") == 1


class TestSearch:
    def test_tells_why_and_since_when(self, scene: Scene) -> None:
        call(scene, "")

        found = call(scene, "/search")

        assert (found["is_suppressed"], found["reason"]) == (True, "objected")
        assert found["since"]

    def test_of_one_that_is_not_tells_so(self, scene: Scene) -> None:
        assert call(scene, "/search") == {"is_suppressed": False, "reason": None, "since": None}

    def test_leaves_an_audit_row(self, scene: Scene) -> None:
        call(scene, "/search")
        scene.session.commit()

        assert "suppressions.searched" in scene.session.scalars(select(AuditEntry.action)).all()


class TestRelease:
    def test_lets_the_address_sign_up_again(self, planted: Scene) -> None:
        planted.post("/v1/privacy/erasures", {"email": planted.email}, 200, by=planted.staff)

        assert call(planted, "/releases") == {"is_suppressed": False, "changed": True}

        planted.sign_up(planted.text)
        planted.later(timedelta(seconds=1))
        planted.work()
        assert len(planted.mails()) == 1

    def test_is_an_event_of_each_consent_and_changes_none(self, scene: Scene) -> None:
        subscribe(scene)
        call(scene, "")

        call(scene, "/releases")

        scene.session.commit()
        last = scene.session.scalars(select(ConsentEvent).order_by(ConsentEvent.id.desc())).first()
        assert last
        assert last.kind == Kind.RELEASED
        assert scene.session.scalars(select(Consent.state)).all() == [State.WITHDRAWN]
        assert count(scene.session, Subscriber, Suppression) == [1, 0]

    def test_of_one_that_is_not_suppressed_changes_nothing(self, scene: Scene) -> None:
        assert call(scene, "/releases") == {"is_suppressed": False, "changed": False}

        scene.session.commit()
        assert "address.released" not in scene.session.scalars(select(AuditEntry.action)).all()


class TestGuards:
    @pytest.mark.parametrize(
        ("path", "scope"),
        [
            ("/v1/privacy/erasures", "consents:manage"),
            ("/v1/privacy/access", "consents:manage"),
            ("/v1/suppressions", "consents:manage"),
            ("/v1/suppressions/releases", "consents:manage"),
            ("/v1/suppressions/search", "consents:read"),
        ],
    )
    def test_only_their_scope_may_call(self, scene: Scene, path: str, scope: str) -> None:
        scopes = {"polls:write", "corrections:manage", "consents:read", "consents:manage"}
        body = {"email": scene.email}

        assert scene.client.post(path, json=body).status_code == 401
        for each in scopes:
            status = scene.as_staff(each).post(path, json=body).status_code
            assert status == (200 if each == scope else 403)

    @pytest.mark.parametrize(
        "path", ["privacy/erasures", "privacy/access", "suppressions", "suppressions/search"]
    )
    def test_bad_address_is_named(self, scene: Scene, path: str) -> None:
        problem = scene.post(f"/v1/{path}", {"email": "ada"}, 422, by=scene.staff)

        assert [each["field"] for each in problem["errors"]] == ["email"]
