"""A request to sign up tells nothing about the address: neither its answer nor what it asks of the database.

The time that a request takes is the time of its statements. They are compared as they are sent, without their values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine, event
from sqlalchemy.orm import Session

from pollsvc.consent.signing_up import Outcome
from pollsvc.keys import Keys
from tests.consent.readers import EMAIL, KEY, MINUTE, OTHER_KEY, Newsletter
from tests.factories import ARTICLE_URL

Begin = Callable[[Newsletter], object]
ORIGIN = {"Origin": "https://news.example"}


def new(newsletter: Newsletter) -> None:
    """Nobody has this address."""


def waiting(newsletter: Newsletter) -> None:
    newsletter.take()


def pending(newsletter: Newsletter) -> None:
    assert newsletter.sign_up() == Outcome.MAILED


def deferred(newsletter: Newsletter) -> None:
    newsletter.sign_up(key=KEY)
    newsletter.take_back(KEY)
    assert newsletter.sign_up() == Outcome.DEFERRED


def active(newsletter: Newsletter) -> None:
    newsletter.activate()


def withdrawn(newsletter: Newsletter) -> None:
    newsletter.leave(newsletter.activate())


def suppressed(newsletter: Newsletter) -> None:
    newsletter.suppress()


STANDS: tuple[Begin, ...] = (new, waiting, pending, deferred, active, withdrawn, suppressed)


@pytest.fixture
def newsletter(session: Session, keys: Keys) -> Newsletter:
    """A site's newsletter, at the time of day: what goes over HTTP reads the real clock."""
    return Newsletter(session, keys, datetime.now(UTC) - MINUTE)


@contextmanager
def statements() -> Iterator[list[str]]:
    """Write down what is sent to the database, begins and commits included."""
    heard: list[str] = []

    def note(_: object, __: object, statement: str, *___: object) -> None:
        heard.append(statement)

    def end(_: object) -> None:
        heard.append("COMMIT")

    event.listen(Engine, "before_cursor_execute", note)
    event.listen(Engine, "commit", end)
    try:
        yield heard
    finally:
        event.remove(Engine, "before_cursor_execute", note)
        event.remove(Engine, "commit", end)


def sign_up(client: FlaskClient, newsletter: Newsletter, email: str = EMAIL, **changes: Any) -> Any:
    body = {"text_id": str(newsletter.text.id), "email": email, "accepted": True, "article_url": ARTICLE_URL}
    newsletter.session.rollback()
    return client.post("/v1/consents", json=body | changes, headers=ORIGIN)


class TestSigningUp:
    def test_is_answered_and_written_alike_whoever_it_is(
        self, client: FlaskClient, newsletter: Newsletter
    ) -> None:
        # The first request of a process asks for more: it learns the site's origin, and makes the article.
        sign_up(client, newsletter, "first@reader.example")
        answers, asked = {}, {}

        for number, begin in enumerate(STANDS):
            email = f"reader{number}@reader.example"
            of_this_address = _Bound(newsletter, email)
            begin(of_this_address)
            with statements() as heard:
                answer = sign_up(client, newsletter, email, withdrawal_key=OTHER_KEY)
            answers[begin.__name__] = (answer.status_code, answer.data, _telling(answer.headers))
            asked[begin.__name__] = heard

        assert set(answers) == {"new", "waiting", "pending", "deferred", "active", "withdrawn", "suppressed"}
        assert all(each == answers["new"] for each in answers.values()), answers
        assert answers["new"][0] == 202
        assert any("INSERT INTO sign_up" in statement for statement in asked["new"])
        assert all(each == asked["new"] for each in asked.values())

    def test_asks_no_table_that_knows_an_address(self, client: FlaskClient, newsletter: Newsletter) -> None:
        with statements() as heard:
            sign_up(client, newsletter)

        said = " ".join(heard)
        for table in (
            "subscriber",
            "suppression",
            "mail_permit",
            "confirmation",
            "outbox_message",
            "consent_event",
        ):
            assert f" {table} " not in said.replace("\n", " "), table
        assert sum("sign_up" in statement for statement in heard) == 1


class TestTakingBack:
    @pytest.mark.parametrize("key", [KEY, "u" * 43], ids=["a key of ours", "nobody's key"])
    def test_is_answered_alike_whatever_the_key(
        self, client: FlaskClient, newsletter: Newsletter, key: str
    ) -> None:
        newsletter.activate(key=KEY)
        newsletter.session.rollback()

        answers = [
            client.post("/v1/consents/withdrawals", json={"withdrawal_key": key}, headers=ORIGIN)
            for _ in range(2)
        ]

        assert {answer.status_code for answer in answers} == {200}
        assert {answer.text for answer in answers} == {
            '{"status":"done","message":"This sign-up is taken back: no newsletter comes by it."}'
        }


class _Bound(Newsletter):
    """The same newsletter, before a reader of another address."""

    def __init__(self, newsletter: Newsletter, email: str) -> None:
        self.__dict__ |= newsletter.__dict__
        self.email = email

    def take(self, email: str = "", **how: Any) -> Any:
        return super().take(email or self.email, **how)

    def sign_up(self, email: str = "", **how: Any) -> Any:
        return super().sign_up(email or self.email, **how)

    def activate(self, email: str = "", **how: Any) -> Any:
        return super().activate(email or self.email, **how)

    def suppress(self, email: str = "") -> None:
        super().suppress(email or self.email)


def _telling(headers: Any) -> list[tuple[str, str]]:
    """The headers that could tell something: those that count or name the request differ for everybody."""
    return [(name, text) for name, text in headers if name not in ("X-Request-ID", "RateLimit", "Date")]
