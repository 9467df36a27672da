"""What is done to one comment by plain forms: changed, taken back, reported."""

from datetime import UTC, datetime, timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from pollsvc.comments.models import CommentReport, CommentVerdict
from pollsvc.keys import Keys
from pollsvc.web.forms import issue_form_token
from tests.embeds.discussions import PAGE, Newsroom, comments, follow, press, send, show
from tests.embeds.pages import faults_of, form_of
from tests.embeds.visits import OURS
from tests.factories import ARTICLE_URL

NOBODYS = "0198f2b0-0000-7000-8000-000000000000"


@pytest.fixture
def mine(client: FlaskClient, session: Session, desk: Newsroom) -> str:
    """The reader's own comment, which the newsroom let through."""
    send(client)
    comment_id = str(comments(session)[0].id)
    desk.decide(comment_id, "approve")
    return comment_id


def reports(session: Session) -> list[CommentReport]:
    session.rollback()
    return list(session.scalars(select(CommentReport)))


class TestSentAgain:
    @pytest.mark.parametrize("action", ["reject", "spam", "remove"])
    def test_it_is_told_that_the_newsroom_decided(
        self, client: FlaskClient, session: Session, desk: Newsroom, action: str
    ) -> None:
        send(client)
        desk.decide(str(comments(session)[0].id), action)

        page = follow(client, send(client))

        assert "the newsroom decided not to show it" in page
        assert "taken back" not in page
        assert len(comments(session)) == 1


class TestPages:
    @pytest.mark.parametrize("act", ["edit", "withdrawal", "report"])
    def test_have_one_form_with_one_button_and_are_the_reader_s_alone(
        self, client: FlaskClient, mine: str, act: str
    ) -> None:
        answer = client.get(f"{PAGE}/{mine}/{act}")

        form = form_of(answer.text)
        assert (form.action, form.method, form.buttons) == (f"{PAGE}/{mine}/{act}", "post", 1)
        assert answer.headers["Cache-Control"] == "private, no-store"
        assert "https://news.example" in answer.headers["Content-Security-Policy"]
        assert faults_of(answer.text) == []

    @pytest.mark.parametrize("act", ["edit", "withdrawal", "report"])
    def test_change_nothing_by_being_looked_at(
        self, client: FlaskClient, session: Session, mine: str, act: str
    ) -> None:
        client.get(f"{PAGE}/{mine}/{act}")

        (comment,) = comments(session)
        assert (comment.status, comment.version, comment.open_reports) == ("published", 2, 0)

    @pytest.mark.parametrize("act", ["edit", "withdrawal"])
    def test_of_somebody_else_s_comment_are_404_and_change_nothing(
        self, stranger: FlaskClient, session: Session, mine: str, act: str
    ) -> None:
        fields = {"body": "Mine now.", "version": "2"} if act == "edit" else {}
        answers = [stranger.get(f"{PAGE}/{mine}/{act}"), press(stranger, mine, act, **fields)]

        assert [(each.status_code, each.mimetype) for each in answers] == [(404, "text/html")] * 2
        (comment,) = comments(session)
        assert (comment.status, comment.version) == ("published", 2)

    @pytest.mark.parametrize("act", ["edit", "withdrawal", "report"])
    def test_of_nobody_s_comment_are_404(self, client: FlaskClient, desk: Newsroom, act: str) -> None:
        assert client.get(f"{PAGE}/{NOBODYS}/{act}").status_code == 404

    @pytest.mark.parametrize("act", ["edit", "withdrawal", "report"])
    @pytest.mark.parametrize("origin", ["https://attacker.example", "null", None])
    def test_sent_from_elsewhere_ask_once_more_and_change_nothing(
        self, client: FlaskClient, session: Session, mine: str, act: str, *, origin: str | None
    ) -> None:
        sent = {
            "edit": {"body": "Something else.", "version": "2"},
            "withdrawal": {},
            "report": {"reason": "spam", "note": "Look."},
        }[act]

        answer = press(client, mine, act, origin=origin, **sent)

        assert answer.status_code == 200
        assert "Nothing has been sent yet." in answer.text
        form = form_of(answer.text)
        assert form.buttons == 1
        assert all(form.fields[name] == [text] for name, text in sent.items())
        (comment,) = comments(session)
        assert (comment.status, comment.version, comment.open_reports) == ("published", 2, 0)

        again = client.post(form.action, data=form.filled(), headers={"Origin": OURS})

        assert again.status_code == 303


