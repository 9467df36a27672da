"""What the newsroom sees of one consent, and how it ends one on request."""

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import orjson
import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from pollsvc.consent.models import Consent, ConsentEvent, ConsentText, SignUp, State
from pollsvc.consent.service import confirm, withdraw
from pollsvc.consent.signing_up import Desk, process_sign_up
from pollsvc.consent.tokens import token_hash
from pollsvc.keys import Keys
from pollsvc.outbox.models import OutboxEvent
from pollsvc.staff.models import AuditEntry
from tests.conftest import NOW
from tests.consent.acts import ask, links, sign_up
from tests.consent.happenings import tokens
from tests.consent.subscribers import make_consent
from tests.factories import ARTICLE_URL, ORIGIN, make_article, make_consent_text, make_site


@pytest.fixture
def text(session: Session) -> ConsentText:
    site = make_site(session)
    make_article(session)
    return make_consent_text(session, site=site)


@pytest.fixture
def consent(session: Session, keys: Keys, text: ConsentText) -> Consent:
    made = make_consent(session, keys, text, NOW)
    session.commit()
    return made


def audited(session: Session, action: str) -> list[AuditEntry]:
    session.commit()
    return list(session.scalars(select(AuditEntry).where(AuditEntry.action == action)))


class TestTimeline:
    def test_it_tells_how_the_consent_stands_and_all_that_happened(
        self, staff_client_with: Callable[..., FlaskClient], consent: Consent, text: ConsentText
    ) -> None:
        found = staff_client_with("consents:read").get(f"/v1/consents/{consent.id}").get_json()

        first = found["events"][0]
        assert (found["consent"]["id"], found["consent"]["state"]) == (str(consent.id), "active")
        assert [event["kind"] for event in found["events"]] == ["requested", "confirmation_sent", "confirmed"]
        assert (first["method"], first["actor"], first["origin"]) == ("checkbox", "reader", ORIGIN)
        assert (first["article_url"], first["text_version"]) == (ARTICLE_URL, text.version)
        assert first["text_hash"] == text.body_hash.hex()
        assert first["evidence"]["default_checked"] is False
        assert found["events"][2]["article_url"] is None

    def test_it_holds_no_address_and_nothing_that_opens_a_link(
        self, staff_client: FlaskClient, session: Session, consent: Consent
    ) -> None:
        answer = staff_client.get(f"/v1/consents/{consent.id}")

        events = session.scalars(select(ConsentEvent)).all()
        secrets = [
            value
            for event in events
            for name, value in (event.evidence or {}).items()
            if name in ("token_hash", "withdrawal_hash")
        ]
        assert len(secrets) == 2
        assert not any(secret in answer.text for secret in secrets)
        assert "reader.example" not in answer.text

    def test_nor_does_it_where_an_event_says_how_the_consent_stood_before(
        self, staff_client: FlaskClient, session: Session, keys: Keys, text: ConsentText
    ) -> None:
        given = ask(session, keys, text, NOW, withdrawal_key="the-key-of-its-page")
        confirm(session, links(keys), tokens(session)[0], NOW)
        withdraw(session, links(keys), given, method="page", now=NOW)
        again = sign_up(session, keys, text, NOW)
        process_sign_up(session, Desk(links(keys)), again.id, NOW + timedelta(days=1))
        withdraw(session, links(keys), given, method="page", now=NOW + timedelta(days=1))
        session.commit()

        answer = staff_client.get(f"/v1/consents/{given.id}")

        assert answer.get_json()["events"][-1]["evidence"]["before"]["state"] == "withdrawn"
        assert token_hash("the-key-of-its-page").hex() not in answer.text

    def test_that_somebody_looked_leaves_an_audit_row(
        self, staff_client: FlaskClient, session: Session, consent: Consent
    ) -> None:
        staff_client.get(f"/v1/consents/{consent.id}")

        [entry] = audited(session, "consent.viewed")
        assert (entry.object_type, entry.object_id) == ("consent", str(consent.id))

    @pytest.mark.parametrize("call", ["get", "post"])
    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    def test_an_unknown_one_is_not_found(
        self, staff_client: FlaskClient, session: Session, call: str
    ) -> None:
        path = f"/v1/consents/{uuid.uuid4()}"
        answer = staff_client.get(path) if call == "get" else staff_client.post(f"{path}/withdraw")

        assert (answer.status_code, answer.get_json()["code"]) == (404, "consent_not_found")
        assert audited(session, "consent.viewed") == []

    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    def test_each_call_needs_its_scope(
        self, staff_client_with: Callable[..., FlaskClient], consent: Consent
    ) -> None:
        path = f"/v1/consents/{consent.id}"

        assert staff_client_with("polls:write").get(path).status_code == 403
        assert staff_client_with("consents:read").post(f"{path}/withdraw").status_code == 403


