"""A site and its poll, committed, as most tests of polls begin."""

from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from pollsvc.articles.models import Site
from pollsvc.db import engine_options, prepare_engine
from pollsvc.keys import Keys
from pollsvc.polls.models import Poll
from tests.factories import make_poll, make_site, make_voter_token
from tests.polls.crowd import Crowd
from tests.polls.http import vote


@pytest.fixture
def site(session: Session) -> Site:
    """A site, so that polls can be made."""
    site = make_site(session)
    session.commit()
    return site


@pytest.fixture
def poll(session: Session, site: Site) -> Poll:
    """An open poll: Yes or No."""
    poll = make_poll(session)
    session.commit()
    return poll


@pytest.fixture
def crowd(database_url: str, keys: Keys) -> Iterator[Crowd]:
    """Sixteen people at once."""
    engine = sa.create_engine(**engine_options(database_url, 18))
    prepare_engine(engine, keys)
    crowd = Crowd(engine, keys, 16)
    yield crowd
    crowd.close()
    engine.dispose()


@pytest.fixture
def token(keys: Keys) -> str:
    """The token of reader 1."""
    return make_voter_token(keys)


@pytest.fixture
def send(client: FlaskClient, token: str) -> Callable[..., TestResponse]:
    """Reader 1, who votes."""
    return lambda poll, choices=(1,): vote(client, poll, token, choices)
