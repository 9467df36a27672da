"""Consent over HTTP: readers tick a box beside the vote, the newsroom publishes texts and looks consents up."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient
from sqlalchemy import event, func, select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from pollsvc.articles.models import Article
from pollsvc.articles.service import get_site
from pollsvc.consent.models import ConsentEvent, ConsentText, Subscriber
from pollsvc.keys import Keys
from pollsvc.polls.models import Ballot
from pollsvc.web.forms import issue_form_token
from tests.consent.stored import files_with, tables_with
from tests.factories import (
    ARTICLE_URL,
    ORIGIN,
    make_consent_text,
    make_poll,
    make_site,
    make_voter_token,
)

Submit = Callable[..., tuple[TestResponse, list[bool]]]

RECEIVED = {"status": "received", "message": "Thank you. Your sign-up has arrived."}


def fields_of(response: TestResponse) -> list[str]:
    return [error["field"] for error in response.get_json()["errors"]]


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


def stored(session: Session) -> list[int]:
    """Count the rows that a consent may leave: events, subscribers, articles."""
    session.commit()
    return [
        session.scalars(select(func.count()).select_from(model)).one()
        for model in (ConsentEvent, Subscriber, Article)
    ]


class TestRecordConsent:
    def test_is_received_and_recorded(
        self, client: FlaskClient, session: Session, form: dict[str, Any], text: ConsentText
    ) -> None:
        began = datetime.now(UTC)

        response = client.post("/v1/consents", json=form, headers={"Origin": ORIGIN})

        assert (response.status_code, response.get_json()) == (202, RECEIVED)
        recorded = session.scalars(select(ConsentEvent)).one()
        assert (recorded.text_id, recorded.text_hash) == (text.id, text.body_hash)
        assert (recorded.article_url, recorded.origin) == (ARTICLE_URL, ORIGIN)
        assert began <= recorded.occurred_at <= datetime.now(UTC)

    def test_answer_is_private_and_readable_by_the_sites_pages_only(
        self, client: FlaskClient, form: dict[str, Any]
    ) -> None:
        own = client.post("/v1/consents", json=form, headers={"Origin": ORIGIN})
        foreign = client.post("/v1/consents", json=form, headers={"Origin": "https://elsewhere.example"})

        assert own.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert "Access-Control-Allow-Origin" not in foreign.headers
        assert own.headers["Cache-Control"] == "private, no-store"

    def test_superseded_text_is_taken(
        self, client: FlaskClient, session: Session, form: dict[str, Any], text: ConsentText
    ) -> None:
        newer = make_consent_text(session, site=get_site(session, text.site_id), body="Send me both.")
        session.commit()

        response = client.post("/v1/consents", json=form)

        assert response.status_code == 202
        assert session.scalars(select(ConsentEvent.text_hash)).one() == text.body_hash != newer.body_hash

    def test_one_address_is_one_subscriber_whatever_its_case(
        self, client: FlaskClient, session: Session, form: dict[str, Any]
    ) -> None:
        for email in ("ada@reader.example", " ADA@Reader.Example ", "Ada@READER.example"):
            assert client.post("/v1/consents", json=form | {"email": email}).get_json() == RECEIVED

        assert stored(session) == [3, 1, 1]

    def test_known_and_new_address_are_answered_alike_by_the_same_statements(
        self, client: FlaskClient, form: dict[str, Any]
    ) -> None:
        client.post("/v1/consents", json=form)

        answers, runs = [], []
        for email in ("ada@reader.example", "eve@reader.example"):
            with watched_statements() as statements:
                response = client.post("/v1/consents", json=form | {"email": email})
            answers.append((response.status_code, response.get_data(), sorted(response.headers.keys())))
            runs.append(statements)

        assert answers[0] == answers[1]
        assert runs[0] == runs[1] != []

    @pytest.mark.parametrize(
        "email",
        [
            pytest.param("ada+news@reader.example", id="tag"),
            pytest.param("j\u00f6rg@b\u00fccher.example", id="letters of its own"),
            pytest.param("ada@no-such-host.reader.example", id="a domain that DNS knows nothing of"),
            pytest.param("a" * 64 + "@reader.example", id="longest local part"),
        ],
    )
    def test_address_is_taken(
        self, client: FlaskClient, session: Session, form: dict[str, Any], email: str
    ) -> None:
        assert client.post("/v1/consents", json=form | {"email": email}).status_code == 202
        assert session.scalars(select(Subscriber)).one().email == email

    def test_address_stands_nowhere_in_the_clear(
        self, client: FlaskClient, session: Session, form: dict[str, Any]
    ) -> None:
        client.post(
            "/v1/consents",
            json=form | {"email": "canary-email@reader.example"},
            headers={"User-Agent": "canary-agent", "X-Forwarded-For": "203.0.113.77"},
            environ_base={"REMOTE_ADDR": "198.51.100.77"},
        )

        needles = (b"canary-", b"203.0.113.77", b"198.51.100.77")
        assert tables_with(session, *needles) == set()
        assert files_with(session, *needles) == set()


class TestRefusedConsent:
    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            pytest.param({"accepted": False}, "accepted", id="box not ticked"),
            pytest.param({"accepted": None}, "accepted", id="box null"),
            pytest.param({"accepted": 1}, "accepted", id="box one"),
            pytest.param({"accepted": 1.0}, "accepted", id="box 1.0"),
            pytest.param({"accepted": "true"}, "accepted", id="box a word"),
            pytest.param({"accepted": "on"}, "accepted", id="box as forms send it"),
            pytest.param({"accepted": [True]}, "accepted", id="box in a list"),
            pytest.param({"email": None}, "email", id="no address"),
            pytest.param({"email": ""}, "email", id="empty address"),
            pytest.param({"email": "ada"}, "email", id="no at sign"),
            pytest.param({"email": "ada@"}, "email", id="no domain"),
            pytest.param({"email": "@reader.example"}, "email", id="no local part"),
            pytest.param({"email": "ada@reader"}, "email", id="no dot in the domain"),
            pytest.param({"email": "ada@@reader.example"}, "email", id="two at signs"),
            pytest.param({"email": "ada@reader..example"}, "email", id="two dots"),
            pytest.param({"email": "ada lovelace@reader.example"}, "email", id="space"),
            pytest.param({"email": "Ada <ada@reader.example>"}, "email", id="name and address"),
            pytest.param({"email": "ada@reader.example,eve@reader.example"}, "email", id="two addresses"),
            pytest.param({"email": "ada@reader.example\r\nBcc: eve@x.example"}, "email", id="header"),
            pytest.param({"email": "ada\u0000@reader.example"}, "email", id="NUL"),
            pytest.param({"email": "\u202eada@reader.example"}, "email", id="direction override"),
            pytest.param({"email": "ada@[127.0.0.1]"}, "email", id="network address"),
            pytest.param({"email": "a@" + "b." * 130 + "example"}, "email", id="long address"),
            pytest.param({"email": "a" * 5_000}, "email", id="very long address"),
            pytest.param({"email": "a\u0301" * 150 + "@reader.example"}, "email", id="many marks"),
            pytest.param({"email": 7}, "email", id="number for an address"),
            pytest.param({"email": ["ada@reader.example"]}, "email", id="list of addresses"),
            pytest.param({"text_id": None}, "text_id", id="no text"),
            pytest.param({"text_id": "newest"}, "text_id", id="text by a word"),
            pytest.param({"text_id": 1}, "text_id", id="text by a number"),
            pytest.param({"text_id": str(uuid.uuid4())}, "text_id", id="unknown text"),
            pytest.param({"article_url": None}, "article_url", id="no article"),
            pytest.param({"article_url": "harbour"}, "article_url", id="no URL"),
            pytest.param({"article_url": "https://other.example/a"}, "article_url", id="host of nobody"),
            pytest.param({"article_url": f"{ORIGIN}/{'a' * 2000}"}, "article_url", id="long URL"),
            pytest.param({"occurred_at": "2020-01-01T00:00:00Z"}, "occurred_at", id="a time of one's own"),
            pytest.param({"voter_token": "x"}, "voter_token", id="the voter's token"),
            pytest.param({"is_suspect": False}, "is_suspect", id="a verdict of one's own"),
        ],
    )
    def test_what_breaks_a_rule_is_named_and_nothing_is_stored(
        self, client: FlaskClient, session: Session, form: dict[str, Any], changes: dict[str, Any], field: str
    ) -> None:
        response = client.post("/v1/consents", json=form | changes)

        assert (response.status_code, response.get_json()["code"]) == (422, "invalid")
        assert fields_of(response) == [field]
        assert stored(session) == [0, 0, 0]

    def test_each_missing_field_is_named(self, client: FlaskClient, session: Session) -> None:
        response = client.post("/v1/consents", json={})

        assert response.status_code == 422
        assert sorted(fields_of(response)) == ["accepted", "article_url", "email", "text_id"]
        assert stored(session) == [0, 0, 0]

    def test_text_of_another_site_is_refused_with_the_article_left_unmade(
        self, client: FlaskClient, session: Session, form: dict[str, Any]
    ) -> None:
        make_site(session, name="Post", origins=["https://post.example"])
        session.commit()

        response = client.post("/v1/consents", json=form | {"article_url": "https://post.example/story"})

        assert (response.status_code, fields_of(response)) == (422, ["text_id"])
        assert stored(session) == [0, 0, 0]

    def test_refusal_repeats_nothing_of_the_address(self, client: FlaskClient, form: dict[str, Any]) -> None:
        response = client.post("/v1/consents", json=form | {"email": "canary@localhost"})

        assert response.status_code == 422
        assert "canary" not in response.get_data(as_text=True)

    @pytest.mark.parametrize(
        ("sent", "status"),
        [
            pytest.param({"data": {"email": "ada@reader.example"}}, 415, id="form"),
            pytest.param({"data": "{}", "content_type": "text/plain"}, 415, id="text"),
            pytest.param({"data": '{"email": ', "content_type": "application/json"}, 400, id="cut JSON"),
            pytest.param({"json": ["ada@reader.example"]}, 400, id="list"),
            pytest.param({"json": {"email": "a" * 8_192}}, 413, id="over the cap"),
        ],
    )
    def test_body_that_is_no_form_of_ours(
        self, client: FlaskClient, session: Session, sent: dict[str, Any], status: int
    ) -> None:
        response = client.post("/v1/consents", **sent)

        assert response.status_code == status
        assert response.content_type == "application/problem+json"
        assert stored(session) == [0, 0, 0]

    def test_twenty_a_minute_are_taken_from_a_network(
        self, client: FlaskClient, session: Session, form: dict[str, Any]
    ) -> None:
        refused = [client.post("/v1/consents", json={}).status_code for _ in range(20)]

        over = client.post("/v1/consents", json=form)
        elsewhere = client.post("/v1/consents", json=form, environ_base={"REMOTE_ADDR": "198.51.100.7"})

        assert set(refused) == {422}
        assert (over.status_code, over.get_json()["code"]) == (429, "rate_limited")
        assert int(over.headers["Retry-After"]) > 0
        assert elsewhere.status_code == 202
        assert stored(session)[0] == 1

    @pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
    def test_other_methods_are_refused(self, client: FlaskClient, method: str) -> None:
        assert client.open("/v1/consents", method=method).status_code == 405


class TestFormSignals:
    @pytest.mark.parametrize(
        ("age", "website", "is_suspect"),
        [
            pytest.param(300, "", False, id="a person"),
            pytest.param(300, None, False, id="a person, null in the honeypot"),
            pytest.param(300, "https://spam.example", True, id="honeypot filled"),
            pytest.param(0, "", True, id="too fast"),
            pytest.param(200_000, "", True, id="too old"),
            pytest.param(-300, "", True, id="from the future"),
        ],
    )
    def test_honeypot_and_age_mark_and_never_refuse(
        self, submit: Submit, keys: Keys, age: int, website: str | None, is_suspect: bool
    ) -> None:
        form_token = issue_form_token(keys, datetime.now(UTC) - timedelta(seconds=age))

        response, marks = submit(form_token=form_token, website=website)

        assert (response.status_code, response.get_json()) == (202, RECEIVED)
        assert marks == [is_suspect]

    @pytest.mark.parametrize(
        "form_token", ["", None, "forged", "a.b", "\u0000", "\u00e9", "x" * 5_000], ids=ascii
    )
    def test_missing_or_forged_token_marks_too(self, submit: Submit, form_token: str | None) -> None:
        response, marks = submit(form_token=form_token)

        assert (response.status_code, response.get_json()) == (202, RECEIVED)
        assert marks == [True]

    def test_signals_may_be_left_out(self, submit: Submit) -> None:
        response, marks = submit()

        assert (response.status_code, marks) == (202, [True])

    @pytest.fixture
    def submit(self, client: FlaskClient, session: Session, form: dict[str, Any]) -> Submit:
        """Send the form with these signals; give the answer and the marks of what was recorded."""

        def send(**signals: Any) -> tuple[TestResponse, list[bool]]:
            response = client.post("/v1/consents", json=form | signals)
            return response, list(session.scalars(select(ConsentEvent.is_suspect)))

        return send


class TestVoteBesideConsent:
    @pytest.mark.parametrize(
        ("changes", "status"),
        [
            pytest.param({}, 202, id="given"),
            pytest.param({"accepted": False}, 422, id="not given"),
            pytest.param({"email": "ada@"}, 422, id="with a wrong address"),
        ],
    )
    def test_counts_the_same_whatever_became_of_the_consent(
        self, client: FlaskClient, session: Session, keys: Keys, changes: dict[str, Any], status: int
    ) -> None:
        poll = make_poll(session, consent_text_id=make_consent_text(session, site=make_site(session)).id)
        session.commit()
        form = {
            "text_id": str(poll.consent_text_id),
            "email": "ada@reader.example",
            "accepted": True,
            "article_url": ARTICLE_URL,
        }

        consent = client.post("/v1/consents", json=form | changes)
        vote = client.post(
            f"/v1/polls/{poll.id}/votes", json={"choices": [1], "voter_token": make_voter_token(keys)}
        )

        assert (consent.status_code, vote.status_code) == (status, 201)
        assert vote.get_json()["results"]["total_voters"] == 1
        assert session.scalars(select(func.count()).select_from(Ballot)).one() == 1


@contextmanager
def watched_statements() -> Iterator[list[str]]:
    """Gather the SQL that the application sends."""
    statements: list[str] = []

    def note(*given: Any) -> None:
        statements.append(given[2])

    event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(sa.Engine, "before_cursor_execute", note)
