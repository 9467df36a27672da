"""Scripts, styles, the demo article and its pages."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

import pollsvc.embeds
from pollsvc.articles.models import Site
from pollsvc.embeds.demo import QUESTION, make_demo
from pollsvc.keys import Keys
from pollsvc.polls import service
from pollsvc.polls.models import Poll
from tests.embeds.pages import faults_of
from tests.embeds.visits import OURS
from tests.factories import ACTOR

STATIC = Path(pollsvc.embeds.__file__).parent / "static"
TODAY = datetime.now(UTC)


class TestFiles:
    @pytest.mark.parametrize(
        ("path", "kind"),
        [
            ("/embed.js", "text/javascript; charset=utf-8"),
            ("/embed/embed.js", "text/javascript; charset=utf-8"),
            ("/embed/correction.js", "text/javascript; charset=utf-8"),
            ("/embed/frame.js", "text/javascript; charset=utf-8"),
            ("/embed/frame-host.js", "text/javascript; charset=utf-8"),
            ("/embed/widget.css", "text/css; charset=utf-8"),
            ("/embed/page.css", "text/css; charset=utf-8"),
            ("/embed/paper.css", "text/css; charset=utf-8"),
            ("/embed/icon.svg", "image/svg+xml; charset=utf-8"),
        ],
    )
    def test_are_served_as_what_they_are_to_every_site(
        self, client: FlaskClient, path: str, kind: str
    ) -> None:
        answer = client.get(path)

        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == kind
        assert answer.data == (STATIC / path.rpartition("/")[2]).read_bytes()
        assert answer.headers["Cache-Control"] == "public, max-age=300"
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "Set-Cookie" not in answer.headers

    def test_of_the_newsletter_line_tells_which_version_it_is(self, client: FlaskClient) -> None:
        source = (STATIC / "consent.js").read_bytes()

        answer = client.get("/embed/consent.js")

        version = sha256(source).hexdigest()[:16]
        assert answer.data == source.replace(b"@VERSION@", version.encode())
        assert f'widget: "consent.js {version}"' in answer.text

    def test_of_our_own_pages_may_be_kept_for_ever(self, app: Flask, client: FlaskClient) -> None:
        page = client.get("/embed/polls/not-a-poll").text
        (address,) = re.findall(r'href="(/embed/page\.css\?v=[0-9a-f]{16})"', page)

        assert client.get(address).headers["Cache-Control"] == "public, max-age=31536000, immutable"

    def test_by_the_version_of_another_release_are_not_kept_for_ever(self, client: FlaskClient) -> None:
        answer = client.get(f"/embed/page.css?v={'0' * 16}")

        assert answer.headers["Cache-Control"] == "public, max-age=300"

    def test_are_not_sent_again_to_who_has_them(self, client: FlaskClient) -> None:
        tag = client.get("/embed.js").headers["ETag"]

        answer = client.get("/embed.js", headers={"If-None-Match": tag})

        assert (answer.status_code, answer.data) == (304, b"")
        assert answer.headers["Cache-Control"] == "public, max-age=300"

    @pytest.mark.parametrize(
        "name",
        [
            "nothing.js",
            "routes.py",
            "..%2Froutes.py",
            "%2e%2e/routes.py",
            "..%5croutes.py",
            "static/embed.js",
            "embed.js%00",
            "EMBED.JS",
            "",
        ],
    )
    def test_that_do_not_exist_are_a_page_with_404(self, client: FlaskClient, name: str) -> None:
        answer = client.get(f"/embed/{name}")

        assert (answer.status_code, answer.mimetype) == (404, "text/html")
        assert answer.headers["Cache-Control"] == "private, no-store"


@pytest.fixture
def demo(session: Session, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> Poll:
    # A few of the 642 are enough here; the whole is a journey of its own.
    monkeypatch.setattr("pollsvc.embeds.demo.VOTES", {1: 3, 2: 1})
    poll = make_demo(session, keys, OURS, TODAY)
    session.commit()
    return poll


class TestDemoArticle:
    def test_is_absent_where_no_demo_was_made(self, client: FlaskClient) -> None:
        answer = client.get("/")

        assert (answer.status_code, answer.mimetype) == (404, "text/html")

    def test_carries_a_poll_a_correction_form_and_comments(self, client: FlaskClient, demo: Poll) -> None:
        answer = client.get("/")

        assert answer.status_code == 200
        assert f'<pollsvc-poll poll="{demo.id}">' in answer.text
        assert QUESTION in answer.text
        assert answer.text.index("<pollsvc-correction>") < answer.text.index("<pollsvc-comments>")
        assert f'<link rel="canonical" href="{OURS}/">' in answer.text
        assert faults_of(answer.text) == []

    def test_holds_nothing_about_the_reader(self, client: FlaskClient, demo: Poll) -> None:
        answer = client.get("/")

        assert "Set-Cookie" not in answer.headers
        assert "token" not in answer.text
        assert answer.headers["Cache-Control"].startswith("public, max-age=0")

    def test_is_not_sent_again_while_it_is_the_same(self, client: FlaskClient, demo: Poll) -> None:
        tag = client.get("/").headers["ETag"]

        assert client.get("/", headers={"If-None-Match": tag}).status_code == 304

    def test_lets_nothing_inline_run_and_is_framed_by_nobody(self, client: FlaskClient, demo: Poll) -> None:
        policy = client.get("/").headers["Content-Security-Policy"].split("; ")

        assert {
            "default-src 'none'",
            "script-src 'self'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        } <= set(policy)
        assert not any("unsafe" in part for part in policy)

    def test_works_at_every_name_of_the_host(self, client: FlaskClient, demo: Poll) -> None:
        """Addresses without a host: at another name the policy's 'self' would not cover ours."""
        page = client.get("/", base_url="http://127.0.0.1:9999").text

        assert '<script async src="/embed.js"></script>' in page
        assert f'action="/embed/polls/{demo.id}"' in page

    def test_goes_on_without_a_poll_that_was_withdrawn(
        self, client: FlaskClient, session: Session, demo: Poll
    ) -> None:
        service.withdraw_poll(session, demo.id, actor=ACTOR, now=TODAY)
        session.commit()

        answer = client.get("/")

        assert answer.status_code == 200
        assert "<pollsvc-poll" not in answer.text

    def test_is_made_once(self, session: Session, keys: Keys, demo: Poll) -> None:
        again = make_demo(session, keys, OURS, TODAY)

        assert again.id == demo.id
        assert len(session.scalars(select(Poll)).all()) == 1

    def test_moves_to_another_address_and_keeps_its_poll(
        self, make_app: Callable[..., Flask], session: Session, keys: Keys, demo: Poll
    ) -> None:
        make_demo(session, keys, "http://127.0.0.1:9000", TODAY)
        session.commit()

        page = make_app(public_url="http://127.0.0.1:9000").test_client().get("/").text

        assert f'<pollsvc-poll poll="{demo.id}">' in page
        site = session.scalars(select(Site)).one()
        assert {row.origin for row in site.origins} == {
            "http://127.0.0.1:9000",
            "http://localhost:9000",
            OURS,
        }


class TestDemoPages:
    @pytest.mark.parametrize("name", ["privacy", "terms", "standards"])
    def test_are_there(self, client: FlaskClient, demo: Poll, name: str) -> None:
        answer = client.get(f"/demo/{name}")

        assert answer.status_code == 200
        assert faults_of(answer.text) == []

    def test_of_another_name_are_not(self, client: FlaskClient, demo: Poll) -> None:
        assert client.get("/demo/imprint").status_code == 404

    def test_are_absent_where_no_demo_was_made(self, client: FlaskClient) -> None:
        assert client.get("/demo/terms").status_code == 404


class TestErrorPages:
    def test_are_well_formed_and_lead_nowhere_else(self, client: FlaskClient) -> None:
        answer = client.get("/nowhere?<script>alert(1)</script>")

        assert faults_of(answer.text) == []
        assert "alert" not in answer.text
