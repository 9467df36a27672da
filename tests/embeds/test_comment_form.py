"""A comment by plain form: sent, and refused."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from pollsvc.comments.models import Comment
from pollsvc.keys import Keys
from pollsvc.web.forms import issue_form_token
from tests.embeds.discussions import FIELDS, PAGE, Newsroom, comments, follow, send, show
from tests.embeds.pages import faults_of, form_of
from tests.embeds.visits import OURS, SITE
from tests.factories import ARTICLE_URL, make_site

HOSTILE = "\"></textarea><script>alert('1')</script>"
FOREIGN = [
    pytest.param("https://attacker.example", id="foreign"),
    pytest.param("https://other.example", id="of another site of ours"),
    pytest.param("null", id="null"),
    pytest.param(None, id="none"),
]


class TestSubmit:
    def test_stores_it_and_tells_on_a_page_that_a_reload_repeats(
        self, client: FlaskClient, session: Session, desk: Newsroom
    ) -> None:
        answer = send(client)

        for _ in range(2):
            page = follow(client, answer)
            assert "Your comment is waiting: the newsroom reads it before it is shown." in page
            assert faults_of(page) == []
        (stored,) = comments(session)
        assert (stored.status, stored.name, stored.email) == ("held", "Ada Reader", "ada@reader.example")
        location = answer.headers["Location"]
        assert not any(word in location for word in ("Ada", "crack", str(stored.id)))

    def test_shows_it_in_its_place_where_it_is_published_at_once(
        self, client: FlaskClient, session: Session, desk: Newsroom, keys: Keys
    ) -> None:
        send(client)
        desk.decide(str(comments(session)[0].id), "approve")
        parent = desk.publish("It rings.", name="First")
        in_time = issue_form_token(keys, datetime.now(UTC) - timedelta(minutes=1))

        answer = send(client, parent_id=parent, body="So it does.", form_token=in_time)

        page = follow(client, answer)
        assert "Your comment is published." in page
        assert page.index("It rings.") < page.index('pollsvc-linked"') < page.index("So it does.")

    def test_answers_what_the_form_below_a_comment_stands_for(
        self, client: FlaskClient, session: Session, desk: Newsroom
    ) -> None:
        parent = desk.publish("It rings.")
        page = show(client, reply_to=parent).text
        form = form_of(page)

        client.post(
            form.action,
            data=form.filled(body="Yes.", name="Ada", email="ada@reader.example"),
            headers={"Origin": OURS},
        )

        assert "It rings." in page
        assert [str(each.parent_id) for each in comments(session)][1:] == [parent]

    def test_sent_twice_is_stored_once(self, client: FlaskClient, session: Session, desk: Newsroom) -> None:
        assert [send(client).status_code, send(client).status_code] == [303, 303]
        assert len(comments(session)) == 1

    def test_is_the_writer_s_by_the_form_s_field_where_there_is_no_cookie(
        self, stranger: FlaskClient, session: Session, desk: Newsroom
    ) -> None:
        form = form_of(show(stranger).text)
        for body in ("One.", "Two."):
            stranger.post(form.action, data=form.filled(**FIELDS | {"body": body}), headers={"Origin": OURS})

        first, second = comments(session)
        assert first.writer_key == second.writer_key

    @pytest.mark.parametrize("origin", [OURS, SITE, "https://m.news.example"])
    def test_acts_at_once_from_a_page_that_we_know(
        self, client: FlaskClient, session: Session, desk: Newsroom, origin: str
    ) -> None:
        assert send(client, origin=origin).status_code == 303
        assert len(comments(session)) == 1

    @pytest.mark.parametrize("origin", FOREIGN)
    def test_from_elsewhere_is_asked_for_once_more_and_stores_nothing(
        self, client: FlaskClient, session: Session, desk: Newsroom, origin: str | None
    ) -> None:
        make_site(session, name="Other", origins=["https://other.example"])
        session.commit()

        answer = send(client, origin=origin)

        assert answer.status_code == 200
        assert "Nothing has been sent yet." in answer.text
        assert "Set-Cookie" not in answer.headers
        form = form_of(answer.text)
        assert (form.fields["body"], form.buttons) == (["The bell has a *crack*.\nI saw it."], 1)
        assert faults_of(answer.text) == []
        assert comments(session) == []

        again = client.post(form.action, data=form.filled(), headers={"Origin": OURS})

        assert again.status_code == 303
        assert len(comments(session)) == 1

    def test_from_elsewhere_lends_nobody_an_identity(
        self, stranger: FlaskClient, session: Session, desk: Newsroom, keys: Keys
    ) -> None:
        planted = form_of(show(stranger).text).fields["voter_token"][0]

        page = send(stranger, origin="https://attacker.example", voter_token=planted).text

        assert form_of(page).fields["voter_token"] != [planted]

    @pytest.mark.parametrize("receipt", ["made up", "another article's"])
    def test_receipt_that_is_no_good_tells_nothing(
        self, client: FlaskClient, desk: Newsroom, receipt: str
    ) -> None:
        other = send(client, article_url=f"{SITE}/other").headers["Location"].partition("receipt=")[2]
        given = other if receipt == "another article's" else receipt

        assert "Your comment is waiting" not in show(client, receipt=given).text


class TestRefusals:
    @pytest.mark.parametrize(
        ("field", "text", "sentence"),
        [
            pytest.param("name", "", "Enter your name.", id="no name"),
            pytest.param("name", "\u200b", "Must not be empty.", id="an invisible name"),
            pytest.param("name", "x" * 101, "Longer than maximum length 100.", id="a long name"),
            pytest.param("name", "Ada\u202eadA", "override the direction", id="a name that turns text"),
            pytest.param("email", "", "Enter your email address.", id="no address"),
            pytest.param("email", "nobody", "This is not an email address", id="an address without an @"),
            pytest.param("body", "", "Write something first.", id="no comment"),
            pytest.param("body", "```\n```", "nothing of it would be seen", id="an invisible comment"),
            pytest.param("body", "x" * 5001, "Longer than maximum length 5000.", id="a long comment"),
            pytest.param("body", "a\u0007b", "Control characters are not allowed", id="a bell"),
        ],
    )
    def test_stand_beside_the_field_and_keep_the_others(
        self, client: FlaskClient, session: Session, desk: Newsroom, field: str, *, text: str, sentence: str
    ) -> None:
        answer = send(client, **{field: text})

        assert (answer.status_code, answer.mimetype) == (422, "text/html")
        error = answer.text.partition(f'id="pollsvc-comment-{field}-error">')[2].partition("</p>")[0]
        assert sentence in error
        form = form_of(answer.text)
        assert all(form.fields[name] == [FIELDS[name]] for name in {"name", "email"} - {field})
        assert "<title>Error: " in answer.text
        assert comments(session) == []

    @pytest.mark.parametrize("field", ["name", "email", "body"])
    def test_show_hostile_input_as_text(self, client: FlaskClient, desk: Newsroom, field: str) -> None:
        answer = send(client, **{"email": "", field: HOSTILE})

        assert "<script>alert" not in answer.text
        assert form_of(answer.text).fields[field] == [HOSTILE]
        assert faults_of(answer.text) == []

    @pytest.mark.parametrize("parent", ["another article's", "nobody's", "no id"])
    def test_of_a_place_that_is_none_stand_in_the_status(
        self, client: FlaskClient, session: Session, desk: Newsroom, parent: str
    ) -> None:
        other = desk.publish(article_url=f"{SITE}/other")
        ids = {"another article's": other, "nobody's": "0198f2b0-0000-7000-8000-000000000000"}

        answer = send(client, parent_id=ids.get(parent, parent))

        assert answer.status_code == 422
        assert 'class="pollsvc-status" role="status">' in answer.text
        assert len(comments(session)) == 1

    def test_of_a_reply_too_deep_keep_it_below_what_it_answers(
        self, client: FlaskClient, session: Session, desk: Newsroom
    ) -> None:
        parent = None
        for _ in range(5):
            parent = desk.publish("Deeper.", **({"parent_id": parent} if parent else {}))
        assert parent

        answer = send(client, parent_id=parent)

        assert answer.status_code == 422
        assert "Replies here go 4 deep" in answer.text
        assert form_of(answer.text).fields["parent_id"] == [parent]

    def test_of_a_reply_without_a_name_keep_it_below_what_it_answers(
        self, client: FlaskClient, desk: Newsroom
    ) -> None:
        parent = desk.publish("It rings.")

        answer = send(client, parent_id=parent, name="")

        assert answer.status_code == 422
        assert form_of(answer.text).fields["parent_id"] == [parent]

    def test_of_a_reply_to_what_was_taken_away_are_a_409_with_the_words_kept(
        self, client: FlaskClient, session: Session, desk: Newsroom
    ) -> None:
        parent = desk.publish()
        desk.decide(parent, "remove", reason_code="other")

        answer = send(client, parent_id=parent)

        assert answer.status_code == 409
        assert "takes no more replies" in answer.text
        assert form_of(answer.text).fields["body"] == ["The bell has a *crack*.\nI saw it."]

    def test_of_a_closed_article_are_a_409(
        self, client: FlaskClient, session: Session, desk: Newsroom
    ) -> None:
        desk.staff.patch(f"/v1/articles?article_url={ARTICLE_URL}", json={"comments": "closed"})

        answer = send(client)

        assert answer.status_code == 409
        assert 'role="status">Comments on this article are closed.' in answer.text
        assert comments(session) == []

    @pytest.mark.parametrize("field", ["status", "account_token", "is_featured"])
    def test_of_a_field_that_no_page_has_store_nothing(
        self, client: FlaskClient, session: Session, desk: Newsroom, field: str
    ) -> None:
        assert send(client, **{field: "x"}).status_code == 422
        assert comments(session) == []

    def test_leave_room_for_the_longest_comment_there_may_be(
        self, client: FlaskClient, desk: Newsroom
    ) -> None:
        assert send(client, body="\U0001f514" * 5000, name="\U0001f514" * 100).status_code == 303

    def test_over_the_limit_are_a_page_that_keeps_the_words(
        self, make_app: Callable[..., Flask], session: Session, desk: Newsroom
    ) -> None:
        client = make_app(limit_comments_per_voter="1/minute").test_client()
        form = form_of(show(client).text)
        client.post(PAGE, data=form.filled(**FIELDS), headers={"Origin": OURS})

        answer = client.post(PAGE, data=form.filled(**FIELDS), headers={"Origin": OURS})

        assert (answer.status_code, answer.mimetype) == (429, "text/html")
        assert form_of(answer.text).fields["body"] == ["The bell has a *crack*.\nI saw it."]
        assert len(comments(session)) == 1


class TestSuspicion:
    @pytest.mark.parametrize(
        ("website", "age", "status"),
        [
            pytest.param("", 30, "published", id="a person"),
            pytest.param("https://spam.example", 30, "held", id="a filled honeypot"),
            pytest.param("", 0, "held", id="quicker than a person"),
        ],
    )
    def test_holds_what_would_be_published(
        self,
        client: FlaskClient,
        session: Session,
        desk: Newsroom,
        keys: Keys,
        website: str,
        *,
        age: int,
        status: str,
    ) -> None:
        send(client)
        desk.decide(str(comments(session)[0].id), "approve")
        token = issue_form_token(keys, datetime.now(UTC) - timedelta(seconds=age))

        send(client, body="Another one.", website=website, form_token=token)

        stored: Comment = comments(session)[1]
        assert stored.status == status
