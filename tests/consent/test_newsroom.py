"""Consent over HTTP, the newsroom's calls: texts are published, and consents looked up by address."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from pollsvc.articles.service import get_site
from pollsvc.consent.models import ConsentText, Subscriber
from pollsvc.consent.signing_up import Desk, due_sign_ups, process_sign_up
from pollsvc.keys import Keys
from pollsvc.staff.models import AuditEntry
from tests.consent.acts import links
from tests.consent.stored import tables_with
from tests.factories import ARTICLE_URL, ORIGIN, make_consent_text, make_site


def fields_of(response: TestResponse) -> list[str]:
    return [error["field"] for error in response.get_json()["errors"]]


BODY = "Send me both newsletters of The Harbour Gazette. I may unsubscribe at any time."


def worker_looks(session: Session, keys: Keys, now: datetime) -> None:
    """Decide the sign-ups that are due, as the worker does."""
    desk = Desk(links(keys))
    for sign_up in session.scalars(due_sign_ups(now)).all():
        process_sign_up(session, desk, sign_up.id, now)
    session.commit()


@pytest.fixture
def text(session: Session) -> ConsentText:
    """A site's newsletter text, committed."""
    made = make_consent_text(session, site=make_site(session))
    session.commit()
    return made


@pytest.fixture
def form(text: ConsentText) -> dict[str, Any]:
    """What a reader sends."""
    return {
        "text_id": str(text.id),
        "email": "ada@reader.example",
        "accepted": True,
        "article_url": ARTICLE_URL,
    }


