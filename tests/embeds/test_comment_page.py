"""An article's comments on a page without scripts: what is read there."""

import re

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from pollsvc.articles.models import Article
from tests.embeds.discussions import PAGE, Newsroom, comments, press, send, show
from tests.embeds.pages import faults_of, form_of, has_form
from tests.embeds.visits import SITE
from tests.factories import ARTICLE_URL

HOSTILE = "</bdi></p><script>alert('1')</script>"


def names(page: str) -> list[str]:
    """Give who wrote what is shown, in its order."""
    return re.findall(r"<b><bdi>(.*?)</bdi></b>", page)


def set_mode(desk: Newsroom, mode: str) -> None:
    path = f"/v1/articles?article_url={ARTICLE_URL}"
    assert desk.staff.patch(path, json={"comments": mode}).status_code == 200


def link(page: str, label: str) -> str:
    """Give where the last link with these words leads."""
    return str(re.findall(rf'href="([^"]*)"[^>]*>{label}</a>', page)[-1]).replace("&amp;", "&")


class TestForm:
    def test_asks_for_a_comment_name_and_email(self, client: FlaskClient, desk: Newsroom) -> None:
        answer = show(client, f"{ARTICLE_URL}?utm_source=x#top")

        assert (answer.status_code, answer.mimetype) == (200, "text/html")
        form = form_of(answer.text)
        assert (form.action, form.method, form.buttons) == (PAGE, "post", 1)
        assert form.fields["article_url"] == [ARTICLE_URL]
        assert [form.fields[name] for name in ("body", "name", "email", "website")] == [[""]] * 4
        assert "nothing is mailed to it" in answer.text
        assert "Nobody has commented yet." in answer.text
        assert faults_of(answer.text) == []

    def test_creates_no_article(self, client: FlaskClient, session: Session, desk: Newsroom) -> None:
        show(client)

        assert session.scalars(select(Article)).all() == []

    def test_is_the_reader_s_alone_and_framed_by_the_site(self, client: FlaskClient, desk: Newsroom) -> None:
        headers = show(client).headers

        assert headers["Cache-Control"] == "private, no-store"
        assert "pollsvc_voter=" in headers["Set-Cookie"]
        policy = headers["Content-Security-Policy"].split("; ")
        assert f"frame-ancestors https://m.news.example {SITE}" in policy

    def test_tells_the_page_around_it_how_high_it_is(self, client: FlaskClient, desk: Newsroom) -> None:
        assert "/embed/frame.js" in show(client).text

    @pytest.mark.parametrize("given", ["", "https://elsewhere.example/a", "javascript:alert(1)"])
    def test_for_no_article_of_ours_is_a_page_with_422(
        self, client: FlaskClient, desk: Newsroom, given: str
    ) -> None:
        answer = show(client, given)

        assert (answer.status_code, answer.mimetype) == (422, "text/html")

    @pytest.mark.parametrize(
        ("mode", "sentence", "is_taking"),
        [
            ("open", "1 comment</h1>", True),
            ("premoderated", "are read before they are shown", True),
            ("closed", "Comments on this article are closed.", False),
            ("off", "This article has no comments.", False),
        ],
    )
    def test_is_there_where_the_article_takes_comments(
        self, client: FlaskClient, desk: Newsroom, mode: str, sentence: str, *, is_taking: bool
    ) -> None:
        desk.publish("It rings at night.")
        set_mode(desk, mode)

        page = show(client).text

        assert sentence in page
        assert has_form(page) == is_taking
        assert (">Reply</a>" in page) == is_taking
        assert ("It rings at night." in page) == (mode != "off")


