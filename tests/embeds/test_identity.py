"""Who presses the button of a plain form."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from pollsvc.keys import Keys
from pollsvc.polls.models import Ballot, Poll
from pollsvc.voters.service import LIFETIME, Tier, read_token
from tests.embeds.pages import form_of
from tests.embeds.visits import OURS, SITE, address, new_poll, post
from tests.factories import make_voter_token
from tests.polls.evidence import tiers_of

COOKIE = "pollsvc_voter"
LONG_AGO = datetime.now(UTC) - LIFETIME - timedelta(days=1)


def identity_of(keys: Keys, token: str) -> bytes:
    return read_token(keys, token, datetime.now(UTC), Tier.COOKIE).identity


def cookie_of(client: FlaskClient) -> str:
    cookie = client.get_cookie(COOKIE)
    assert cookie
    return cookie.value


class TestCookie:
    def test_over_http_it_is_of_this_host_and_for_400_days(self, client: FlaskClient, poll: Poll) -> None:
        answer = client.get(address(poll))

        (cookie,) = answer.headers.getlist("Set-Cookie")
        name, *rest = cookie.split("; ")
        assert name.startswith("pollsvc_voter=")
        assert {part for part in rest if not part.startswith("Expires=")} == {
            "Max-Age=34560000",
            "HttpOnly",
            "Path=/",
            "SameSite=Lax",
        }

    def test_over_https_it_is_partitioned_and_nobody_else_can_set_it(
        self, make_app: Callable[..., Flask], poll: Poll
    ) -> None:
        client = make_app(public_url="https://polls.example").test_client()

        (cookie,) = client.get(address(poll)).headers.getlist("Set-Cookie")

        name, *rest = cookie.split("; ")
        assert name.startswith("__Host-pollsvc_voter=")
        assert {part for part in rest if not part.startswith("Expires=")} == {
            "Max-Age=34560000",
            "Secure",
            "HttpOnly",
            "Path=/",
            "SameSite=None",
            "Partitioned",
        }

    def test_holds_the_same_identity_as_the_form_s_field(
        self, client: FlaskClient, poll: Poll, keys: Keys
    ) -> None:
        (field,) = form_of(client.get(address(poll)).text).fields["voter_token"]

        assert identity_of(keys, field) == identity_of(keys, cookie_of(client))

    def test_keeps_the_identity_at_the_next_visit(self, client: FlaskClient, poll: Poll, keys: Keys) -> None:
        client.get(address(poll))
        first = identity_of(keys, cookie_of(client))

        client.get(address(poll))

        assert identity_of(keys, cookie_of(client)) == first

    @pytest.mark.parametrize(
        "wrong",
        [
            pytest.param("", id="empty"),
            pytest.param("somebody", id="made up"),
            pytest.param("ü" * 500, id="not ASCII and long"),
            pytest.param(None, id="expired"),
        ],
    )
    def test_that_is_no_good_is_replaced(
        self, client: FlaskClient, poll: Poll, keys: Keys, wrong: str | None
    ) -> None:
        client.set_cookie(COOKIE, make_voter_token(keys, now=LONG_AGO) if wrong is None else wrong)

        answer = client.get(address(poll))

        assert answer.status_code == 200
        assert identity_of(keys, cookie_of(client)) != (1).to_bytes(16, "big")

    def test_is_not_set_on_files_corrections_or_errors(self, client: FlaskClient, poll: Poll) -> None:
        paths = [
            "/embed.js",
            "/embed/widget.css",
            f"/embed/corrections?article_url={poll.articles[0].url}",
            "/embed/polls/1",
        ]

        assert [client.get(path).headers.get("Set-Cookie") for path in paths] == [None] * 4


class TestVoter:
    def test_without_cookies_the_form_pressed_twice_is_one_ballot(
        self, stranger: FlaskClient, poll: Poll, session: Session
    ) -> None:
        form = form_of(stranger.get(address(poll)).text)

        answers = [
            stranger.post(form.action, data=form.filled(choices="1"), headers={"Origin": OURS})
            for _ in range(2)
        ]

        assert [answer.status_code for answer in answers] == [303, 303]
        assert [ballot.choices for ballot in session.scalars(select(Ballot))] == [[1]]

    def test_is_the_cookie_s_whatever_the_field_says(
        self,
        client: FlaskClient,
        poll: Poll,
        vote: Callable[..., TestResponse],
        keys: Keys,
        session: Session,
    ) -> None:
        vote(choices="1")

        again = post(client, poll, choices="2", voter_token=make_voter_token(keys, number=7))

        assert again.status_code == 409
        assert len(session.scalars(select(Ballot)).all()) == 1

    @pytest.mark.parametrize(
        "wrong",
        [
            pytest.param("", id="empty"),
            pytest.param("somebody", id="made up"),
            pytest.param(None, id="expired"),
        ],
    )
    def test_is_somebody_new_where_the_field_is_no_good(
        self,
        vote: Callable[..., TestResponse],
        stranger: FlaskClient,
        keys: Keys,
        session: Session,
        *,
        wrong: str | None,
    ) -> None:
        token = make_voter_token(keys, now=LONG_AGO) if wrong is None else wrong

        answer = vote(by=stranger, choices="1", voter_token=token)

        assert answer.status_code == 303
        assert len(session.scalars(select(Ballot)).all()) == 1

    @pytest.mark.parametrize(
        ("has_cookie", "destination", "tier"),
        [
            pytest.param(True, "document", "cookie", id="our cookie on a page of its own"),
            pytest.param(True, None, "cookie", id="our cookie, from an old browser"),
            pytest.param(True, "iframe", "frame", id="a frame's own cookie"),
            pytest.param(False, "document", "form", id="only the form's field"),
            pytest.param(False, "iframe", "form", id="only the field, in a frame"),
        ],
    )
    def test_rests_on(
        self,
        client: FlaskClient,
        stranger: FlaskClient,
        poll: Poll,
        session: Session,
        keys: Keys,
        *,
        has_cookie: bool,
        destination: str | None,
        tier: str,
    ) -> None:
        by = client if has_cookie else stranger
        form = form_of(by.get(address(poll)).text)
        headers = {"Origin": OURS, **({"Sec-Fetch-Dest": destination} if destination else {})}

        by.post(form.action, data=form.filled(choices="1"), headers=headers)

        assert tiers_of(session, keys) == [tier]

    def test_of_a_form_in_an_article_is_remembered_from_then_on(
        self, client: FlaskClient, poll: Poll, session: Session, keys: Keys
    ) -> None:
        post(client, poll, origin=SITE, choices="1")

        page = client.get(address(poll)).text

        assert "Your answer" in page
        assert tiers_of(session, keys) == ["form"]


class TestPlantedIdentity:
    """A page that posts a form in a reader's name must not choose who the reader is: it could look up their vote."""

    def test_a_foreign_page_s_field_is_not_taken_over(
        self, client: FlaskClient, poll: Poll, keys: Keys
    ) -> None:
        planted = make_voter_token(keys, number=7)

        answer = post(client, poll, origin="https://attacker.example", choices="1", voter_token=planted)

        (field,) = form_of(answer.text).fields["voter_token"]
        assert identity_of(keys, field) != identity_of(keys, planted)
        # The reader may have a cookie that the browser left out: it stays.
        assert "Set-Cookie" not in answer.headers


