"""Where a plain vote may come from."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from pollsvc.polls import service
from pollsvc.polls.models import Poll
from tests.embeds.pages import faults_of, form_of
from tests.embeds.visits import OURS, SITE, address, ballots, new_poll, post, sign_ups
from tests.factories import ACTOR, ARTICLE_URL, make_site

TODAY = datetime.now(UTC)


class TestOrigin:
    """A form acts at once when it comes from us or from the poll's site; from anywhere else it is asked for once more."""

    @pytest.mark.parametrize(
        "origin",
        [
            pytest.param(OURS, id="ours"),
            pytest.param(SITE, id="the site's"),
            pytest.param("https://m.news.example", id="the site's alias"),
        ],
    )
    def test_known_counts_at_once(self, client: FlaskClient, session: Session, origin: str) -> None:
        poll = new_poll(session, site={"origins": [SITE, "https://m.news.example"]})

        answer = post(client, poll, origin=origin, choices="1")

        assert answer.status_code == 303
        assert ballots(session) == [[1]]

    @pytest.mark.parametrize(
        "origin",
        [
            pytest.param("https://attacker.example", id="foreign"),
            pytest.param("https://other.example", id="of another site of ours"),
            pytest.param("null", id="null"),
            pytest.param(None, id="none"),
            pytest.param("", id="empty"),
            pytest.param("http://news.example", id="the site's host by another scheme"),
            pytest.param("https://news.example:8443", id="the site's host at another port"),
            pytest.param("https://news.example.attacker.example", id="one that begins like the site's"),
            pytest.param("http://localhost, https://attacker.example", id="several"),
        ],
    )
    def test_unknown_is_asked_for_once_more_and_stores_nothing(
        self, client: FlaskClient, session: Session, poll: Poll, origin: str | None
    ) -> None:
        make_site(session, name="Other", origins=["https://other.example"])
        session.commit()

        answer = post(
            client, poll, origin=origin, choices="2", accepted="true", email="ada@reader.example", text_id="x"
        )

        assert answer.status_code == 200
        assert "Nothing has been sent yet." in answer.text
        assert ballots(session) == []
        assert sign_ups(session) == []

    def test_the_page_that_asks_holds_what_was_filled_in_and_one_button(
        self, client: FlaskClient, poll: Poll
    ) -> None:
        answer = post(
            client,
            poll,
            origin="null",
            choices="2",
            accepted="true",
            email="ada@reader.example",
            article_url=ARTICLE_URL,
        )

        form = form_of(answer.text)
        assert (form.action, form.buttons) == (address(poll), 1)
        assert form.fields["choices"] == ["2"]
        assert form.fields["accepted"] == ["true"]
        assert form.fields["email"] == ["ada@reader.example"]
        assert form.fields["article_url"] == [ARTICLE_URL]
        assert faults_of(answer.text) == []

    def test_the_page_that_asks_may_be_framed_by_the_site_only(self, client: FlaskClient, poll: Poll) -> None:
        answer = post(client, poll, origin="https://attacker.example", choices="2")

        assert f"frame-ancestors {SITE}" in answer.headers["Content-Security-Policy"].split("; ")
        assert answer.headers["Cache-Control"] == "private, no-store"

    def test_its_button_counts_once_however_often_it_is_pressed(
        self, stranger: FlaskClient, session: Session, poll: Poll
    ) -> None:
        form = form_of(post(stranger, poll, origin=None, choices="2").text)

        answers = [stranger.post(form.action, data=form.filled(), headers={"Origin": OURS}) for _ in range(3)]

        assert [answer.status_code for answer in answers] == [303] * 3
        assert ballots(session) == [[2]]

    def test_what_is_wrong_is_told_when_the_button_is_pressed(
        self, client: FlaskClient, session: Session, poll: Poll
    ) -> None:
        form = form_of(post(client, poll, origin=None, choices="99").text)

        answer = client.post(form.action, data=form.filled(), headers={"Origin": OURS})

        assert answer.status_code == 422
        assert ballots(session) == []

    def test_a_closed_poll_says_so_at_once(self, client: FlaskClient, session: Session, poll: Poll) -> None:
        service.close_poll(session, poll.id, actor=ACTOR, now=TODAY)
        session.commit()

        answer = post(client, poll, origin="https://attacker.example", choices="1")

        assert answer.status_code == 409
        assert "This poll is closed. Your vote was not counted." in answer.text
        assert ballots(session) == []

    def test_is_compared_with_the_public_url_and_not_with_the_host(
        self, make_app: Callable[..., Flask], session: Session, poll: Poll
    ) -> None:
        client = make_app(public_url="http://polls.example").test_client()

        answer = post(client, poll, origin="http://localhost", choices="1")

        assert "Nothing has been sent yet." in answer.text
        assert ballots(session) == []