class TestThread:
    def test_comes_in_three_orders_and_by_pages(self, client: FlaskClient, desk: Newsroom) -> None:
        first = desk.publish(name="First")
        for number in range(20):
            desk.publish(f"It rings {number} times.", name=f"Then {number}")
        desk.publish("So it does.", parent_id=first)

        newest, oldest = show(client).text, show(client, order="oldest").text
        second = client.get(link(newest, "Show more")).text

        assert names(newest)[0] == "Then 19"
        assert names(oldest)[:2] == ["First", "Then 0"]
        assert names(show(client, order="most_replied").text)[0] == "First"
        assert (len(names(newest)), names(second)) == (20, ["First"])
        assert "22 comments</h1>" in newest
        assert "Show more" not in second

    def test_shows_replies_below_what_they_answer(self, client: FlaskClient, desk: Newsroom) -> None:
        first = desk.publish(name="First")
        reply = desk.publish("So it does.", name="Second", parent_id=first)
        desk.publish("Does it?", name="Third", parent_id=reply)

        below = client.get(link(show(client).text, "2 replies")).text

        assert names(below) == ["First", "Second"]
        assert not has_form(below)
        assert faults_of(below) == []
        assert names(client.get(link(below, "1 reply")).text) == ["First", "Second", "Third"]

    def test_leads_by_a_link_to_one_comment_below_all_above_it(
        self, client: FlaskClient, desk: Newsroom
    ) -> None:
        first = desk.publish(name="First")
        desk.publish("Something else.", name="Other", parent_id=first)
        reply = desk.publish("So it does.", name="Second", parent_id=first)

        page = show(client, comment=reply).text

        assert names(page) == ["First", "Second"]
        assert f'pollsvc-linked" id="pollsvc-comment-{reply}"' in page
        assert names(client.get(link(page, "Show the whole discussion")).text) == ["First"]
        assert faults_of(page) == []

    @pytest.mark.parametrize("kind", ["comment", "below", "reply_to"])
    @pytest.mark.parametrize("given", ["another article's", "nobody's", "no id"])
    def test_link_to_nothing_of_the_article_shows_the_whole(
        self, client: FlaskClient, desk: Newsroom, kind: str, given: str
    ) -> None:
        desk.publish(name="First")
        other = desk.publish(name="Elsewhere", article_url=f"{SITE}/other")
        ids = {"another article's": other, "nobody's": "0198f2b0-0000-7000-8000-000000000000"}

        answer = show(client, **{kind: ids.get(given, given)})

        assert answer.status_code == 200
        assert names(answer.text) == ["First"]

    def test_keeps_the_place_of_what_was_removed_where_something_hangs_below(
        self, client: FlaskClient, desk: Newsroom
    ) -> None:
        first = desk.publish("A secret.", name="First")
        desk.publish("So it is.", name="Second", parent_id=first)
        desk.decide(first, "remove", reason_code="other")

        page = show(client).text

        assert "This comment was removed." in page
        assert "A secret." not in page
        assert "1 comment</h1>" in page
        assert names(show(client, below=first).text) == ["Second"]

    def test_shows_names_as_text_and_bodies_as_they_were_cleaned(
        self, client: FlaskClient, desk: Newsroom
    ) -> None:
        desk.publish(f"{HOSTILE} but *so*", name=HOSTILE)

        page = show(client).text

        assert "<script>" not in page.replace("<script defer src=", "")
        assert "but <em>so</em>" in page
        assert faults_of(page) == []

    def test_cursor_of_something_else_is_a_page_with_422(self, client: FlaskClient, desk: Newsroom) -> None:
        assert show(client, cursor="made-up").status_code == 422


class TestOwnComments:
    def test_are_shown_to_their_writer_alone_with_why_others_do_not_see_them(
        self, client: FlaskClient, stranger: FlaskClient, session: Session, desk: Newsroom
    ) -> None:
        send(client)
        send(client, body="You fools.")
        desk.decide(str(comments(session)[1].id), "reject", reason_code="abuse")

        mine, theirs = show(client).text, show(stranger).text

        assert "<b>Waiting</b>: The newsroom reads it before it is shown. Only you can see it here." in mine
        assert "<b>Not shown</b>: The newsroom found it abusive." in mine
        assert "You fools." in mine
        assert "a <em>crack</em>" in mine
        assert names(theirs) == []
        assert form_of(mine).fields["name"] == ["Ada Reader"]
        assert faults_of(mine) == []

    def test_stand_in_the_thread_once_they_are_shown(
        self, client: FlaskClient, stranger: FlaskClient, session: Session, desk: Newsroom
    ) -> None:
        send(client)
        desk.decide(str(comments(session)[0].id), "approve")

        mine, theirs = show(client).text, show(stranger).text

        assert (names(mine), names(theirs)) == (["Ada Reader"], ["Ada Reader"])
        assert (">Edit</a>" in mine, ">Report</a>" in mine) == (True, False)
        assert (">Edit</a>" in theirs, ">Report</a>" in theirs) == (False, True)

    @pytest.mark.parametrize(("mode", "may_edit"), [("open", 3), ("premoderated", 3), ("closed", 0)])
    def test_can_be_changed_where_the_article_takes_comments(
        self, client: FlaskClient, session: Session, desk: Newsroom, mode: str, may_edit: int
    ) -> None:
        """One that is shown, one that waits, and one that waits again in the place above its reply."""
        for body in ("The first.", "The second.", "The third."):
            send(client, body=body)
        shown, answered = (str(each.id) for each in comments(session)[:2])
        desk.decide(shown, "approve")
        desk.decide(answered, "approve")
        desk.publish("So it does.", parent_id=answered)
        press(client, answered, "edit", body="The second, better said.", version="2")
        set_mode(desk, mode)

        page = show(client).text

        assert page.count(">Take back</a>") == 3
        assert page.count(">Edit</a>") == may_edit
