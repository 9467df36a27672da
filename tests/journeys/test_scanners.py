"""Programs that follow every link of a mail before its reader does change nothing: not by GET or HEAD, not by scripts.

Mail scanners and previews fetch links, render them, and run their scripts (Safe Links, Proofpoint, Office 365). Every link
of every mail that the service sends is visited; all tables are compared before and after.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from pollsvc.articles.models import Site
from pollsvc.config import Settings
from pollsvc.consent.models import Consent, State
from pollsvc.consent.service import email_hash
from pollsvc.corrections import desk as corrections_desk
from pollsvc.db import Model
from pollsvc.keys import Keys
from pollsvc.outbox.letters import TEMPLATES
from pollsvc.outbox.mail import mail_folder
from pollsvc.outbox.models import OutboxMessage
from pollsvc.privacy.requests import ask_for_link
from pollsvc.worker import Worker
from tests.chromium import Watcher
from tests.consent.readers import EMAIL, MINUTE, Newsletter
from tests.consent.stored import rows_of
from tests.factories import make_consent_text, make_correction
from tests.journeys.mailbox import Mailbox
from tests.live_server import LiveServer

VISITS = 1_000
#: What scanners, previews and browsers that fetch ahead say of themselves.
HEADERS: tuple[dict[str, str], ...] = (
    {},
    {"Purpose": "prefetch"},
    {"Sec-Purpose": "prefetch"},
    {"Sec-Purpose": "prefetch;prerender"},
    {"X-Moz": "prefetch"},
    {"User-Agent": "Mozilla/5.0 (compatible; MSIE 9.0; Windows NT 6.1) ms-office; MSOffice 16"},
    {"User-Agent": "GoogleImageProxy", "Referer": "https://mail.google.com/"},
    {"Cookie": "pollsvc_voter=anything", "Origin": "https://scanner.example"},
)
QUERIES = (
    "",
    "?confirm=true",
    "?List-Unsubscribe=One-Click",
    "?all=1",
    "?utm_source=scanner",
    "?_method=POST",
)

Dump = dict[str, list[list[bytes]]]


def dump(session: Session) -> Dump:
    """Give every row of every table."""
    session.rollback()
    return {table: sorted(rows_of(session, table)) for table in Model.metadata.tables}


@pytest.fixture
def links(
    session: Session, keys: Keys, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """The paths of every link in every kind of mail: to who is new, who confirmed, who left, and to the desk."""
    newsletter = Newsletter(session, keys, datetime.now(UTC) - MINUTE)
    newsletter.activate("active@reader.example")
    site = session.get_one(Site, newsletter.text.site_id)
    # The text changes in substance: who agreed to the former one is asked anew.
    newsletter.text = make_consent_text(session, site=site, is_material=True)
    newsletter.sign_up("new@reader.example")
    left = newsletter.activate(EMAIL)
    ask_for_link(session, email_hash(keys, EMAIL), newsletter.now)
    desk = corrections_desk.Desk(newsletter.links.public_url, "localhost")
    monkeypatch.setattr(corrections_desk, "MOST_MAILS", 1)
    for _ in range(2):
        make_correction(session, keys=keys, email=EMAIL, desk=desk, now=newsletter.now)
    session.commit()
    installation = dataclasses.replace(settings, instance=tmp_path)
    # When the mail about what was too much for single ones is due.
    worker = Worker(installation, lambda: datetime.now(UTC) + corrections_desk.WITHIN)
    worker.look()
    worker.close()
    sent = session.scalars(select(OutboxMessage.kind).where(OutboxMessage.state == "delivered")).all()
    assert set(sent) == {path.stem for path in TEMPLATES.glob("[!_]*.txt")}
    # Only now: who leaves before is sent nothing.
    newsletter.leave(left)
    mails = Mailbox(mail_folder(installation), "@").mails()
    assert len(mails) == len(sent)
    urls = {url for mail in mails for url in mail.links() if url.startswith(newsletter.links.public_url)}
    paths = {url.removeprefix(newsletter.links.public_url) for url in urls}
    assert {path.split("/")[1] for path in paths} == {"consent", "unsubscribe", "data", "v1"}
    return sorted(paths)


class TestVisits:
    def test_by_a_thousand_requests_change_nothing(
        self, client: FlaskClient, session: Session, links: list[str]
    ) -> None:
        before = dump(session)
        kinds = itertools.product(links, ("GET", "HEAD"), HEADERS, QUERIES)
        visits = list(itertools.islice(itertools.cycle(kinds), max(VISITS, len(links) * 96)))

        codes = {
            (path.split("/")[1], client.open(path + query, method=method, headers=headers).status_code)
            for path, method, headers, query in visits
        }

        assert len(visits) >= VISITS
        assert {("consent", 200), ("unsubscribe", 200), ("data", 200)} <= codes
        # The desk's links need a token of the newsroom.
        assert {code for kind, code in codes if kind == "v1"} == {401}
        assert {code for kind, code in codes if kind != "v1"} <= {200, 404}
        assert dump(session) == before

    def test_that_run_scripts_change_nothing(
        self,
        watcher: Watcher,
        live_server: Callable[..., LiveServer],
        session: Session,
        links: list[str],
    ) -> None:
        server = live_server("--no-worker")
        before = dump(session)
        visited = 0

        for headers in ({}, {"Sec-Purpose": "prefetch;prerender"}, {"Purpose": "prefetch"}):
            paths = [each for each in links if each.startswith(("/consent/", "/unsubscribe/", "/data/"))]
            context = watcher.context(extra_http_headers=headers)
            # All at once: each takes its time until nothing comes any more.
            pages = [context.new_page() for _ in paths]
            for page, path in zip(pages, paths, strict=True):
                page.goto(server.url + path, wait_until="commit")
            for page, path in zip(pages, paths, strict=True):
                page.wait_for_load_state("networkidle")
                page.evaluate("scrollTo(0, document.body.scrollHeight)")
                page.keyboard.press("Tab")
                page.mouse.move(200, 200)
                # As a preview, a picture, and a program on the page would fetch it again.
                page.evaluate(
                    """async url => {
                  await fetch(url);
                  await fetch(url, {method: "HEAD"});
                  await new Promise(done => { const image = new Image(); image.onerror = done; image.src = url; });
                }""",
                    path,
                )
                visited += 4
                page.close()

        assert visited >= 36
        assert dump(session) == before

    def test_are_followed_by_a_press_that_still_works(
        self, client: FlaskClient, session: Session, links: list[str]
    ) -> None:
        """No visit used a link up."""
        for path in links * 2:
            client.get(path)

        for path in links:
            if path.startswith("/consent/"):
                client.post(path)

        session.rollback()
        states = session.scalars(select(Consent.state)).all()
        assert sorted(states) == [State.ACTIVE, State.ACTIVE, State.WITHDRAWN]


class TestDump:
    def test_sees_what_a_press_changes(self, client: FlaskClient, session: Session, links: list[str]) -> None:
        """The comparison above would notice."""
        before = dump(session)

        for path in links:
            if path.startswith("/unsubscribe/"):
                client.post(path)

        assert dump(session) != before