class TestLimitPerVoter:
    def test_counts_the_cookie_s_voter(self, make_app: Callable[..., Flask], poll: Poll) -> None:
        client = make_app(limit_votes_per_voter="2/minute").test_client()
        client.get(address(poll))

        answers = [post(client, poll, choices="1") for _ in range(3)]

        assert [answer.status_code for answer in answers] == [303, 303, 429]

    def test_counts_the_field_s_voter_where_no_cookie_is_kept(
        self, make_app: Callable[..., Flask], poll: Poll
    ) -> None:
        stranger = make_app(limit_votes_per_voter="2/minute").test_client(use_cookies=False)
        form = form_of(stranger.get(address(poll)).text)

        answers = [
            stranger.post(form.action, data=form.filled(choices="1"), headers={"Origin": OURS})
            for _ in range(3)
        ]

        assert [answer.status_code for answer in answers] == [303, 303, 429]

    def test_is_shared_with_the_api(self, make_app: Callable[..., Flask], poll: Poll, keys: Keys) -> None:
        client = make_app(limit_votes_per_voter="2/minute").test_client()
        token = make_voter_token(keys)
        client.set_cookie(COOKIE, token)
        for _ in range(2):
            client.post(f"/v1/polls/{poll.id}/votes", json={"choices": [1], "voter_token": token})

        answer = post(client, poll, choices="1")

        assert answer.status_code == 429

    def test_is_not_dodged_by_a_header_that_names_others(
        self, make_app: Callable[..., Flask], poll: Poll, keys: Keys
    ) -> None:
        client = make_app(limit_votes_per_voter="2/minute").test_client()
        client.get(address(poll))

        answers = [
            client.post(
                address(poll),
                data={"choices": "1"},
                headers={"Origin": OURS, "X-Voter-Token": make_voter_token(keys, number=number)},
            )
            for number in range(3)
        ]

        assert answers[-1].status_code == 429

    def test_of_the_api_is_not_dodged_by_cookies(
        self, make_app: Callable[..., Flask], poll: Poll, keys: Keys
    ) -> None:
        app = make_app(limit_votes_per_voter="2/minute")
        body = {"choices": [1], "voter_token": make_voter_token(keys)}
        answers = []
        for number in range(2, 5):
            client = app.test_client()
            client.set_cookie(COOKIE, make_voter_token(keys, number=number))
            answers.append(client.post(f"/v1/polls/{poll.id}/votes", json=body))

        assert [answer.status_code for answer in answers] == [201, 200, 429]


class TestSeveralPolls:
    def test_a_reader_s_ballots_in_two_polls_cannot_be_linked(
        self, client: FlaskClient, poll: Poll, session: Session
    ) -> None:
        other = new_poll(
            session,
            site={"name": "Other", "origins": ["https://other.example"]},
            article_urls=["https://other.example/a"],
        )
        for each in (poll, other):
            form = form_of(client.get(address(each)).text)
            client.post(form.action, data=form.filled(choices="1"), headers={"Origin": OURS})

        keys = session.scalars(select(Ballot.voter_key)).all()

        assert len(keys) == len(set(keys)) == 2
