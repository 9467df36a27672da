"""A correction by plain form: sent, and refused."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from pollsvc.articles.models import Site
from pollsvc.corrections.models import Correction
from pollsvc.keys import Keys
from pollsvc.web.forms import issue_form_token
from tests.embeds.pages import faults_of, form_of, has_form
from tests.embeds.visits import OURS, SITE, origin_header
from tests.factories import ARTICLE_URL, make_site

PAGE = "/embed/corrections"
FIELDS = {
    "article_url": ARTICLE_URL,
    "name": "Ada Reader",
    "email": "ada@reader.example",
    "message": "The ferry has two decks,\r\nnot three.",
}
HOSTILE = "\"></textarea><script>alert('1')</script>"


@pytest.fixture(autouse=True)
def site(session: Session) -> Site:
    made = make_site(session, origins=[SITE, "https://m.news.example"])
    session.commit()
    return made


def send(client: FlaskClient, *, origin: str | None = OURS, **changes: str) -> TestResponse:
    return client.post(PAGE, data=FIELDS | changes, headers=origin_header(origin))


def corrections(session: Session) -> list[Correction]:
    session.rollback()
    return list(session.scalars(select(Correction)))


class TestSubmit:
    def test_stores_it_and_thanks_on_a_page_that_a_reload_repeats(
        self, client: FlaskClient, session: Session
    ) -> None:
        answer = send(client)

        assert answer.status_code == 303
        assert answer.headers["Location"].startswith(f"{PAGE}?article_url=")
        (stored,) = corrections(session)
        assert stored.message == "The ferry has two decks,\nnot three."
        for _ in range(2):
            page = client.get(answer.headers["Location"]).text
            assert stored.reference in page
            assert "committed to accuracy" in page
            assert f'href="{SITE}/standards"' in page
            assert not has_form(page)
            assert faults_of(page) == []
        assert len(corrections(session)) == 1

    def test_tells_nothing_of_it_in_the_address(self, client: FlaskClient, session: Session) -> None:
        location = send(client).headers["Location"]

        (stored,) = corrections(session)
        assert not any(
            word in location for word in ("ada@", "ada%40", "Reader", "ferry%20has", stored.reference)
        )

    @pytest.mark.parametrize("receipt", ["", "made up", "another article's", "too old"])
    def test_receipt_that_is_no_good_leads_to_the_form(
        self, client: FlaskClient, keys: Keys, receipt: str
    ) -> None:
        other = send(client, article_url=f"{SITE}/other").headers["Location"].partition("receipt=")[2]
        given = {"another article's": other}.get(receipt, receipt)

        answer = client.get(PAGE, query_string={"article_url": ARTICLE_URL, "receipt": given})

        assert answer.status_code == 200
        assert has_form(answer.text)

    @pytest.mark.parametrize("origin", [OURS, SITE, "https://m.news.example"])
    def test_acts_at_once_from_a_page_that_we_know(
        self, client: FlaskClient, session: Session, origin: str
    ) -> None:
        assert send(client, origin=origin).status_code == 303
        assert len(corrections(session)) == 1

    @pytest.mark.parametrize(
        "origin",
        [
            pytest.param("https://attacker.example", id="foreign"),
            pytest.param("https://other.example", id="of another site of ours"),
            pytest.param("null", id="null"),
            pytest.param(None, id="none"),
        ],
    )
    def test_from_elsewhere_is_asked_for_once_more_and_stores_nothing(
        self, client: FlaskClient, session: Session, origin: str | None
    ) -> None:
        make_site(session, name="Other", origins=["https://other.example"])
        session.commit()

        answer = send(client, origin=origin)

        assert answer.status_code == 200
        assert "Nothing has been sent yet." in answer.text
        form = form_of(answer.text)
        assert form.fields["message"] == ["The ferry has two decks,\nnot three."]
        assert form.buttons == 1
        assert corrections(session) == []

    def test_asked_for_once_more_is_sent_by_the_button(self, client: FlaskClient, session: Session) -> None:
        form = form_of(send(client, origin=None).text)

        answer = client.post(form.action, data=form.filled(), headers={"Origin": OURS})

        assert answer.status_code == 303
        assert len(corrections(session)) == 1


class TestRefusals:
    @pytest.mark.parametrize(
        ("field", "text", "sentence"),
        [
            pytest.param("name", "", "Enter your name.", id="no name"),
            pytest.param("name", " \t ", "Enter your name.", id="a blank name"),
            pytest.param("name", "\u200b", "Must not be empty.", id="an invisible name"),
            pytest.param("name", "x" * 201, "Longer than maximum length 200.", id="a long name"),
            pytest.param(
                "name", "Ada\u202eadA", "override the direction", id="a name that turns text around"
            ),
            pytest.param("email", "", "Enter your email address.", id="no address"),
            pytest.param("email", "nobody", "This is not an email address", id="an address without an @"),
            pytest.param("message", "", "Tell us what is wrong.", id="no message"),
            pytest.param("message", "x" * 5001, "Longer than maximum length 5000.", id="a long message"),
            pytest.param(
                "message", "a\u0007b", "Control characters are not allowed", id="a message with a bell"
            ),
        ],
    )
    def test_stand_beside_the_field_and_keep_the_others(
        self, client: FlaskClient, session: Session, field: str, *, text: str, sentence: str
    ) -> None:
        answer = send(client, **{field: text})

        assert (answer.status_code, answer.mimetype) == (422, "text/html")
        error = answer.text.partition(f'id="pollsvc-correction-{field}-error">')[2].partition("</p>")[0]
        assert sentence in error
        form = form_of(answer.text)
        others = {"name", "email"} - {field}
        assert all(form.fields[name] == [FIELDS[name]] for name in others)
        assert "<title>Error: " in answer.text
        assert corrections(session) == []

    def test_name_every_field_at_once(self, client: FlaskClient) -> None:
        answer = client.post(PAGE, data={"article_url": ARTICLE_URL}, headers={"Origin": OURS})

        assert answer.text.count('aria-invalid="true"') == 3

    def test_of_a_field_without_a_control_stand_in_the_status(self, client: FlaskClient) -> None:
        answer = send(client, quote="x" * 1001)

        assert answer.status_code == 422
        assert 'role="status">Longer than maximum length 1000.' in answer.text

    @pytest.mark.parametrize("field", ["name", "email", "message"])
    def test_show_hostile_input_as_text(self, client: FlaskClient, field: str) -> None:
        answer = send(client, **{"email": "", field: HOSTILE})

        assert "<script>alert" not in answer.text
        assert form_of(answer.text).fields[field] == [HOSTILE]
        assert faults_of(answer.text) == []

    def test_of_another_publisher_s_article_are_a_page(self, client: FlaskClient, session: Session) -> None:
        answer = send(client, article_url="https://elsewhere.example/a")

        assert (answer.status_code, answer.mimetype) == (422, "text/html")
        assert corrections(session) == []

    def test_of_an_unknown_field_store_nothing(self, client: FlaskClient, session: Session) -> None:
        assert send(client, status="handled").status_code == 422
        assert corrections(session) == []

    def test_of_a_body_over_the_cap_are_a_page(self, client: FlaskClient, session: Session) -> None:
        answer = send(client, message="x" * 90_000)

        assert (answer.status_code, answer.mimetype) == (413, "text/html")
        assert corrections(session) == []

    def test_leave_room_for_the_longest_message_there_may_be(
        self, client: FlaskClient, session: Session
    ) -> None:
        assert send(client, message="\U0001f514" * 5000, name="\U0001f514" * 200).status_code == 303

    def test_over_the_limit_are_a_page_that_says_when_to_come_back(
        self, make_app: Callable[..., Flask], session: Session
    ) -> None:
        client = make_app(limit_corrections="2/minute").test_client()
        client.post("/v1/corrections", json=FIELDS)
        send(client)

        answer = send(client)

        assert (answer.status_code, answer.mimetype) == (429, "text/html")
        assert int(answer.headers["Retry-After"]) in range(1, 61)
        assert len(corrections(session)) == 2


class TestSuspicion:
    @pytest.mark.parametrize(
        ("website", "age", "is_suspect"),
        [
            pytest.param("", 30, False, id="a person"),
            pytest.param("https://spam.example", 30, True, id="a filled honeypot"),
            pytest.param("", 0, True, id="quicker than a person"),
            pytest.param("", 100_000, True, id="a page of the day before"),
        ],
    )
    def test_is_noted_and_the_answer_is_the_same(
        self, client: FlaskClient, session: Session, keys: Keys, website: str, *, age: int, is_suspect: bool
    ) -> None:
        token = issue_form_token(keys, datetime.now(UTC) - timedelta(seconds=age))

        answer = send(client, website=website, form_token=token)

        assert "Correction received" in client.get(answer.headers["Location"]).text
        assert [each.is_suspect for each in corrections(session)] == [is_suspect]

    def test_falls_on_a_form_in_an_article_which_has_no_token(
        self, client: FlaskClient, session: Session
    ) -> None:
        send(client, origin=SITE)

        assert [each.is_suspect for each in corrections(session)] == [True]
