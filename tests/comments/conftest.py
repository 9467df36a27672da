"""A site, committed, as most tests of comments begin."""

import pytest
from sqlalchemy.orm import Session

from pollsvc.articles.models import Site
from tests.factories import make_site


@pytest.fixture
def site(session: Session) -> Site:
    """A site whose articles take comments."""
    site = make_site(session)
    session.commit()
    return site
