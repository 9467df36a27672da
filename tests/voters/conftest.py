"""Fixtures of the voters' tests."""

import pytest
from sqlalchemy.orm import Session

from tests.factories import make_poll, make_site


@pytest.fixture
def poll_url(session: Session) -> str:
    """The address of an open poll."""
    make_site(session)
    poll = make_poll(session)
    session.commit()
    return f"/v1/polls/{poll.id}"