class TestEdit:
    def test_is_looked_at_once_more(self, client: FlaskClient, session: Session, mine: str) -> None:
        form = form_of(client.get(f"{PAGE}/{mine}/edit").text)
        assert form.fields["body"] == ["The bell has a *crack*.\nI saw it."]

        answer = client.post(form.action, data=form.filled(body="It has two."), headers={"Origin": OURS})

        page = follow(client, answer)
        assert "Your comment was changed, and is waiting" in page
        assert "It has two." in page
        (comment,) = comments(session)
        assert (comment.status, comment.revision) == ("held", 2)

    def test_of_what_was_answered_leaves_its_place_while_it_is_looked_at_again(
        self, client: FlaskClient, stranger: FlaskClient, desk: Newsroom, mine: str
    ) -> None:
        desk.publish("It always had.", name="Ben", parent_id=mine)
        press(client, mine, "edit", body="It has two.", version="2")

        own, theirs, reply = show(client).text, show(stranger).text, send(stranger, parent_id=mine)

        assert "It has two." in own
        assert "This comment is being looked at again." in theirs
        assert "This comment was removed." not in theirs
        assert not any(words in theirs for words in ("crack", "It has two.", ">Reply</a>", ">Report</a>"))
        assert "It always had." in show(stranger, below=mine).text
        assert reply.status_code == 409
        assert "is being looked at again, and takes no replies meanwhile" in reply.text
        desk.decide(mine, "remove")
        assert "This comment was removed." in show(stranger).text

    def test_by_a_program_is_marked(
        self, client: FlaskClient, session: Session, desk: Newsroom, keys: Keys
    ) -> None:
        send(client, form_token=issue_form_token(keys, datetime.now(UTC) - timedelta(minutes=1)))
        form = form_of(client.get(f"{PAGE}/{comments(session)[0].id}/edit").text)

        client.post(form.action, data=form.filled(body="It has two.", website="x"), headers={"Origin": OURS})

        session.rollback()
        rung = select(CommentVerdict.revision).where(CommentVerdict.name == "form", CommentVerdict.score > 0)
        assert session.scalars(rung).all() == [2]

    @pytest.mark.parametrize(
        ("body", "sentence"), [("", "Write something first."), ("```\n```", "nothing of it would be seen")]
    )
    def test_to_nothing_is_refused_beside_the_field(
        self, client: FlaskClient, session: Session, mine: str, body: str, *, sentence: str
    ) -> None:
        answer = press(client, mine, "edit", body=body, version="2")

        assert answer.status_code == 422
        assert sentence in answer.text.partition('id="pollsvc-comment-body-error">')[2].partition("</p>")[0]
        assert comments(session)[0].revision == 1

    def test_of_what_changed_meanwhile_says_so_and_goes_through_when_pressed_again(
        self, client: FlaskClient, session: Session, mine: str
    ) -> None:
        answer = press(client, mine, "edit", body="It has two.", version="1")

        assert answer.status_code == 409
        assert "This has changed since you read it." in answer.text
        form = form_of(answer.text)
        assert form.fields["body"] == ["It has two."]
        assert client.post(form.action, data=form.filled(), headers={"Origin": OURS}).status_code == 303
        assert comments(session)[0].revision == 2

    def test_of_what_was_turned_down_is_refused(
        self, client: FlaskClient, session: Session, desk: Newsroom, mine: str
    ) -> None:
        desk.decide(mine, "reject", reason_code="abuse")

        answer = press(client, mine, "edit", body="Sorry.", version="3")

        assert answer.status_code == 409
        assert ">Edit</a>" not in show(client).text


class TestTakeBack:
    def test_takes_the_comment_off_the_page(self, client: FlaskClient, session: Session, mine: str) -> None:
        page = follow(client, press(client, mine, "withdrawal"))

        assert "Your comment is taken back." in page
        assert "crack" not in page
        assert comments(session)[0].status == "removed"

    def test_as_often_as_it_is_pressed_is_the_same(
        self, client: FlaskClient, session: Session, mine: str
    ) -> None:
        assert [press(client, mine, "withdrawal").status_code for _ in range(2)] == [303, 303]
        assert comments(session)[0].version == 3

    def test_leaves_its_place_to_what_hangs_below(
        self, client: FlaskClient, desk: Newsroom, mine: str
    ) -> None:
        desk.publish("So it has.", parent_id=mine)

        page = follow(client, press(client, mine, "withdrawal"))

        assert "You took this comment back." in page
        assert "1 reply" in page


class TestReport:
    def test_reaches_the_newsroom(self, stranger: FlaskClient, session: Session, mine: str) -> None:
        page = follow(stranger, press(stranger, mine, "report", reason="wrong_fact", note="It has none."))

        assert "Your report has arrived" in page
        (report,) = reports(session)
        assert (report.reason, report.note) == ("wrong_fact", "It has none.")

    def test_needs_no_note(self, stranger: FlaskClient, session: Session, mine: str) -> None:
        press(stranger, mine, "report", reason="spam", note=" ")

        assert [each.note for each in reports(session)] == [None]

    @pytest.mark.parametrize("reason", ["", "dull"])
    def test_without_a_reason_is_refused_beside_the_choice(
        self, stranger: FlaskClient, session: Session, mine: str, reason: str
    ) -> None:
        answer = press(stranger, mine, "report", note="Look.", **({"reason": reason} if reason else {}))

        assert answer.status_code == 422
        assert 'id="pollsvc-comment-reason-error">Choose a reason.' in answer.text
        assert form_of(answer.text).fields["note"] == ["Look."]
        assert reports(session) == []

    def test_of_what_nobody_sees_is_404(
        self, client: FlaskClient, stranger: FlaskClient, session: Session, desk: Newsroom
    ) -> None:
        send(client)
        held = str(comments(session)[0].id)

        assert press(stranger, held, "report", reason="spam").status_code == 404

    def test_below_an_article_without_comments_is_404_and_shows_nothing(
        self, stranger: FlaskClient, session: Session, desk: Newsroom, mine: str
    ) -> None:
        answer = desk.staff.patch(f"/v1/articles?article_url={ARTICLE_URL}", json={"comments": "off"})
        assert answer.status_code == 200

        answers = [stranger.get(f"{PAGE}/{mine}/report"), press(stranger, mine, "report", reason="spam")]

        assert [each.status_code for each in answers] == [404, 404]
        assert reports(session) == []
