"""A poll on an article, and a reader without scripts in front of it."""

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from pollsvc.polls.models import Poll
from tests.embeds.pages import form_of
from tests.embeds.visits import OURS, address, new_poll, origin_header


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
