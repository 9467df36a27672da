"""A sign-up whose address or text was not taken: told beside the field, and asked for once more."""

import pytest
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from pollsvc.polls.models import Poll
from tests.embeds.pages import faults_of, form_of, has_form
from tests.embeds.visits import EMAIL, OURS, ballots, new_poll, post, sign_up, sign_ups
from tests.factories import make_consent_text, make_site

TAKEN = "Your vote was counted. Your email address has arrived: thank you."
NOT_TAKEN = "Your vote was counted. Your email address was not taken."


class TestWrongAddress:
    @pytest.mark.parametrize(
        ("email", "sentence"),
        [
            pytest.param("", "Enter your email address.", id="none"),
            pytest.param("   ", "Enter your email address.", id="blank"),
            pytest.param("nobody", "This is not an email address", id="without an @"),
            pytest.param("a@b", "This is not an email address", id="without a domain"),
            pytest.param("a b@reader.example", "This is not an email address", id="with a space"),
            pytest.param("ada@reader.example\u0000", "This is not an email address", id="with a NUL"),
            pytest.param("x" * 300 + "@reader.example", "This is not an email address", id="too long"),
        ],
    )
    def test_is_told_beside_the_field_and_the_vote_stands(
        self, client: FlaskClient, session: Session, poll: Poll, email: str, *, sentence: str
    ) -> None:
        page = sign_up(client, poll, email=email)

        assert page.status_code == 200
        assert NOT_TAKEN in page.text
        assert f'id="retry-email-error">{sentence}' in page.text
        # No address is longer: the rest of such a one is not carried along.
        assert form_of(page.text).fields["email"] == [email[:320]]
        assert ballots(session) == [[1]]
        assert sign_ups(session) == []

    def test_is_escaped_where_it_is_shown_again(self, client: FlaskClient, poll: Poll) -> None:
        hostile = "\"><script>alert('1')</script>"

        page = sign_up(client, poll, email=hostile)

        assert "<script>alert" not in page.text
        assert form_of(page.text).fields["email"] == [hostile]
        assert faults_of(page.text) == []

    @pytest.mark.parametrize("visibility", ["always", "after_vote"])
    def test_is_mended_without_a_second_vote_and_without_a_cookie(
        self, stranger: FlaskClient, session: Session, visibility: str
    ) -> None:
        poll = new_poll(session, results_visibility=visibility)
        form = form_of(sign_up(stranger, poll, email="nobody").text)

        answer = stranger.post(form.action, data=form.filled(email=EMAIL), headers={"Origin": OURS})

        page = stranger.get(answer.headers["Location"])
        assert TAKEN in page.text
        assert "Your answer" in page.text
        assert "Try again" not in page.text
        assert ballots(session) == [[1]]
        assert len(sign_ups(session)) == 1

    def test_may_be_wrong_once_more(self, client: FlaskClient, session: Session, poll: Poll) -> None:
        form = form_of(sign_up(client, poll, email="nobody").text)

        answer = client.post(form.action, data=form.filled(email="still nobody"), headers={"Origin": OURS})

        page = client.get(answer.headers["Location"]).text
        assert NOT_TAKEN in page
        assert form_of(page).fields["email"] == ["still nobody"]
        assert sign_ups(session) == []

    def test_is_given_up_by_taking_the_tick_away(
        self, client: FlaskClient, session: Session, poll: Poll
    ) -> None:
        form = form_of(sign_up(client, poll, email="nobody").text)
        del form.fields["accepted"]

        answer = client.post(form.action, data=form.filled(), headers={"Origin": OURS})

        page = client.get(answer.headers["Location"]).text
        assert "Your vote was counted.</p>" in page
        assert not has_form(page)
        assert sign_ups(session) == []

    def test_is_mended_after_the_receipt_ran_out(
        self, client: FlaskClient, session: Session, poll: Poll
    ) -> None:
        form = form_of(sign_up(client, poll, email="nobody").text)

        answer = client.post(
            form.action, data=form.filled(email=EMAIL, receipt="too old"), headers={"Origin": OURS}
        )

        page = client.get(answer.headers["Location"]).text
        assert TAKEN in page
        assert len(sign_ups(session)) == 1

    def test_mended_on_a_foreign_page_is_asked_for_once_more(
        self, client: FlaskClient, session: Session, poll: Poll
    ) -> None:
        form = form_of(sign_up(client, poll, email="nobody").text)

        answer = client.post(form.action, data=form.filled(email=EMAIL), headers={"Origin": "null"})

        again = form_of(answer.text)
        assert again.fields["choices"] == ["1"]
        assert again.fields["email"] == [EMAIL]
        assert sign_ups(session) == []


class TestUnknownText:
    @pytest.mark.parametrize("which", ["left out", "made up", "no id", "of another site"])
    def test_is_not_recorded_and_the_poll_s_own_is_offered(
        self, client: FlaskClient, session: Session, poll: Poll, which: str
    ) -> None:
        other = make_site(session, name="Other", origins=["https://other.example"])
        foreign = make_consent_text(session, site=other)
        session.commit()
        text_ids = {
            "left out": "",
            "made up": "00000000-0000-7000-8000-000000000000",
            "no id": "the newsletter",
            "of another site": str(foreign.id),
        }

        page = sign_up(client, poll, text_id=text_ids[which])

        assert NOT_TAKEN in page.text
        assert poll.consent_text
        assert form_of(page.text).fields["text_id"] == [str(poll.consent_text.id)]
        assert ballots(session) == [[1]]
        assert sign_ups(session) == []

    def test_of_a_poll_without_one_is_told(self, client: FlaskClient, session: Session) -> None:
        poll = new_poll(session, has_site_text=False)

        answer = post(client, poll, choices="1", accepted="true", email=EMAIL)

        page = client.get(answer.headers["Location"]).text
        assert NOT_TAKEN in page
        assert not has_form(page)
        assert ballots(session) == [[1]]