class TestWithdraw:
    def test_it_ends_the_consent_tells_the_publisher_and_names_who_did_it(
        self, staff_client_with: Callable[..., FlaskClient], session: Session, consent: Consent
    ) -> None:
        client = staff_client_with("consents:manage")
        found = client.post(f"/v1/consents/{consent.id}/withdraw", json={"note": "Asked\non the phone."})

        last = found.get_json()["events"][-1]
        [entry] = audited(session, "consent.withdrawn")
        told = session.scalars(select(OutboxEvent).where(OutboxEvent.kind == "consent.withdrawn")).one()
        assert found.get_json()["consent"]["state"] == "withdrawn"
        assert (last["kind"], last["method"], last["evidence"]) == (
            "withdrawn",
            "staff",
            {"note": "Asked\non the phone."},
        )
        assert last["actor"] == entry.actor
        assert last["actor"].startswith("token:")
        assert entry.detail == {"before": "active", "after": "withdrawn"}
        assert orjson.loads(told.data or "")["state"] == "withdrawn"

    def test_it_drops_what_waits_of_the_same_address(
        self, staff_client: FlaskClient, session: Session, keys: Keys, consent: Consent, text: ConsentText
    ) -> None:
        sign_up(session, keys, text, NOW, email=consent.subscriber.email)
        session.commit()

        staff_client.post(f"/v1/consents/{consent.id}/withdraw", json={})

        session.commit()
        assert session.scalars(select(SignUp)).all() == []

    @pytest.mark.parametrize("state", [State.PENDING, State.WITHDRAWN, State.EXPIRED])
    def test_what_never_was_active_or_ended_already_is_told_to_nobody(
        self, staff_client: FlaskClient, session: Session, keys: Keys, text: ConsentText, state: State
    ) -> None:
        consent = make_consent(session, keys, text, NOW, email="bob@reader.example", state=state)
        session.commit()
        before = len(session.scalars(select(OutboxEvent)).all())

        answer = staff_client.post(f"/v1/consents/{consent.id}/withdraw")

        is_changed = state == State.PENDING
        session.commit()
        assert answer.status_code == 200
        assert answer.get_json()["consent"]["state"] == ("withdrawn" if is_changed else state)
        assert len(audited(session, "consent.withdrawn")) == is_changed
        assert len(session.scalars(select(OutboxEvent)).all()) == before

    @pytest.mark.parametrize(
        "note", ["ada@reader.example asked", "x" * 501, "  ", "a\u202eb", 7, "ada\uff20reader"], ids=repr
    )
    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    def test_a_note_that_may_name_a_person_or_is_none_is_refused(
        self, staff_client: FlaskClient, session: Session, consent: Consent, note: Any
    ) -> None:
        answer = staff_client.post(f"/v1/consents/{consent.id}/withdraw", json={"note": note})

        session.refresh(consent)
        assert answer.status_code == 422
        assert [error["field"] for error in answer.get_json()["errors"]] == ["note"]
        assert consent.state == "active"
