"""What readers and the newsroom do below an article."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from pollsvc.comments.models import Comment
from pollsvc.keys import Keys
from pollsvc.web.forms import issue_form_token
from tests.embeds.visits import OURS, origin_header
from tests.factories import ARTICLE_URL, make_voter_token

PAGE = "/embed/comments"
FIELDS = {
    "article_url": ARTICLE_URL,
    "name": "Ada Reader",
    "email": "ada@reader.example",
    "body": "The bell has a *crack*.\r\nI saw it.",
}


def show(client: FlaskClient, article_url: str = ARTICLE_URL, **query: str) -> TestResponse:
    """Open the page of an article's comments."""
    return client.get(PAGE, query_string={"article_url": article_url, **query})


def send(client: FlaskClient, *, origin: str | None = OURS, **changes: str) -> TestResponse:
    """Send a comment by plain form; by default from our own page."""
    return client.post(PAGE, data=FIELDS | changes, headers=origin_header(origin))


def press(
    client: FlaskClient, comment_id: str, act: str, *, origin: str | None = OURS, **fields: str
) -> TestResponse:
    """Send the form that does something to one comment."""
    return client.post(f"{PAGE}/{comment_id}/{act}", data=fields, headers=origin_header(origin))


def follow(client: FlaskClient, answer: TestResponse) -> str:
    """Go where a form's answer sends the browser, and give what is read there."""
    assert answer.status_code == 303, answer.text
    return client.get(answer.headers["Location"]).text


def comments(session: Session) -> list[Comment]:
    """Give every comment as it stands now, the oldest first."""
    session.rollback()
    session.expire_all()
    return list(session.scalars(select(Comment).order_by(Comment.id)))


@dataclass
class Newsroom:
    """Other readers, and the newsroom that lets them through."""

    staff: FlaskClient
    keys: Keys
    readers: int = 100

    def publish(self, body: str = "It rings.", **changes: Any) -> str:
        """Have somebody else write a comment, approve it, and give its id."""
        self.readers += 1
        sent = {
            "article_url": ARTICLE_URL,
            "name": f"Reader {self.readers}",
            "email": "somebody@reader.example",
            "body": body,
            "voter_token": make_voter_token(self.keys, number=self.readers),
            "form_token": issue_form_token(self.keys, datetime.now(UTC) - timedelta(minutes=1)),
        }
        answer = self.staff.post("/v1/comments", json=sent | changes)
        assert answer.json, answer.text
        self.decide(answer.json["id"], "approve")
        return str(answer.json["id"])

    def decide(self, comment_id: str, action: str, **reason: str) -> None:
        """Decide about a comment as it stands."""
        path = f"/v1/moderation/comments/{comment_id}"
        dossier = self.staff.get(path).json
        assert dossier
        decision = {"action": action, "version": dossier["version"], **reason}
        answer = self.staff.post(f"{path}/decisions", json=decision)
        assert answer.status_code == 200, answer.text
