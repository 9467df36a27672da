"""Articles to read: the demo's, as `pollsvc demo` makes it, and a publisher's on an origin of its own."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import sqlalchemy as sa
from playwright.sync_api import Locator, Page
from sqlalchemy.orm import Session

from pollsvc.consent.models import SignUp
from pollsvc.consent.signing_up import due_sign_ups
from pollsvc.embeds.demo import make_demo
from pollsvc.keys import Keys
from pollsvc.outbox.models import OutboxEvent, OutboxMessage
from tests.conftest import ENVIRON
from tests.databases import SuiteDatabase
from tests.factories import make_token
from tests.journeys.host_page import HostPage
from tests.journeys.newsroom import Newsroom
from tests.live_server import LiveServer, clean_environ, command
from tests.processes import wait_until

# A class of readers from one network would soon be at the limits, which are tested elsewhere.
UNLIMITED = {
    f"POLLSVC_LIMIT_{name}": "10000/minute"
    for name in ("COMMENTS", "COMMENTS_PER_VOTER", "CONSENTS", "CORRECTIONS", "VOTES", "VOTERS")
}


@dataclass
class Article:
    """An article with a poll, and the newsroom that made it."""

    url: str
    poll_id: str
    newsroom: Newsroom

    @property
    def service(self) -> str:
        """The origin of the service."""
        return self.newsroom.server.url

    @property
    def mails(self) -> Path:
        """Where the service puts its mails."""
        return self.newsroom.server.directory / "instance" / "mail"

    @property
    def poll_url(self) -> str:
        """The poll's page without scripts."""
        return f"{self.service}/embed/polls/{self.poll_id}"

    @property
    def correction_url(self) -> str:
        """The correction form without scripts."""
        return f"{self.service}/embed/corrections?article_url={quote(self.url)}"

    @property
    def comments_url(self) -> str:
        """The comments without scripts."""
        return f"{self.service}/embed/comments?article_url={quote(self.url)}"

    def voters(self) -> int:
        """How many voted."""
        return int(self.newsroom.call("GET", f"/v1/polls/{self.poll_id}/tally")["total_voters"])

    def opened(self, page: Page) -> Locator:
        """Open the article and wait until its poll is alive."""
        page.goto(self.url)
        poll = page.locator("pollsvc-poll")
        # A class of the element's own; the plain form inside it has another.
        poll.locator(".box").wait_for()
        return poll


@dataclass
class Published(Article):
    """The same on a publisher's own origin."""

    host: HostPage
    embed_html: str


@pytest.fixture(scope="module")
def _demo_server(database: SuiteDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server with its worker for a module's tests of the demo; it remembers nothing of the rows of the last test.

    No longer than that: the worker would take up what other tests write.
    """
    settings = {name: value for name, value in ENVIRON.items() if name != "POLLSVC_PUBLIC_URL"} | UNLIMITED
    settings["POLLSVC_DATABASE_URL"] = database.url
    with LiveServer(settings, tmp_path_factory.mktemp("demo"), "--worker") as server:
        yield server


@pytest.fixture
def demo(_demo_server: LiveServer, engine: sa.Engine, session: Session, keys: Keys) -> Iterator[Article]:
    """The demo article with its 642 ballots, and nobody's mail."""
    # As a writer from the first statement on: the worker may write beside it.
    with Session(engine.execution_options(sqlite_write=True)) as writing:
        poll_id = str(make_demo(writing, keys, _demo_server.url, datetime.now(UTC)).id)
        token = make_token(writing)
        writing.commit()
    article = Article(f"{_demo_server.url}/", poll_id, Newsroom(_demo_server, token))
    shutil.rmtree(article.mails, ignore_errors=True)
    yield article
    # What the worker has begun must not come upon the tables of the next test.
    wait_until(lambda: is_idle(session))


def is_idle(session: Session) -> bool:
    """Say whether the worker has nothing to decide, to hand on or to deliver."""
    session.rollback()
    now = datetime.now(UTC)
    begun = sa.or_(OutboxMessage.available_at <= now, OutboxMessage.lease.is_not(None))
    waiting = (
        due_sign_ups(now).with_only_columns(SignUp.id).order_by(None),
        sa.select(OutboxMessage.id).where(OutboxMessage.state == "pending", begun),
        sa.select(OutboxEvent.id).where(~OutboxEvent.is_fanned_out),
    )
    return not any(session.scalars(each).first() for each in waiting)


@pytest.fixture(scope="session")
def newsroom(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Newsroom]:
    """A service as a first run makes it, for all tests that bring an article of their own."""
    directory = tmp_path_factory.mktemp("service")
    settings = {name: value for name, value in ENVIRON.items() if name != "POLLSVC_PUBLIC_URL"} | UNLIMITED
    with LiveServer(settings, directory) as server:
        made = subprocess.run(
            command("token", "create", "--name", "desk", "--scope", "admin"),
            cwd=directory,
            env=clean_environ(settings),
            capture_output=True,
            text=True,
            check=True,
        )
        yield Newsroom(server, made.stdout.strip())


@pytest.fixture
def publish(newsroom: Newsroom) -> Iterator[Callable[..., Published]]:
    """Make a site, an article and a poll in it: `publish(choices=["Bell", "Horn"])`; what the API takes."""
    hosts: list[HostPage] = []

    def make(**changes: Any) -> Published:
        while True:
            host = HostPage()
            hosts.append(host)
            host.__enter__()
            # The kernel may give the port of an earlier article once more, whose site is still there.
            if host.origin not in newsroom.origins:
                break
        newsroom.origins.add(host.origin)
        site = {
            "name": f"The Harbour Gazette at {host.origin}",
            "origins": [host.origin],
            "privacy_url": f"{host.origin}/privacy",
            "terms_url": f"{host.origin}/terms",
            "standards_url": f"{host.origin}/standards",
        }
        newsroom.call("POST", "/v1/sites", site)
        body = {"article_urls": [host.url], "question": "Should the ferry ring?", "choices": ["Yes", "No"]}
        poll = newsroom.call("POST", "/v1/polls", body | changes)
        host.paste(poll["embed_html"], service=newsroom.server.url)
        return Published(host.url, poll["id"], newsroom, host, poll["embed_html"])

    yield make
    for host in hosts:
        host.__exit__()


@pytest.fixture
def article(publish: Callable[..., Published]) -> Published:
    """A publisher's article with a Yes/No poll."""
    return publish()
