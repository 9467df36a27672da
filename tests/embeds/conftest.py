"""A poll on an article, comments below it, and a reader without scripts in front of it."""

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from pollsvc.keys import Keys
from pollsvc.polls.models import Poll
from tests.embeds.discussions import Newsroom
from tests.embeds.pages import form_of
from tests.embeds.visits import OURS, SITE, address, new_poll, origin_header
from tests.factories import make_site


@pytest.fixture
def poll(session: Session) -> Poll:
    """An open poll, committed."""
    return new_poll(session)


@pytest.fixture
def stranger(client: FlaskClient) -> FlaskClient:
    """A reader whose browser keeps no cookies."""
    return client.application.test_client(use_cookies=False)


@pytest.fixture
def vote(client: FlaskClient, poll: Poll) -> Callable[..., TestResponse]:
    """Open the poll's page and press its button: `vote(choices="1")`. By default from our own page."""

    def press(*, by: FlaskClient = client, origin: str | None = OURS, **fields: Any) -> TestResponse:
        form = form_of(by.get(address(poll)).text)
        return by.post(form.action, data=form.filled(**fields), headers=origin_header(origin))

    return press


@pytest.fixture
def desk(session: Session, staff_client: FlaskClient, keys: Keys) -> Newsroom:
    """A site whose readers comment, and its newsroom."""
    make_site(session, origins=[SITE, "https://m.news.example"])
    session.commit()
    return Newsroom(staff_client, keys)
