"""What a reader does at a poll's page."""

from typing import Any

from flask.testing import FlaskClient
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from pollsvc.polls.models import Poll
from tests.factories import make_poll, make_site

#: The origin of our own pages under test, and of the poll's site.
OURS = "http://localhost"
SITE = "https://news.example"


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
    return client.post(address(poll), data=fields, headers=origin_header(origin))


def origin_header(origin: str | None) -> dict[str, str]:
    """Say, as a browser does, which page a form came from; None is a browser that says nothing."""
    return {} if origin is None else {"Origin": origin}
