"""Error pages: what was typed is not lost, and what is wrong is named."""

from collections.abc import Callable

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from pollsvc.polls.models import Poll
from tests.embeds.pages import form_of
from tests.embeds.visits import OURS, post
from tests.factories import ARTICLE_URL

REPORT = {
    "article_url": ARTICLE_URL,
    "name": "Ada Reader",
    "email": "ada@reader.example",
    "message": "The ferry has\ntwo decks.",
}


class TestKeptInput:
    def test_a_limited_correction_can_be_sent_again_as_it_was(
        self, make_app: Callable[..., Flask], poll: Poll
    ) -> None:
        client = make_app(limit_corrections="1/hour").test_client()
        client.post("/embed/corrections", data=REPORT, headers={"Origin": OURS})

        answer = client.post("/embed/corrections", data=REPORT, headers={"Origin": OURS})

        assert answer.status_code == 429
        assert {name: values for name, values in form_of(answer.text).fields.items() if values} == {
            name: [value] for name, value in REPORT.items()
        }

    def test_a_correction_for_nobody_s_article_is_shown_again(self, client: FlaskClient, poll: Poll) -> None:
        sent = REPORT | {"article_url": "https://nobody.example/a"}

        answer = client.post("/embed/corrections", data=sent, headers={"Origin": OURS})

        assert answer.status_code == 422
        assert "two decks." in answer.text

    def test_an_identity_is_not_carried_along(self, make_app: Callable[..., Flask], poll: Poll) -> None:
        client = make_app(limit_votes="1/hour").test_client()
        post(client, poll, choices="1")

        answer = post(client, poll, choices="1", voter_token="planted")

        assert answer.status_code == 429
        assert "planted" not in answer.text


class TestNamedFields:
    def test_an_unknown_field_is_named(self, client: FlaskClient, poll: Poll, session: Session) -> None:
        answer = post(client, poll, choices="1", bogus="1")

        assert answer.status_code == 422
        assert "<b>bogus</b>" in answer.text
