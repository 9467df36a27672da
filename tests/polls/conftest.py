"""A site and its poll, committed, as most tests of polls begin."""

import pytest
from sqlalchemy.orm import Session

from pollsvc.articles.models import Site
from pollsvc.polls.models import Poll
from tests.factories import make_poll, make_site


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
