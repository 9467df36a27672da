"""The pages behind our mails' links: looking changes nothing, a press acts once, and every token is answered alike."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from pollsvc.consent.models import State
from pollsvc.consent.tokens import leaving_token
from pollsvc.keys import Keys
from tests.consent.readers import EMAIL, MINUTE, WEEK, Newsletter
from tests.embeds.pages import faults_of, form_of, has_form

ONE_CLICK = {"List-Unsubscribe": "One-Click"}
URLENCODED = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"


@pytest.fixture
def newsletter(session: Session, keys: Keys) -> Newsletter:
    """A site's newsletter, at the time of day: what goes over HTTP reads the real clock."""
    return Newsletter(session, keys, datetime.now(UTC) - MINUTE)


@pytest.fixture
def confirming(newsletter: Newsletter) -> str:
    """The path of a link that confirms."""
    newsletter.sign_up()
    return f"/consent/{newsletter.tokens()[0]}"


@pytest.fixture
def leaving(newsletter: Newsletter) -> str:
    """The path of a link that leaves."""
    consent = newsletter.activate()
    newsletter.session.rollback()
    return f"/unsubscribe/{leaving_token(newsletter.keys, consent.id)}"


def state_of(newsletter: Newsletter) -> str:
    """How Ada's consent stands now."""
    newsletter.session.rollback()
    newsletter.session.expire_all()
    return newsletter.consent().state


def method_of(newsletter: Newsletter) -> str:
    """How she left."""
    newsletter.session.rollback()
    return str(
        newsletter.session.scalar(sa.text("SELECT method FROM consent_event WHERE kind = 'withdrawn'"))
    )


def happened(newsletter: Newsletter, kind: str) -> int:
    """How often this happened, until now."""
    newsletter.session.rollback()
    return newsletter.happened().count(kind)


def shown(answer: TestResponse) -> tuple[int, str]:
    """What a page says, letter by letter."""
    return answer.status_code, answer.text


class TestLooking:
    @pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
    def test_changes_nothing(
        self, client: FlaskClient, newsletter: Newsletter, confirming: str, method: str
    ) -> None:
        for _ in range(3):
            assert client.open(confirming, method=method).status_code == 200

        assert state_of(newsletter) == State.PENDING

    @pytest.mark.parametrize(
        "query", ["?confirm=true", "?List-Unsubscribe=One-Click", "?all=1", "?_method=POST"]
    )
    def test_with_words_in_the_address_changes_nothing(
        self, client: FlaskClient, newsletter: Newsletter, leaving: str, query: str
    ) -> None:
        assert client.get(leaving + query).status_code == 200

        assert state_of(newsletter) == State.ACTIVE

    @pytest.mark.parametrize("path", ["/consent/x", "/unsubscribe/x"])
    def test_shows_one_form_with_one_button_and_nothing_to_fill_in(
        self, client: FlaskClient, path: str
    ) -> None:
        form = form_of(client.get(path).text)

        assert (form.method, form.action, form.fields, form.buttons) == ("post", "", {}, 1)

    @pytest.mark.parametrize("path", ["/consent/x", "/unsubscribe/x"])
    def test_is_told_to_nobody_and_kept_nowhere(self, client: FlaskClient, path: str) -> None:
        for answer in (client.get(path), client.post(path)):
            assert answer.headers["Referrer-Policy"] == "no-referrer"
            assert answer.headers["Cache-Control"] == "private, no-store"
            assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
            assert "Set-Cookie" not in answer.headers
            assert '<meta name="robots" content="noindex">' in answer.text
            assert "<script" not in answer.text
            assert "http://" not in answer.text
            assert "https://" not in answer.text
            assert faults_of(answer.text) == []

    @pytest.mark.parametrize("token", ['"><script>alert(1)', "a'b", "ü", "&amp;", "{{7*7}}"])
    def test_writes_a_hostile_token_as_text(self, client: FlaskClient, token: str) -> None:
        page = client.get("/consent/" + token).text

        assert "<script" not in page
        assert "49" not in page
        assert faults_of(page) == []
        assert has_form(page)


class TestConfirming:
    def test_acts_once_and_says_the_same_twice(
        self, client: FlaskClient, newsletter: Newsletter, confirming: str
    ) -> None:
        first, second = client.post(confirming), client.post(confirming)

        assert first.status_code == 200
        assert "your sign-up is confirmed" in first.text
        assert shown(first) == shown(second)
        assert happened(newsletter, "confirmed") == 1

    def test_answers_every_token_alike(
        self, client: FlaskClient, newsletter: Newsletter, confirming: str, app: Flask
    ) -> None:
        newsletter.now -= WEEK
        newsletter.sign_up("late@reader.example")
        expired = f"/consent/{newsletter.tokens()[-1]}"
        newsletter.session.rollback()
        paths = [confirming, confirming, expired, "/consent/" + "a" * 43, "/consent/x", "/consent/ü%00"]

        answers = [shown(client.post(path)) for path in paths]

        assert len(set(answers)) == 1
        assert happened(newsletter, "confirmed") == 1

    def test_is_not_done_by_the_link_that_leaves(
        self, client: FlaskClient, newsletter: Newsletter, confirming: str
    ) -> None:
        leaving = leaving_token(newsletter.keys, newsletter.consent().id)
        newsletter.session.rollback()

        client.post(f"/consent/{leaving}")

        assert state_of(newsletter) == State.PENDING


