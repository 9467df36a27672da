"""A sign-up beside a plain vote is taken back on the page that follows, by one button."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from pollsvc.consent.models import Consent, SignUp, State
from pollsvc.consent.signing_up import Desk, process_sign_up
from pollsvc.consent.tokens import token_hash
from pollsvc.embeds.files import CONSENT_LINE
from pollsvc.keys import Keys
from pollsvc.polls import service
from pollsvc.polls.models import Poll
from tests.consent.acts import links
from tests.embeds.pages import faults_of, form_of, has_form
from tests.embeds.visits import OURS, SITE, ballots, post, sign_up, sign_ups
from tests.factories import ACTOR

TAKEN_BACK = "Your sign-up is taken back."


def decide(session: Session, keys: Keys) -> None:
    """Do with the sign-ups what the worker does."""
    for each in sign_ups(session):
        process_sign_up(session, Desk(links(keys)), each.id, datetime.now(UTC))
    session.commit()


class TestOffer:
    def test_is_one_button_that_carries_the_key(
        self, client: FlaskClient, session: Session, poll: Poll
    ) -> None:
        page = sign_up(client, poll)

        form = form_of(page.text)
        assert form.buttons == 1
        (taken,) = sign_ups(session)
        assert taken.withdrawal_hash == token_hash(form.fields["withdrawal_key"][0])
        assert "Take the sign-up back" in page.text
        assert faults_of(page.text) == []

    def test_comes_with_a_vote_that_was_not_counted_too(self, client: FlaskClient, poll: Poll) -> None:
        post(client, poll, choices="2")

        page = sign_up(client, poll)

        assert page.status_code == 409
        assert form_of(page.text).fields["withdrawal_key"]

    def test_comes_with_an_address_that_was_mended(self, client: FlaskClient, poll: Poll) -> None:
        form = form_of(sign_up(client, poll, email="nobody").text)

        answer = client.post(
            form.action, data=form.filled(email="ada@reader.example"), headers={"Origin": OURS}
        )

        assert form_of(client.get(answer.headers["Location"]).text).fields["withdrawal_key"]

    @pytest.mark.parametrize("fields", [{"accepted": ""}, {"email": "nobody"}], ids=["unticked", "refused"])
    def test_is_not_made_where_nobody_signed_up(
        self, client: FlaskClient, poll: Poll, fields: dict[str, str]
    ) -> None:
        assert "withdrawal_key" not in sign_up(client, poll, **fields).text

    def test_is_another_key_for_each(self, client: FlaskClient, session: Session, poll: Poll) -> None:
        sign_up(client, poll)
        sign_up(client, poll)

        assert len({each.withdrawal_hash for each in sign_ups(session)}) == 2


class TestPress:
    @pytest.mark.parametrize("origin", [OURS, SITE, "https://elsewhere.example", "null"])
    def test_ends_it_from_wherever_and_shows_the_result_again(
        self, client: FlaskClient, session: Session, poll: Poll, origin: str
    ) -> None:
        form = form_of(sign_up(client, poll).text)

        answer = client.post(form.action, data=form.filled(), headers={"Origin": origin})

        assert answer.status_code == 303
        page = client.get(answer.headers["Location"]).text
        assert f"Your vote was counted. {TAKEN_BACK}" in page
        assert "<b>100%</b> (1 Vote)" in page
        assert not has_form(page)
        assert sign_ups(session) == []
        assert ballots(session) == [[1]]

    def test_from_a_page_of_nobody_s_leaves_the_reader_who_they_are(
        self, client: FlaskClient, poll: Poll
    ) -> None:
        form = form_of(sign_up(client, poll).text)
        stranger = client.application.test_client(use_cookies=False)

        answer = stranger.post(
            form.action, data=form.filled(), headers={"Origin": "https://elsewhere.example"}
        )

        assert "Set-Cookie" not in answer.headers

    def test_ends_what_the_worker_made_of_it(
        self, client: FlaskClient, session: Session, keys: Keys, poll: Poll
    ) -> None:
        form = form_of(sign_up(client, poll).text)
        decide(session, keys)

        client.post(form.action, data=form.filled())

        session.rollback()
        assert [each.state for each in session.query(Consent)] == [State.WITHDRAWN]

    def test_twice_says_the_same(self, client: FlaskClient, poll: Poll) -> None:
        form = form_of(sign_up(client, poll).text)

        pages = [
            client.get(client.post(form.action, data=form.filled()).headers["Location"]).text
            for _ in range(2)
        ]

        assert all(TAKEN_BACK in page for page in pages)

    def test_after_the_receipt_ran_out_ends_it_all_the_same(
        self, client: FlaskClient, session: Session, poll: Poll
    ) -> None:
        form = form_of(sign_up(client, poll).text)

        client.post(form.action, data=form.filled(receipt="too old"))

        assert sign_ups(session) == []

    def test_after_the_poll_was_withdrawn_ends_it_all_the_same(
        self, client: FlaskClient, session: Session, poll: Poll
    ) -> None:
        form = form_of(sign_up(client, poll).text)
        service.withdraw_poll(session, poll.id, actor=ACTOR, now=datetime.now(UTC))
        session.commit()

        answer = client.post(form.action, data=form.filled())

        assert answer.status_code == 410
        assert sign_ups(session) == []

    @pytest.mark.parametrize("key", ["", "nobody's", "x" * 5_000])
    def test_with_another_key_ends_nothing_and_says_the_same(
        self, client: FlaskClient, session: Session, poll: Poll, key: str
    ) -> None:
        form = form_of(sign_up(client, poll).text)

        answer = client.post(form.action, data=form.filled(withdrawal_key=key))

        assert TAKEN_BACK in client.get(answer.headers["Location"]).text
        assert len(sign_ups(session)) == 1


class TestEvidence:
    def test_of_our_own_page_names_the_file_that_showed_the_box(
        self, client: FlaskClient, session: Session, poll: Poll
    ) -> None:
        form = form_of(client.get(f"/embed/polls/{poll.id}").text)

        sent = form.filled(choices="1", accepted="true", email="ada@reader.example")
        client.post(form.action, data=sent, headers={"Origin": OURS})

        (taken,) = sign_ups(session)
        assert taken.method == "form"
        assert taken.evidence == {
            "control": "checkbox",
            "default_checked": False,
            "placement": "beside_vote",
            "widget": CONSENT_LINE,
        }

    def test_of_an_article_s_own_copy_claims_no_version(
        self, client: FlaskClient, session: Session, poll: Poll
    ) -> None:
        sign_up(client, poll, origin=SITE)

        (taken,) = sign_ups(session)
        assert "widget" not in taken.evidence

    def test_says_that_the_box_was_shown_once_more(
        self, client: FlaskClient, session: Session, poll: Poll
    ) -> None:
        form = form_of(sign_up(client, poll, email="nobody").text)

        client.post(form.action, data=form.filled(email="ada@reader.example"), headers={"Origin": OURS})

        (taken,) = sign_ups(session)
        assert taken.evidence["placement"] == "after_vote"

    def test_of_the_element_is_what_it_sent(self, client: FlaskClient, session: Session, poll: Poll) -> None:
        assert poll.consent_text
        shown = {"widget": "consent.js 0123456789abcdef", "placement": "beside_vote"}

        answer = client.post("/v1/consents", json=consent_of(poll) | shown)

        assert answer.status_code == 202
        (taken,) = sign_ups(session)
        assert taken.method == "checkbox"
        assert taken.evidence == {"control": "checkbox", "default_checked": False} | shown

    @pytest.mark.parametrize(
        "wrong",
        [
            {"widget": "consent.js"},
            {"widget": "../consent.js 0123456789abcdef"},
            {"widget": "consent.js 0123456789abcdef\n"},
            {"placement": "somewhere"},
        ],
    )
    def test_of_another_shape_is_refused_by_name(
        self, client: FlaskClient, session: Session, poll: Poll, wrong: dict[str, str]
    ) -> None:
        answer = client.post("/v1/consents", json=consent_of(poll) | wrong)

        assert answer.status_code == 422
        assert answer.json
        assert [each["field"] for each in answer.json["errors"]] == list(wrong)
        assert session.query(SignUp).all() == []


def consent_of(poll: Poll) -> dict[str, object]:
    """A sign-up as a page of the site sends it."""
    assert poll.consent_text
    return {
        "text_id": str(poll.consent_text.id),
        "email": "ada@reader.example",
        "accepted": True,
        "article_url": poll.articles[0].url,
    }
