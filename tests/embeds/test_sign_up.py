"""The newsletter sign-up beside a plain vote: a transaction of its own, and the vote stands whatever becomes of it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from pollsvc.keys import Keys
from pollsvc.polls import service
from pollsvc.polls.models import Ballot, Poll
from pollsvc.web.forms import issue_form_token
from pollsvc.web.limits import spend
from tests.embeds.pages import form_of
from tests.embeds.visits import EMAIL, OURS, SITE, address, ballots, new_poll, post, sign_up, sign_ups
from tests.factories import ACTOR, ARTICLE_URL, make_consent_text
from tests.ports import free_port

TODAY = datetime.now(UTC)
TAKEN = "Your vote was counted. Your email address has arrived: thank you."
NOT_TAKEN = "Your vote was counted. Your email address was not taken."


@contextmanager
def refusing_sign_ups(session: Session) -> Iterator[None]:
    """Let the database refuse each sign-up: what a full disk or a failing trigger does."""
    if session.get_bind().dialect.name == "sqlite":
        up = ["CREATE TRIGGER refuse BEFORE INSERT ON sign_up BEGIN SELECT RAISE(ABORT, 'full'); END"]
        down = ["DROP TRIGGER refuse"]
    else:
        up = [
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'full'; END $$",
            "CREATE TRIGGER refuse BEFORE INSERT ON sign_up FOR EACH ROW EXECUTE FUNCTION refuse()",
        ]
        down = ["DROP TRIGGER refuse ON sign_up", "DROP FUNCTION refuse"]
    for statement in up:
        session.execute(sa.text(statement))
    session.commit()
    try:
        yield
    finally:
        session.rollback()
        for statement in down:
            session.execute(sa.text(statement))
        session.commit()


class TestTicked:
    @pytest.mark.parametrize("ticked", ["true", "on"])
    def test_records_what_was_read_where_and_for_whom(
        self, client: FlaskClient, session: Session, poll: Poll, ticked: str
    ) -> None:
        page = sign_up(client, poll, origin=SITE, accepted=ticked, article_url=ARTICLE_URL)

        assert page.status_code == 200
        assert TAKEN in page.text
        (taken,) = sign_ups(session)
        assert poll.consent_text
        assert taken.text_id == poll.consent_text.id
        assert taken.article_id == poll.articles[0].id
        assert taken.origin == SITE
        assert taken.email == EMAIL
        assert taken.method == "form"

    def test_does_not_change_what_the_vote_counts(
        self, client: FlaskClient, session: Session, poll: Poll
    ) -> None:
        page = sign_up(client, poll)

        assert "<b>100%</b> (1 Vote)" in page.text
        assert ballots(session) == [[1]]

    def test_in_an_article_of_the_poll_s_names_that_article(
        self, client: FlaskClient, session: Session
    ) -> None:
        poll = new_poll(session, article_urls=[ARTICLE_URL, f"{SITE}/second"])

        sign_up(client, poll, article_url=f"{SITE}/second")

        (taken,) = sign_ups(session)
        assert taken.article_id == next(each.id for each in poll.articles if each.url.endswith("second"))

    @pytest.mark.parametrize(
        "named",
        [
            pytest.param("https://elsewhere.example/", id="of another publisher"),
            pytest.param(f"{SITE}/unknown", id="the poll is not on"),
            pytest.param("javascript:alert(1)", id="that is no address"),
            pytest.param("", id="left out"),
        ],
    )
    def test_in_an_article_falls_back_to_the_poll_s_first(
        self, client: FlaskClient, session: Session, poll: Poll, named: str
    ) -> None:
        page = sign_up(client, poll, article_url=named)

        assert TAKEN in page.text
        assert [taken.article_id for taken in sign_ups(session)] == [poll.articles[0].id]

    def test_to_a_text_superseded_since_is_recorded_as_read(
        self, client: FlaskClient, session: Session, poll: Poll
    ) -> None:
        old = poll.consent_text
        assert old
        new = make_consent_text(session, site=poll.articles[0].site)
        service.edit_poll(session, poll.id, {"consent_text_id": new.id}, version=None, actor=ACTOR, now=TODAY)
        session.commit()

        page = sign_up(client, poll, text_id=str(old.id))

        assert TAKEN in page.text
        assert [taken.text_id for taken in sign_ups(session)] == [old.id]

    def test_beside_a_second_vote_is_taken_though_the_vote_is_not(
        self, client: FlaskClient, session: Session, poll: Poll
    ) -> None:
        post(client, poll, choices="2")

        page = sign_up(client, poll)

        assert page.status_code == 409
        assert "Your first vote stands. Your email address has arrived: thank you." in page.text
        assert ballots(session) == [[2]]
        assert len(sign_ups(session)) == 1

    def test_beside_a_vote_that_a_closed_poll_refuses_is_not(
        self, client: FlaskClient, session: Session, poll: Poll
    ) -> None:
        service.close_poll(session, poll.id, actor=ACTOR, now=TODAY)
        session.commit()

        sign_up(client, poll)

        assert sign_ups(session) == []


class TestUnticked:
    @pytest.mark.parametrize("accepted", ["", "false", "0", "TRUE ", "yes"])
    def test_records_nothing_though_an_address_was_typed(
        self, client: FlaskClient, session: Session, poll: Poll, accepted: str
    ) -> None:
        page = sign_up(client, poll, accepted=accepted)

        assert "Your vote was counted.</p>" in page.text
        assert ballots(session) == [[1]]
        assert sign_ups(session) == []


class TestSuspicion:
    @pytest.mark.parametrize(
        ("website", "age", "is_suspect"),
        [
            pytest.param("", 30, False, id="a person"),
            pytest.param("https://spam.example", 30, True, id="a filled honeypot"),
            pytest.param("", 0, True, id="quicker than a person"),
            pytest.param("", 100_000, True, id="a page of the day before"),
            pytest.param("", None, True, id="a form in an article, without a token"),
        ],
    )
    def test_is_noted_and_never_refused(
        self,
        client: FlaskClient,
        session: Session,
        keys: Keys,
        poll: Poll,
        *,
        website: str,
        age: int | None,
        is_suspect: bool,
    ) -> None:
        token = "" if age is None else issue_form_token(keys, datetime.now(UTC) - timedelta(seconds=age))

        page = sign_up(client, poll, website=website, form_token=token)

        assert TAKEN in page.text
        assert [taken.is_suspect for taken in sign_ups(session)] == [is_suspect]
        assert ballots(session) == [[1]]


class TestLimit:
    def test_of_sign_ups_is_shared_with_the_api_and_the_vote_stands(
        self, make_app: Callable[..., Flask], session: Session, poll: Poll
    ) -> None:
        client = make_app(limit_consents="1/minute").test_client()
        assert poll.consent_text
        body = {
            "text_id": str(poll.consent_text.id),
            "email": EMAIL,
            "accepted": True,
            "article_url": ARTICLE_URL,
        }
        client.post("/v1/consents", json=body)

        page = sign_up(client, poll)

        assert page.status_code == 200
        assert "Too many sign-ups came from your network." in page.text
        assert form_of(page.text).fields["email"] == [EMAIL]
        assert ballots(session) == [[1]]
        assert len(sign_ups(session)) == 1

    def test_is_not_spent_by_votes_without_a_sign_up(
        self, make_app: Callable[..., Flask], session: Session, poll: Poll
    ) -> None:
        client = make_app(limit_consents="1/minute").test_client()
        for _ in range(3):
            post(client, poll, choices="1")

        page = sign_up(client, poll)

        assert TAKEN in page.text

    def test_counts_in_redis_too(self, make_app: Callable[..., Flask], redis_url: str, poll: Poll) -> None:
        client = make_app(limit_consents="1/minute", redis_url=redis_url).test_client()

        pages = [sign_up(client, poll).text for _ in range(2)]

        assert [TAKEN in page for page in pages] == [True, False]

    def test_lets_a_sign_up_through_when_redis_goes_away_in_between(
        self, make_app: Callable[..., Flask]
    ) -> None:
        app = make_app(redis_url=f"redis://127.0.0.1:{free_port()}")

        with app.test_request_context():
            assert spend("consents")


class TestFailure:
    def test_of_the_database_in_the_sign_up_leaves_the_vote_counted(
        self, client: FlaskClient, session: Session, poll: Poll
    ) -> None:
        with refusing_sign_ups(session):
            page = sign_up(client, poll)

        assert page.status_code == 200
        assert NOT_TAKEN in page.text
        assert "We could not take your address just now. Please try again." in page.text
        assert form_of(page.text).fields["email"] == [EMAIL]
        assert ballots(session) == [[1]]
        assert sign_ups(session) == []

    def test_is_mended_by_trying_again(self, client: FlaskClient, session: Session, poll: Poll) -> None:
        with refusing_sign_ups(session):
            form = form_of(sign_up(client, poll).text)

        answer = client.post(form.action, data=form.filled(), headers={"Origin": OURS})

        assert TAKEN in client.get(answer.headers["Location"]).text
        assert ballots(session) == [[1]]


class TestSeparation:
    def test_ballot_and_address_share_no_exact_time(
        self, client: FlaskClient, session: Session, poll: Poll
    ) -> None:
        sign_up(client, poll)

        hour = session.scalars(select(Ballot.voted_hour)).one()

        assert (hour.minute, hour.second, hour.microsecond) == (0, 0, 0)

    def test_page_and_address_line_of_the_result_hold_no_email_that_was_taken(
        self, client: FlaskClient, poll: Poll
    ) -> None:
        assert EMAIL not in sign_up(client, poll).text

    def test_the_form_of_the_poll_page_is_complete(self, client: FlaskClient, poll: Poll) -> None:
        form = form_of(client.get(address(poll)).text)

        assert {"text_id", "email", "website", "form_token", "voter_token"} <= form.fields.keys()
