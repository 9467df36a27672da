"""What a reader does at a poll's page."""

from typing import Any

from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from pollsvc.consent.models import SignUp
from pollsvc.polls.models import Ballot, Poll
from tests.factories import make_poll, make_site

#: The origin of our own pages under test, and of the poll's site.
OURS = "http://localhost"
SITE = "https://news.example"
EMAIL = "ada@reader.example"


def new_poll(session: Session, *, site: dict[str, Any] | None = None, **changes: Any) -> Poll:
    """Make a poll on a site of its own, and commit it. Its newsletter text is the site's, as by the API."""
    make_site(session, **(site or {}))
    made = make_poll(session, **({"has_site_text": True} | changes))
    session.commit()
    return made


def address(poll: Poll) -> str:
    """Where the poll's page is."""
    return f"/embed/polls/{poll.id}"


def post(client: FlaskClient, poll: Poll, *, origin: str | None = OURS, **fields: Any) -> TestResponse:
    """Send these fields to a poll's page, as a form does; by default one of our own."""
    kind = "application/x-www-form-urlencoded"
    return client.post(address(poll), data=fields, headers=origin_header(origin), content_type=kind)


def origin_header(origin: str | None) -> dict[str, str]:
    """Say, as a browser does, which page a form came from; None is a browser that says nothing."""
    return {} if origin is None else {"Origin": origin}


def sign_up(client: FlaskClient, poll: Poll, *, origin: str = OURS, **changes: Any) -> TestResponse:
    """Vote Yes with the box ticked, and read the page that follows."""
    assert poll.consent_text
    fields = {"choices": "1", "accepted": "true", "email": EMAIL, "text_id": str(poll.consent_text.id)}
    answer = post(client, poll, origin=origin, **(fields | changes))
    return client.get(answer.headers["Location"]) if answer.status_code == 303 else answer


def ballots(session: Session) -> list[list[int]]:
    """Give the choices of every ballot that is in now."""
    session.rollback()
    return sorted(session.scalars(select(Ballot.choices)))


def sign_ups(session: Session) -> list[SignUp]:
    """Give every sign-up that waits for the worker now."""
    session.rollback()
    return list(session.scalars(select(SignUp)))
