"""A vote by plain form: what it counts, and what it refuses."""

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
from pollsvc.polls.tallies import read_tally
from pollsvc.web.forms import issue_form_token
from tests.embeds.pages import faults_of, form_of, has_form
from tests.embeds.visits import OURS, address, ballots, new_poll, post, sign_ups
from tests.factories import ACTOR, make_voter_token

TODAY = datetime.now(UTC)


class TestCount:
    def test_changes_ballot_and_tally_together(
        self, client: FlaskClient, session: Session, poll: Poll
    ) -> None:
        post(client, poll, choices="1")

        assert ballots(session) == [[1]]
        tally = read_tally(session, poll.id)
        assert [count.votes for count in tally.choices] == [1, 0]

    def test_takes_several_choices(self, client: FlaskClient, session: Session) -> None:
        poll = new_poll(session, kind="multiple", choices=["Bell", "Horn", "Drum"])

        answer = post(client, poll, choices=["3", "1"])

        assert answer.status_code == 303
        assert ballots(session) == [[1, 3]]

    def test_goes_before_a_receipt_that_came_along(
        self, client: FlaskClient, stranger: FlaskClient, session: Session, poll: Poll
    ) -> None:
        receipt = post(stranger, poll, choices="1").headers["Location"].partition("receipt=")[2]

        post(client, poll, choices="2", receipt=receipt)

        assert ballots(session) == [[1], [2]]

    def test_takes_a_form_sent_in_parts(self, client: FlaskClient, session: Session, poll: Poll) -> None:
        answer = client.post(
            address(poll), data={"choices": "1"}, headers={"Origin": OURS}, content_type="multipart/form-data"
        )

        assert answer.status_code == 303
        assert ballots(session) == [[1]]

    def test_shares_its_limit_with_the_api(
        self, make_app: Callable[..., Flask], keys: Keys, poll: Poll
    ) -> None:
        app = make_app(limit_votes="2/minute")
        for number in (1, 2):
            body = {"choices": [1], "voter_token": make_voter_token(keys, number=number)}
            app.test_client().post(f"/v1/polls/{poll.id}/votes", json=body)

        answer = post(app.test_client(), poll, choices="1")

        assert (answer.status_code, answer.mimetype) == (429, "text/html")
        assert int(answer.headers["Retry-After"]) in range(1, 61)

    def test_is_recognised_by_the_field_under_an_older_signing_key(
        self, make_app: Callable[..., Flask], session: Session, poll: Poll
    ) -> None:
        before, after = "a-signing-key-that-was-used-before-today", "a-signing-key-that-is-used-from-today-on"
        old = make_app(secret_key=(before,)).test_client(use_cookies=False)
        form = form_of(old.get(address(poll)).text)
        old.post(form.action, data=form.filled(choices="1"), headers={"Origin": OURS})
        new = make_app(secret_key=(after, before)).test_client(use_cookies=False)

        answer = new.post(form.action, data=form.filled(choices="1"), headers={"Origin": OURS})

        assert answer.status_code == 303
        assert ballots(session) == [[1]]


class TestSecondVote:
    @pytest.mark.parametrize("visibility", ["always", "after_vote"])
    def test_for_something_else_is_refused_kindly_with_the_results(
        self, client: FlaskClient, session: Session, visibility: str
    ) -> None:
        poll = new_poll(session, results_visibility=visibility)
        post(client, poll, choices="1")

        answer = post(client, poll, choices="2")

        assert (answer.status_code, answer.mimetype) == (409, "text/html")
        assert "You have already voted. Your first vote stands." in answer.text
        assert "<b>100%</b> (1 Vote)" in answer.text
        assert answer.text.index("Your answer") < answer.text.index("<bdi>No</bdi>")
        assert ballots(session) == [[1]]

    def test_for_the_same_is_no_mistake(self, client: FlaskClient, session: Session, poll: Poll) -> None:
        post(client, poll, choices="1")

        answer = post(client, poll, choices="1")

        assert answer.status_code == 303
        assert "Your vote was counted." in client.get(answer.headers["Location"]).text
        assert ballots(session) == [[1]]

    def test_changes_the_first_where_the_poll_lets_it(self, client: FlaskClient, session: Session) -> None:
        poll = new_poll(session, allow_change=True)
        post(client, poll, choices="1")

        answer = post(client, poll, choices="2")

        assert "Your vote was changed." in client.get(answer.headers["Location"]).text
        assert ballots(session) == [[2]]