class TestLeaving:
    @pytest.mark.parametrize("content_type", [URLENCODED, MULTIPART])
    def test_by_a_mail_provider_takes_one_post(
        self, client: FlaskClient, newsletter: Newsletter, leaving: str, content_type: str
    ) -> None:
        """RFC 8058 §3.2: no cookie, no context, no redirect; both encodings."""
        answer = client.application.test_client(use_cookies=False).post(
            leaving, data=ONE_CLICK, content_type=content_type
        )

        assert answer.status_code == 200
        assert "Location" not in answer.headers
        assert "Set-Cookie" not in answer.headers
        assert state_of(newsletter) == State.WITHDRAWN
        assert method_of(newsletter) == "one_click"

    def test_by_the_page_s_button_is_noted_as_such(
        self, client: FlaskClient, newsletter: Newsletter, leaving: str
    ) -> None:
        form = form_of(client.get(leaving).text)

        client.post(leaving, data=form.filled())

        assert state_of(newsletter) == State.WITHDRAWN
        assert method_of(newsletter) == "page"

    @pytest.mark.parametrize(
        "sent",
        [
            pytest.param({}, id="nothing"),
            pytest.param({"data": b"", "content_type": URLENCODED}, id="an empty form"),
            pytest.param({"data": {"website": "x", "more": "y"}}, id="fields of nobody's"),
            pytest.param({"data": b"{}", "content_type": "application/json"}, id="JSON"),
            pytest.param({"data": b"One-Click", "content_type": "text/plain"}, id="plain text"),
            pytest.param({"data": b"\xff\xfe\x00", "content_type": "nonsense"}, id="no type at all"),
            pytest.param(
                {"data": b"List-Unsubscribe=%FF%00", "content_type": URLENCODED}, id="broken letters"
            ),
            pytest.param({"data": b"x", "content_type": MULTIPART}, id="multipart without a boundary"),
            pytest.param(
                {"data": b"--b\r\nbroken", "content_type": f"{MULTIPART}; boundary=b"}, id="broken multipart"
            ),
            pytest.param({"data": b"a=" + b"b" * 100_000, "content_type": URLENCODED}, id="far too much"),
            pytest.param(
                {"data": {f"field{n}": "x" for n in range(2_000)}, "content_type": MULTIPART}, id="many parts"
            ),
            pytest.param({"headers": {"Transfer-Encoding": "chunked"}}, id="of unknown length"),
            pytest.param({"headers": {"Origin": "https://mail.example"}}, id="from a foreign page"),
            pytest.param({"headers": {"Origin": "null"}}, id="from a page without an origin"),
            pytest.param({"headers": {"Cookie": "pollsvc_voter=forged"}}, id="with a cookie"),
            pytest.param({"headers": {"Sec-Fetch-Site": "cross-site"}}, id="across sites"),
        ],
    )
    def test_is_kept_back_by_nothing_that_comes_along(
        self, client: FlaskClient, newsletter: Newsletter, leaving: str, sent: dict[str, Any]
    ) -> None:
        answer = client.post(leaving, **sent)

        assert answer.status_code == 200
        assert "If this link was valid, you have left." in answer.text
        assert state_of(newsletter) == State.WITHDRAWN

    def test_repeats_with_the_same_page(
        self, client: FlaskClient, newsletter: Newsletter, leaving: str
    ) -> None:
        answers = {shown(client.post(leaving, data=ONE_CLICK)) for _ in range(4)}

        assert len(answers) == 1
        assert happened(newsletter, "withdrawn") == 1

    @pytest.mark.parametrize("fields", [{}, ONE_CLICK, {"all": "1"}], ids=["page", "one click", "all"])
    def test_answers_every_token_alike(
        self, client: FlaskClient, newsletter: Newsletter, leaving: str, keys: Keys, fields: dict[str, str]
    ) -> None:
        nobody = "/unsubscribe/" + leaving_token(keys, newsletter.text.id)
        forged = leaving[:-4] + "AAAA"
        paths = [
            leaving,
            leaving,
            nobody,
            forged,
            "/unsubscribe/x",
            "/unsubscribe/ü%00",
            "/unsubscribe/" + "a" * 2_000,
        ]

        answers = [shown(client.post(path, data=fields)) for path in paths]

        assert len(set(answers)) == 1
        assert answers[0][0] == 200

    def test_of_everything_is_a_second_press(
        self, client: FlaskClient, newsletter: Newsletter, leaving: str
    ) -> None:
        form = form_of(client.post(leaving).text)
        assert (form.action, form.buttons) == ("", 1)

        page = client.post(leaving, data=form.filled()).text

        assert "you have left everything of ours" in page
        assert not has_form(page)

    def test_with_a_body_of_unknown_length_is_for_no_other_page(self, client: FlaskClient) -> None:
        answer = client.post("/v1/consents", headers={"Transfer-Encoding": "chunked"})

        assert answer.status_code == 411

    def test_is_limited_generously(self, make_app: Callable[..., Flask], session: Session) -> None:
        client = make_app(limit_links="2/minute").test_client()

        codes = [client.post("/unsubscribe/x").status_code for _ in range(3)]

        assert codes == [200, 200, 429]

    def test_of_somebody_who_never_confirmed_forgets_the_request(
        self, client: FlaskClient, newsletter: Newsletter, confirming: str
    ) -> None:
        path = f"/unsubscribe/{leaving_token(newsletter.keys, newsletter.consent().id)}"
        newsletter.session.rollback()

        client.post(path)
        client.post(confirming)

        assert state_of(newsletter) == State.WITHDRAWN
        assert EMAIL not in client.get(path).text
