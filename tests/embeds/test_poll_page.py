"""The page of a poll: what a GET shows, and what it leaves alone."""

from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from pollsvc.db import Model
from pollsvc.keys import Keys
from pollsvc.polls import service
from pollsvc.polls.models import Poll
from tests.embeds.pages import faults_of, form_of, has_form
from tests.embeds.visits import address, new_poll, post
from tests.factories import ACTOR, ARTICLE_URL, make_ballots

TODAY = datetime.now(UTC)
HOSTILE = "</legend><script>alert('1')</script>\"&amp;"


def rows(session: Session) -> dict[str, int]:
    session.rollback()
    return {
        table.name: session.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
        for table in Model.metadata.sorted_tables
    }


class TestForm:
    def test_asks_the_question_and_goes_to_our_own_path(self, client: FlaskClient, poll: Poll) -> None:
        answer = client.get(address(poll))

        assert answer.status_code == 200
        assert answer.mimetype == "text/html"
        assert poll.question in answer.text
        form = form_of(answer.text)
        assert (form.action, form.method, form.buttons) == (address(poll), "post", 1)

    def test_has_no_answer_chosen_and_the_box_unticked(self, client: FlaskClient, poll: Poll) -> None:
        form = form_of(client.get(address(poll)).text)

        assert not {"choices", "accepted"} & form.fields.keys()
        assert form.fields["email"] == [""]

    def test_links_back_to_the_poll_s_own_article(self, client: FlaskClient, poll: Poll) -> None:
        page = client.get(
            f"{address(poll)}?article_url=https://elsewhere.example/&next=//elsewhere.example"
        ).text

        assert f'<a href="{ARTICLE_URL}" target="_top">' in page
        assert "elsewhere.example" not in page

    def test_stores_nothing(self, client: FlaskClient, poll: Poll, session: Session) -> None:
        before = rows(session)

        client.get(address(poll))

        assert rows(session) == before

    def test_is_the_reader_s_alone(self, client: FlaskClient, poll: Poll) -> None:
        headers = client.get(address(poll)).headers

        assert headers["Cache-Control"] == "private, no-store"
        assert not {"ETag", "Access-Control-Allow-Origin", "RateLimit"} & set(headers.keys())

    def test_names_the_choices_of_a_multiple_poll_and_how_many(
        self, client: FlaskClient, session: Session
    ) -> None:
        poll = new_poll(session, kind="multiple", choices=["Bell", "Horn", "Drum"], max_choices=2)

        page = client.get(address(poll)).text

        assert "Choose up to 2." in page
        assert page.count('type="checkbox" name="choices"') == 3

    def test_escapes_what_editors_wrote(self, client: FlaskClient, session: Session) -> None:
        poll = new_poll(session, question=HOSTILE, choices=[HOSTILE, "No"])

        page = client.get(address(poll)).text

        assert "<script>" not in page.replace('<script defer src="/embed/frame.js"></script>', "")
        assert faults_of(page) == []

    @pytest.mark.parametrize(
        ("visibility", "is_shown"),
        [("always", True), ("after_vote", False), ("after_close", False), ("never", False)],
    )
    def test_shows_the_results_beneath_where_they_are_for_all(
        self, client: FlaskClient, session: Session, visibility: str, *, is_shown: bool
    ) -> None:
        poll = new_poll(session, results_visibility=visibility)

        page = client.get(address(poll)).text

        assert ("(0 Votes)" in page) is is_shown
        assert ("See results" in page) is is_shown

    @pytest.mark.parametrize("visibility", ["always", "after_vote", "after_close", "never"])
    def test_has_its_tags_in_order(self, client: FlaskClient, session: Session, visibility: str) -> None:
        poll = new_poll(session, results_visibility=visibility)
        form_page = client.get(address(poll)).text
        post(client, poll, choices="1", accepted="true", email="nobody")

        result_page = client.get(address(poll)).text

        assert faults_of(form_page) + faults_of(result_page) == []