class TestRefusals:
    @pytest.mark.parametrize(
        ("choices", "sentence"),
        [
            pytest.param([], "Choose an answer first.", id="none"),
            pytest.param("", "This is not an answer of this poll. Choose again.", id="empty"),
            pytest.param("3", "This is not an answer of this poll. Choose again.", id="another poll's"),
            pytest.param("0", "This is not an answer of this poll. Choose again.", id="zero"),
            pytest.param("-1", "This is not an answer of this poll. Choose again.", id="negative"),
            pytest.param("1.0", "This is not an answer of this poll. Choose again.", id="a fraction"),
            pytest.param("Yes", "This is not an answer of this poll. Choose again.", id="a word"),
            pytest.param("9" * 5000, "This is not an answer of this poll. Choose again.", id="huge"),
            pytest.param("1\u0000", "This is not an answer of this poll. Choose again.", id="a NUL"),
            pytest.param(
                ["1", "1"], "This is not an answer of this poll. Choose again.", id="the same twice"
            ),
            pytest.param(["1", "2"], "Choose one answer only.", id="too many"),
        ],
    )
    def test_of_choices_stand_beside_the_field(
        self, client: FlaskClient, session: Session, poll: Poll, choices: str | list[str], *, sentence: str
    ) -> None:
        answer = post(client, poll, choices=choices)

        assert (answer.status_code, answer.mimetype) == (422, "text/html")
        assert f'id="pollsvc-{poll.id}-choices-error">{sentence}</p>' in answer.text
        assert "<title>Error: " in answer.text
        assert faults_of(answer.text) == []
        assert ballots(session) == []

    def test_of_too_many_choices_say_how_many(self, client: FlaskClient, session: Session) -> None:
        poll = new_poll(session, kind="multiple", choices=["Bell", "Horn", "Drum"], max_choices=2)

        answer = post(client, poll, choices=["1", "2", "3"])

        assert "Choose at most 2 answers." in answer.text
        assert form_of(answer.text).fields["choices"] == ["1", "2", "3"]
        assert ballots(session) == []

    def test_keep_what_was_typed_and_store_none_of_it(
        self, client: FlaskClient, session: Session, poll: Poll
    ) -> None:
        answer = post(client, poll, accepted="true", email="ada@reader.example")

        form = form_of(answer.text)
        assert (form.fields["email"], form.fields["accepted"]) == (["ada@reader.example"], ["true"])
        assert sign_ups(session) == []

    def test_show_hostile_input_as_text(self, client: FlaskClient, poll: Poll) -> None:
        hostile = "\"><script>alert('1')</script>"

        answer = post(client, poll, email=hostile, article_url=hostile, form_token=hostile)

        assert "<script>alert" not in answer.text
        assert form_of(answer.text).fields["email"] == [hostile]
        assert faults_of(answer.text) == []

    def test_keep_the_time_the_form_was_first_shown(
        self, client: FlaskClient, keys: Keys, poll: Poll
    ) -> None:
        shown = issue_form_token(keys, TODAY - timedelta(minutes=5))

        answer = post(client, poll, form_token=shown)

        assert form_of(answer.text).fields["form_token"] == [shown]

    def test_of_an_unknown_field_name_it_as_such(
        self, client: FlaskClient, session: Session, poll: Poll
    ) -> None:
        answer = post(client, poll, choices="1", next="https://elsewhere.example/")

        assert (answer.status_code, answer.mimetype) == (422, "text/html")
        assert "elsewhere.example" not in answer.text
        assert ballots(session) == []

    def test_of_json_are_a_page(self, client: FlaskClient, session: Session, poll: Poll) -> None:
        answer = client.post(address(poll), json={"choices": [1]}, headers={"Origin": OURS})

        assert (answer.status_code, answer.mimetype) == (415, "text/html")
        assert ballots(session) == []

    def test_of_a_body_over_the_cap_are_a_page(
        self, client: FlaskClient, session: Session, poll: Poll
    ) -> None:
        answer = post(client, poll, choices="1", email="x" * 20_000)

        assert (answer.status_code, answer.mimetype) == (413, "text/html")
        assert ballots(session) == []


class TestPollThatIsNotOpen:
    def cast(self, client: FlaskClient, session: Session, choices: str, **changes: Any) -> TestResponse:
        return post(client, new_poll(session, **changes), choices=choices)

    def test_scheduled_is_409_and_says_when(self, client: FlaskClient, session: Session) -> None:
        answer = self.cast(client, session, "1", opens_at=datetime(2126, 5, 4, 6, 30, tzinfo=UTC))

        assert (answer.status_code, answer.mimetype) == (409, "text/html")
        assert "Voting opens on 4 May 2126 at 06:30 UTC." in answer.text
        assert ballots(session) == []

    @pytest.mark.parametrize("choices", ["1", "99", ""])
    def test_over_is_409_whatever_was_chosen(
        self, client: FlaskClient, session: Session, choices: str
    ) -> None:
        answer = self.cast(client, session, choices, closes_at=datetime(2026, 3, 2, tzinfo=UTC))

        assert answer.status_code == 409
        assert "This poll is closed. Your vote was not counted." in answer.text
        assert not has_form(answer.text)
        assert ballots(session) == []

    def test_closed_since_lets_the_first_vote_stand(
        self, client: FlaskClient, session: Session, poll: Poll
    ) -> None:
        post(client, poll, choices="1")
        service.close_poll(session, poll.id, actor=ACTOR, now=TODAY)
        session.commit()

        answer = post(client, poll, choices="2")

        assert answer.status_code == 409
        assert "This poll is closed. Your first vote stands." in answer.text
        assert ballots(session) == [[1]]

    def test_withdrawn_is_410(self, client: FlaskClient, session: Session, poll: Poll) -> None:
        service.withdraw_poll(session, poll.id, actor=ACTOR, now=TODAY)
        session.commit()

        assert post(client, poll, choices="1").status_code == 410
        assert ballots(session) == []
