"""The result without scripts: for who voted, by cookie or by receipt."""

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from pollsvc.keys import Keys
from pollsvc.polls import service
from pollsvc.polls.models import Poll
from tests.embeds.pages import form_of, has_form
from tests.embeds.visits import address, new_poll, post
from tests.factories import ACTOR, make_ballots

TODAY = datetime.now(UTC)


class TestResult:
    def test_is_there_again_for_a_reader_who_voted(
        self, client: FlaskClient, vote: Callable[..., TestResponse], poll: Poll
    ) -> None:
        vote(choices="2")

        page = client.get(address(poll)).text

        assert not has_form(page)
        assert "Your vote was counted." in page
        assert page.count("Your answer") == 1

    def test_reads_as_the_newsroom_promised(
        self, client: FlaskClient, session: Session, keys: Keys, poll: Poll
    ) -> None:
        make_ballots(session, keys=keys, poll=poll, counts=[633, 8])
        session.commit()
        post(client, poll, choices="1")

        page = client.get(address(poll)).text

        assert "<bdi>Yes</bdi>: <b>99%</b> (634 Votes)" in page
        assert "<bdi>No</bdi>: <b>1%</b> (8 Votes)" in page
        assert "642 voters" in page

    def test_of_one_vote_is_in_the_singular(self, client: FlaskClient, poll: Poll) -> None:
        post(client, poll, choices="1")

        page = client.get(address(poll)).text

        assert "<b>100%</b> (1 Vote)" in page
        assert "1 voter<" in page

    @pytest.mark.parametrize(
        ("visibility", "closes_at", "note"),
        [
            pytest.param("never", None, "The results of this poll are not published.", id="never"),
            pytest.param(
                "after_close",
                datetime(2126, 5, 4, 6, 30, tzinfo=UTC),
                "The results will be shown when the poll closes on 4 May 2126 at 06:30 UTC.",
                id="after close",
            ),
            pytest.param(
                "after_close",
                None,
                "The results will be shown when the poll closes.",
                id="after close by hand",
            ),
        ],
    )
    def test_that_is_hidden_says_so(
        self, client: FlaskClient, session: Session, visibility: str, *, closes_at: datetime | None, note: str
    ) -> None:
        poll = new_poll(session, results_visibility=visibility, closes_at=closes_at)
        post(client, poll, choices="1")

        page = client.get(address(poll)).text

        assert note in page
        assert "%" not in page.replace('height="100%"', "")

    def test_after_the_vote_is_hidden_from_those_who_did_not(
        self, client: FlaskClient, stranger: FlaskClient, session: Session
    ) -> None:
        poll = new_poll(session, results_visibility="after_vote")
        post(client, poll, choices="1")

        assert "100%" in client.get(address(poll)).text
        assert has_form(stranger.get(address(poll)).text)

    @pytest.mark.parametrize("allow_change", [True, False])
    def test_offers_a_change_where_the_poll_does(
        self, client: FlaskClient, session: Session, *, allow_change: bool
    ) -> None:
        poll = new_poll(session, allow_change=allow_change)
        post(client, poll, choices="1")

        page = client.get(address(poll)).text

        assert (f'href="{address(poll)}?change=1"' in page) is allow_change

    def test_offers_no_change_to_who_could_not_be_told_from_somebody_new(
        self, stranger: FlaskClient, session: Session
    ) -> None:
        poll = new_poll(session, allow_change=True)

        page = stranger.get(post(stranger, poll, choices="1").headers["Location"]).text

        assert "Your answer" in page
        assert "change=1" not in page

    def test_change_leads_to_the_form_with_the_earlier_answer(
        self, client: FlaskClient, session: Session
    ) -> None:
        poll = new_poll(session, allow_change=True)
        post(client, poll, choices="2")

        form = form_of(client.get(f"{address(poll)}?change=1").text)

        assert form.fields["choices"] == ["2"]

    def test_change_leads_nowhere_where_the_poll_allows_none(self, client: FlaskClient, poll: Poll) -> None:
        post(client, poll, choices="2")

        assert not has_form(client.get(f"{address(poll)}?change=1").text)