class TestFraming:
    def test_is_for_the_origins_of_the_poll_s_site(self, client: FlaskClient, session: Session) -> None:
        poll = new_poll(session, site={"origins": ["https://news.example", "https://m.news.example"]})

        policy = client.get(address(poll)).headers["Content-Security-Policy"]

        assert "frame-ancestors https://m.news.example https://news.example" in policy.split("; ")

    def test_of_a_withdrawn_poll_is_too(self, client: FlaskClient, session: Session, poll: Poll) -> None:
        service.withdraw_poll(session, poll.id, actor=ACTOR, now=TODAY)
        session.commit()

        policy = client.get(address(poll)).headers["Content-Security-Policy"]

        assert "frame-ancestors https://news.example" in policy.split("; ")

    def test_of_a_poll_that_does_not_exist_is_for_nobody(self, client: FlaskClient) -> None:
        answer = client.get("/embed/polls/00000000-0000-7000-8000-000000000000")

        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]

    def test_lets_nothing_inline_run(self, client: FlaskClient, poll: Poll) -> None:
        policy = client.get(address(poll)).headers["Content-Security-Policy"]

        assert "default-src 'none'" in policy
        assert "unsafe" not in policy


class TestAbsentPolls:
    def test_unknown_is_a_page_with_404(self, client: FlaskClient) -> None:
        answer = client.get("/embed/polls/00000000-0000-7000-8000-000000000000")

        assert (answer.status_code, answer.mimetype) == (404, "text/html")
        assert "There is no poll with this id." in answer.text

    def test_an_id_that_is_none_is_a_page_with_404(self, client: FlaskClient) -> None:
        answer = client.get("/embed/polls/1")

        assert (answer.status_code, answer.mimetype) == (404, "text/html")

    def test_withdrawn_is_a_page_with_410(self, client: FlaskClient, session: Session, poll: Poll) -> None:
        service.withdraw_poll(session, poll.id, actor=ACTOR, now=TODAY)
        session.commit()

        answer = client.get(address(poll))

        assert (answer.status_code, answer.mimetype) == (410, "text/html")
        assert "withdrawn" in answer.text
        assert not has_form(answer.text)

    def test_another_method_is_a_page_with_405(self, client: FlaskClient, poll: Poll) -> None:
        answer = client.put(address(poll))

        assert (answer.status_code, answer.mimetype) == (405, "text/html")
        assert "POST" in answer.headers["Allow"]

    def test_the_page_names_the_request(self, client: FlaskClient) -> None:
        answer = client.get("/embed/polls/1")

        assert answer.headers["X-Request-ID"] in answer.text


class TestPollThatIsNotOpen:
    def test_scheduled_says_when_it_opens(self, client: FlaskClient, session: Session) -> None:
        poll = new_poll(session, opens_at=datetime(2126, 5, 4, 6, 30, tzinfo=UTC))

        answer = client.get(address(poll))

        assert answer.status_code == 200
        assert "Voting opens on 4 May 2126 at 06:30 UTC." in answer.text
        assert "0%" not in answer.text
        assert not has_form(answer.text)

    @pytest.mark.parametrize(
        ("visibility", "is_shown"),
        [("always", True), ("after_close", True), ("after_vote", False), ("never", False)],
    )
    def test_closed_shows_what_may_be_shown(
        self, client: FlaskClient, session: Session, keys: Keys, visibility: str, *, is_shown: bool
    ) -> None:
        poll = new_poll(session, results_visibility=visibility)
        make_ballots(session, keys=keys, poll=poll, counts=[634, 8])
        service.close_poll(session, poll.id, actor=ACTOR, now=TODAY)
        session.commit()

        page = client.get(address(poll)).text

        assert "This poll is closed." in page
        assert ("(634 Votes)" in page) is is_shown
        assert ("The results of this poll are not published." in page) is not is_shown
