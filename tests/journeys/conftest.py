"""The demo article on a real server, as `pollsvc demo` makes it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from sqlalchemy.orm import Session

from pollsvc.embeds.demo import make_demo
from pollsvc.keys import Keys
from tests.journeys.newsroom import Newsroom, open_newsroom
from tests.live_server import LiveServer


@dataclass
class Demo:
    """The demo article, its poll and its newsroom."""

    url: str
    poll_id: str
    newsroom: Newsroom

    @property
    def poll_url(self) -> str:
        """The poll's page without scripts."""
        return f"{self.url}embed/polls/{self.poll_id}"

    @property
    def correction_url(self) -> str:
        """The correction form without scripts."""
        return f"{self.url}embed/corrections?article_url={self.url}"


@pytest.fixture
def demo(live_server: Callable[..., LiveServer], session: Session, keys: Keys) -> Demo:
    """The article with its 642 ballots, served."""
    server = live_server()
    poll = make_demo(session, keys, server.url, datetime.now(UTC))
    session.commit()
    return Demo(f"{server.url}/", str(poll.id), open_newsroom(session, server))