class TestSearchConsents:
    @pytest.fixture
    def reader(self, staff_client_with: Callable[..., FlaskClient]) -> FlaskClient:
        return staff_client_with("consents:read")

    def test_item_holds_state_and_proof(
        self, client: FlaskClient, reader: FlaskClient, form: dict[str, Any], text: ConsentText
    ) -> None:
        client.post("/v1/consents", json=form, headers={"Origin": ORIGIN})

        response = reader.post("/v1/consents/search", json={"email": "ADA@reader.example"})

        assert response.status_code == 200
        answer = response.get_json()
        (item,) = answer["items"]
        assert answer["next_cursor"] is None
        assert item == {
            "id": item["id"],
            "site_id": str(text.site_id),
            "purpose": "newsletter",
            "state": "pending",
            "mode": "explicit",
            "is_gdpr_consent": True,
            "text": {
                "id": str(text.id),
                "body": text.body,
                "hash": text.body_hash.hex(),
                "privacy_url": text.privacy_url,
                "terms_url": text.terms_url,
            },
            "article_url": ARTICLE_URL,
            "origin": ORIGIN,
            "occurred_at": item["occurred_at"],
            "confirmed_at": None,
            "changed_at": item["occurred_at"],
            "valid_until": None,
            "is_suspect": True,
        }
        assert uuid.UUID(item["id"]).version == 7
        assert datetime.fromisoformat(item["occurred_at"]).utcoffset() == timedelta(0)
        assert response.headers["Cache-Control"] == "private, no-store"

    @pytest.fixture
    def signed_up(self, client: FlaskClient, session: Session, keys: Keys, text: ConsentText) -> list[str]:
        """Ada signs up for three purposes, and Eve for one; give Ada's texts, oldest first."""
        site = get_site(session, text.site_id)
        texts = [str(text.id)]
        texts += [
            str(make_consent_text(session, site=site, purpose=each).id) for each in ("events", "alerts")
        ]
        session.commit()
        for text_id, name in zip([*texts, texts[0]], ["ada", "ada", "ada", "eve"], strict=True):
            form = {"text_id": text_id, "email": f"{name}@reader.example", "accepted": True}
            client.post("/v1/consents", json=form | {"article_url": ARTICLE_URL})
        # The mails come a quarter of an hour apart; the newsroom sees all three when the last was written.
        for hour in range(3):
            worker_looks(session, keys, datetime.now(UTC) + timedelta(hours=hour))
        return texts

    def test_only_this_addresss_consents_newest_first(
        self, reader: FlaskClient, signed_up: list[str]
    ) -> None:
        items = reader.post("/v1/consents/search", json={"email": "ada@reader.example"}).get_json()["items"]

        assert [item["text"]["id"] for item in items] == signed_up[::-1]

    def test_page_by_page(self, reader: FlaskClient, signed_up: list[str]) -> None:
        search = {"email": "ada@reader.example", "limit": 2}

        first = reader.post("/v1/consents/search", json=search).get_json()
        second = reader.post("/v1/consents/search", json=search | {"cursor": first["next_cursor"]}).get_json()

        texts = [item["text"]["id"] for item in first["items"] + second["items"]]
        assert (texts, second["next_cursor"]) == (signed_up[::-1], None)

    def test_unknown_address_has_no_items(self, reader: FlaskClient, session: Session) -> None:
        response = reader.post("/v1/consents/search", json={"email": "nobody@reader.example"})

        assert (response.status_code, response.get_json()) == (200, {"items": [], "next_cursor": None})
        entry = session.scalars(select(AuditEntry).where(AuditEntry.action == "consents.searched")).one()
        assert entry.object_id == ""

    def test_audit_row_names_token_and_subscriber_and_never_the_address(
        self, client: FlaskClient, staff_client: FlaskClient, session: Session, form: dict[str, Any]
    ) -> None:
        client.post("/v1/consents", json=form | {"email": "canary@reader.example"})

        staff_client.post("/v1/consents/search", json={"email": "canary@reader.example"})

        entry = session.scalars(select(AuditEntry).where(AuditEntry.action == "consents.searched")).one()
        assert entry.actor.startswith("token:")
        assert entry.object_id == str(session.scalars(select(Subscriber.id)).one())
        assert tables_with(session, b"canary") == set()
        assert "canary" not in staff_client.get("/v1/audit").get_data(as_text=True)

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            pytest.param({}, "email", id="no address"),
            pytest.param({"email": "ada"}, "email", id="half an address"),
            pytest.param({"email": "ada@reader.example", "limit": 0}, "limit", id="limit 0"),
            pytest.param({"email": "ada@reader.example", "limit": 101}, "limit", id="limit 101"),
            pytest.param({"email": "ada@reader.example", "limit": "2"}, "limit", id="limit as a text"),
            pytest.param({"email": "ada@reader.example", "cursor": "x"}, "cursor", id="cursor of nobody"),
            pytest.param({"email": "ada@reader.example", "q": "x"}, "q", id="unknown field"),
        ],
    )
    def test_what_breaks_a_rule_is_named_and_leaves_no_row(
        self, reader: FlaskClient, session: Session, body: dict[str, Any], field: str
    ) -> None:
        response = reader.post("/v1/consents/search", json=body)

        assert (response.status_code, fields_of(response)) == (422, [field])
        assert session.scalars(select(AuditEntry).where(AuditEntry.action == "consents.searched")).all() == []

    def test_address_is_taken_from_no_url(self, reader: FlaskClient) -> None:
        assert reader.get("/v1/consents/search?email=ada@reader.example").status_code == 405


