"""How long what readers read may be kept, and how a cache sees that it changed."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from pollsvc.articles.service import edit_site, get_site
from pollsvc.keys import Keys
from pollsvc.polls.models import Poll, TallySlot
from tests.conftest import NOW
from tests.factories import (
    ACTOR,
    ARTICLE_URL,
    make_voter_token,
)
from tests.polls.acts import close, edit, texts
from tests.polls.evidence import NOWHERE
from tests.polls.http import told, vote

PUBLIC = "public, max-age=0, s-maxage=2, stale-while-revalidate=2"
PRIVATE = "private, no-store"


def slot_of(poll: Poll) -> TallySlot:
    return TallySlot(poll_id=poll.id, choice_id=1, slot=0, n=1, voters=1)


class TestCaching:
    @pytest.fixture(params=["poll", "results", "article"])
    def address(self, request: pytest.FixtureRequest, poll: Poll) -> str:
        """Each of the three public reads."""
        return {
            "poll": f"/v1/polls/{poll.id}",
            "results": f"/v1/polls/{poll.id}/results",
            "article": f"/v1/articles/polls?article_url={ARTICLE_URL}",
        }[request.param]

    def test_public_reads_may_be_kept_for_two_seconds(self, client: FlaskClient, address: str) -> None:
        response = client.get(address, headers={"Origin": "https://anywhere.example", "Cookie": "a=b"})

        assert response.headers["Cache-Control"] == PUBLIC
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        assert response.headers["ETag"]
        assert not {"Set-Cookie", "RateLimit", "RateLimit-Policy", "Vary"} & set(response.headers.keys())

    def test_what_is_known_is_not_sent_again(self, client: FlaskClient, address: str) -> None:
        tag = client.get(address).headers["ETag"]

        response = client.get(address, headers={"If-None-Match": tag})

        assert (response.status_code, response.data) == (304, b"")
        assert (response.headers["ETag"], response.headers["Cache-Control"]) == (tag, PUBLIC)

    @pytest.mark.parametrize(
        "change",
        [
            pytest.param(lambda s, p: s.add(slot_of(p)), id="a vote"),
            pytest.param(close, id="the close"),
            pytest.param(lambda s, p: edit(s, p, choices=texts("Aye", "No")), id="a wording"),
        ],
    )
    def test_tag_changes_with_what_is_shown(
        self, client: FlaskClient, session: Session, poll: Poll, address: str, change: Callable[..., Any]
    ) -> None:
        tag = client.get(address).headers["ETag"]
        change(session, poll)
        session.commit()

        response = client.get(address, headers={"If-None-Match": tag})

        assert response.status_code == 200
        assert response.headers["ETag"] != tag

    @pytest.mark.parametrize("path", ["/v1/polls/{}", "/v1/articles/polls?article_url=" + ARTICLE_URL])
    def test_tag_changes_with_the_address_of_the_article(
        self, client: FlaskClient, session: Session, poll: Poll, path: str
    ) -> None:
        tag = client.get(path.format(poll.id)).headers["ETag"]
        site = get_site(session, poll.site_id)
        origins = ["https://www.news.example", *[row.origin for row in site.origins]]
        edit_site(session, site.id, {"origins": origins}, actor=ACTOR, now=NOW)
        session.commit()

        assert client.get(path.format(poll.id)).headers["ETag"] != tag

    def test_tag_of_the_same_is_the_same_in_another_process(
        self, make_app: Callable[..., Flask], client: FlaskClient, address: str
    ) -> None:
        other = make_app().test_client()

        assert other.get(address).headers["ETag"] == client.get(address).headers["ETag"]

    def test_vote_is_seen_at_once(
        self, client: FlaskClient, session: Session, keys: Keys, poll: Poll, address: str
    ) -> None:
        told(vote(client, poll, make_voter_token(keys)), 201)

        answer = told(client.get(address))

        shown = answer["items"][0] if "items" in answer else answer
        assert shown.get("results", shown)["total_voters"] == 1

    def test_refusals_are_not_kept(self, client: FlaskClient) -> None:
        assert client.get(f"/v1/polls/{NOWHERE}").headers["Cache-Control"] == PRIVATE
