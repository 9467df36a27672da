"""Consent over HTTP: a reader ticks a box beside the vote."""

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
from pollsvc.consent.models import ConsentText, SignUp
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
    """Count the rows that a consent may leave: sign-ups, articles."""
    session.commit()
    return [session.scalars(select(func.count()).select_from(model)).one() for model in (SignUp, Article)]


class TestRecordConsent:
    def test_is_received_and_recorded(
        self, client: FlaskClient, session: Session, form: dict[str, Any], text: ConsentText
    ) -> None:
        began = datetime.now(UTC)

        response = client.post("/v1/consents", json=form, headers={"Origin": ORIGIN})

        assert (response.status_code, response.get_json()) == (202, RECEIVED)
        recorded = session.scalars(select(SignUp)).one()
        assert recorded.text_id == text.id
        assert (recorded.article.url, recorded.origin) == (ARTICLE_URL, ORIGIN)
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
        make_consent_text(session, site=get_site(session, text.site_id))
        session.commit()

        response = client.post("/v1/consents", json=form)

        assert response.status_code == 202
        assert session.scalars(select(SignUp.text_id)).one() == text.id

    def test_one_address_has_one_hash_whatever_its_case(
        self, client: FlaskClient, session: Session, form: dict[str, Any]
    ) -> None:
        for email in ("ada@reader.example", " ADA@Reader.Example ", "Ada@READER.example"):
            assert client.post("/v1/consents", json=form | {"email": email}).get_json() == RECEIVED

        assert stored(session) == [3, 1]
        assert len(set(session.scalars(select(SignUp.email_hash)))) == 1

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
        assert session.scalars(select(SignUp)).one().email == email

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
            return response, list(session.scalars(select(SignUp.is_suspect)))

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