class TestReceipt:
    def show(self, client: FlaskClient, poll: Poll, **fields: Any) -> TestResponse:
        location = post(client, poll, choices="1", **fields).headers["Location"]
        return client.get(location)

    def test_stands_in_a_redirect_to_our_own_path(self, stranger: FlaskClient, poll: Poll) -> None:
        answer = post(stranger, poll, choices="1")

        assert answer.status_code == 303
        assert answer.headers["Location"].startswith(f"{address(poll)}?receipt=")
        assert answer.headers["Cache-Control"] == "private, no-store"

    @pytest.mark.parametrize("visibility", ["always", "after_vote"])
    def test_shows_the_result_without_a_cookie(
        self, stranger: FlaskClient, session: Session, visibility: str
    ) -> None:
        poll = new_poll(session, results_visibility=visibility)

        answer = self.show(stranger, poll)

        assert answer.status_code == 200
        assert "<b>100%</b> (1 Vote)" in answer.text
        assert "Your answer" in answer.text
        assert 'role="status">Your vote was counted.' in answer.text

    def test_does_not_show_a_result_that_nobody_may_see(
        self, stranger: FlaskClient, session: Session
    ) -> None:
        poll = new_poll(session, results_visibility="never")

        answer = self.show(stranger, poll)

        assert "are not published" in answer.text
        assert "(1 Vote)" not in answer.text

    def test_tells_nothing_to_who_reads_the_address(self, stranger: FlaskClient, poll: Poll) -> None:
        location = post(stranger, poll, choices="1", accepted="true", email="nobody").headers["Location"]

        assert "nobody" not in location
        assert "choices" not in location

    @pytest.mark.parametrize("change", ["cut", "altered", "another poll's", "made up", "empty"])
    def test_that_is_no_good_leads_to_the_form(
        self, stranger: FlaskClient, session: Session, poll: Poll, change: str
    ) -> None:
        receipt = post(stranger, poll, choices="1").headers["Location"].partition("receipt=")[2]
        site = {"name": "Other", "origins": ["https://other.example"]}
        other = new_poll(session, site=site, article_urls=["https://other.example/a"])
        middle = len(receipt) // 2
        asked = {
            "cut": (poll, receipt[:-9]),
            "altered": (
                poll,
                receipt[:middle] + ("A" if receipt[middle] != "A" else "B") + receipt[middle + 1 :],
            ),
            "another poll's": (other, receipt),
            "made up": (poll, "ü!"),
            "empty": (poll, ""),
        }

        answer = stranger.get(address(asked[change][0]), query_string={"receipt": asked[change][1]})

        assert answer.status_code == 200
        assert has_form(answer.text)
        assert "Your answer" not in answer.text

    def test_is_good_for_ten_minutes(self, make_app: Callable[..., Flask], poll: Poll) -> None:
        app = make_app()
        stranger = app.test_client(use_cookies=False)
        location = post(stranger, poll, choices="1").headers["Location"]

        pages = [at(app, minutes, stranger, location) for minutes in (9, 11)]

        assert [has_form(page) for page in pages] == [False, True]

    def test_gives_nobody_the_voter_s_identity(
        self, client: FlaskClient, stranger: FlaskClient, poll: Poll
    ) -> None:
        location = post(stranger, poll, choices="1").headers["Location"]

        client.get(location)

        assert has_form(client.get(address(poll)).text)

    def test_of_a_poll_withdrawn_since_shows_nothing(
        self, stranger: FlaskClient, session: Session, poll: Poll
    ) -> None:
        location = post(stranger, poll, choices="1").headers["Location"]
        service.withdraw_poll(session, poll.id, actor=ACTOR, now=TODAY)
        session.commit()

        assert stranger.get(location).status_code == 410


def at(app: Flask, minutes: int, client: FlaskClient, location: str) -> str:
    """Read a page so many minutes later."""
    later = datetime.now(UTC) + timedelta(minutes=minutes)
    app.extensions["pollsvc"] = dataclasses.replace(app.extensions["pollsvc"], clock=lambda: later)
    return client.get(location).text