class TestPublishText:
    @pytest.fixture
    def publisher(self, staff_client_with: Callable[..., FlaskClient]) -> FlaskClient:
        return staff_client_with("consents:manage")

    def test_answers_with_the_version(self, publisher: FlaskClient, text: ConsentText) -> None:
        body = {"site_id": str(text.site_id), "body": BODY}

        response = publisher.post("/v1/consent-texts", json=body)

        made = response.get_json()
        assert response.status_code == 201
        assert (made["version"], made["purpose"], made["body"]) == (2, "newsletter", body["body"])
        assert made["privacy_url"] == f"{ORIGIN}/privacy"
        assert len(bytes.fromhex(made["hash"])) == 32

    def test_new_polls_carry_it_and_polls_before_keep_theirs(
        self, staff_client: FlaskClient, text: ConsentText
    ) -> None:
        poll = {"article_urls": [ARTICLE_URL], "question": "At night?", "choices": ["Yes", "No"]}
        before = staff_client.post("/v1/polls", json=poll).get_json()

        newer = staff_client.post(
            "/v1/consent-texts", json={"site_id": str(text.site_id), "body": BODY}
        ).get_json()
        after = staff_client.post("/v1/polls", json=poll).get_json()

        shown = {name: newer[name] for name in ("id", "body", "privacy_url", "terms_url")}
        assert after["consent_text"] == shown
        assert before["consent_text"]["id"] == str(text.id)
        again = staff_client.get(f"/v1/polls/{before['id']}").get_json()
        assert again["consent_text"]["id"] == str(text.id)

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            pytest.param({"body": None}, "body", id="no body"),
            pytest.param({"body": "\u2063 "}, "body", id="blank body"),
            pytest.param({"body": "a" * 2_001}, "body", id="long body"),
            pytest.param({"body": "a\u202eb"}, "body", id="direction override"),
            pytest.param({"site_id": "1"}, "site_id", id="no id"),
            pytest.param({"privacy_url": "javascript:alert(1)"}, "privacy_url", id="script"),
            pytest.param({"terms_url": "/terms"}, "terms_url", id="path"),
            pytest.param({"version": 7}, "version", id="a version of one's own"),
            pytest.param({"purpose": "Free Gifts"}, "purpose", id="purpose with a space"),
            pytest.param({"mode": "implied"}, "mode", id="unknown mode"),
            pytest.param({"locale": "English"}, "locale", id="no language"),
            pytest.param({"default_checked": True}, "default_checked", id="ticked beforehand"),
            pytest.param({"is_required": True}, "is_required", id="a condition of the vote"),
        ],
    )
    def test_what_breaks_a_rule_is_named_and_nothing_is_stored(
        self,
        publisher: FlaskClient,
        session: Session,
        text: ConsentText,
        changes: dict[str, Any],
        field: str,
    ) -> None:
        body = {"site_id": str(text.site_id), "body": BODY}

        response = publisher.post("/v1/consent-texts", json=body | changes)

        assert (response.status_code, fields_of(response)) == (422, [field])
        session.commit()
        assert session.scalars(select(ConsentText.version)).all() == [1]

    def test_unknown_site(self, publisher: FlaskClient) -> None:
        body = {"site_id": str(uuid.uuid4()), "body": BODY}

        response = publisher.post("/v1/consent-texts", json=body)

        assert (response.status_code, response.get_json()["code"]) == (404, "site_not_found")


class TestListTexts:
    def test_newest_first_of_all_or_of_a_site(
        self, staff_client_with: Callable[..., FlaskClient], session: Session, text: ConsentText
    ) -> None:
        other = make_consent_text(
            session, site=make_site(session, name="Post", origins=["https://post.example"])
        )
        session.commit()
        reader = staff_client_with("consents:read")

        everything = reader.get("/v1/consent-texts").get_json()["items"]
        of_site = reader.get(f"/v1/consent-texts?site_id={text.site_id}").get_json()["items"]

        assert [item["id"] for item in everything] == [str(other.id), str(text.id)]
        assert [item["id"] for item in of_site] == [str(text.id)]


class TestGuard:
    CALLS = (
        pytest.param("POST", "/v1/consents/search", "consents:read", id="search"),
        pytest.param("POST", "/v1/consent-texts", "consents:manage", id="publish"),
        pytest.param("GET", "/v1/consent-texts", "consents:read", id="list"),
    )

    @pytest.mark.parametrize(("method", "path", "scope"), CALLS)
    def test_reader_is_refused(self, client: FlaskClient, method: str, path: str, scope: str) -> None:
        assert client.open(path, method=method, json={}).status_code == 401

    @pytest.mark.parametrize(("method", "path", "scope"), CALLS)
    def test_other_scopes_are_refused(
        self, staff_client_with: Callable[..., FlaskClient], method: str, path: str, scope: str
    ) -> None:
        others = {"polls:write", "corrections:manage", "consents:read", "consents:manage"} - {scope}

        assert staff_client_with(*others).open(path, method=method, json={}).status_code == 403
