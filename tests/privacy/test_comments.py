"""A reader's comments are shown to them, forgotten as they choose, and in time; the thread around them stays."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from pollsvc.comments.counts import find_differences
from pollsvc.comments.forgetting import Choice, forget_reports, forget_taken_away, settled_reports, taken_away
from pollsvc.comments.models import Comment, CommentChange, CommentReport, CommentRevision, CommentVerdict
from pollsvc.comments.policy_models import Ban
from pollsvc.consent.links import Links
from pollsvc.consent.service import email_hash
from pollsvc.keys import Keys
from pollsvc.outbox.models import OutboxEvent, OutboxMessage
from pollsvc.privacy.models import DataRequest
from pollsvc.privacy.requests import Answer, answer_request, ask_for_link
from pollsvc.privacy.rotation import renew_some, sealed_tables
from pollsvc.privacy.service import erase_person
from pollsvc.staff.models import AuditEntry
from tests.cli.commands import Run
from tests.conftest import ENVIRON
from tests.consent.logins import SECRET, account_token
from tests.consent.stored import rows_of, tables_with
from tests.consent.waiting import is_waited_for
from tests.factories import ACTOR, ARTICLE_URL, ORIGIN
from tests.privacy.scene import Commented, Scene, comment, count
from tests.privacy.test_retention import wipe_after
from tests.processes import wait_until
from tests.unreadable import make_unreadable

DAY = timedelta(days=1)


def erase(scene: Scene, choice: Choice | None = None) -> dict[str, Any]:
    body = {"email": scene.email} | ({"comments": choice} if choice else {})
    erased: dict[str, Any] = scene.post("/v1/privacy/erasures", body, 200, by=scene.staff)["erased"]
    scene.session.commit()
    scene.session.expire_all()
    return erased


def comment_as(scene: Scene, sub: str, body: str) -> str:
    """Comment by an account whose login gives no address."""
    new = {
        "article_url": ARTICLE_URL,
        "body": body,
        "name": "Ada",
        "account_token": account_token(sub=sub, email=None),
    }
    found: str = scene.post("/v1/comments", new, 202)["id"]
    return found


def erase_writer_of(scene: Scene, comment_id: str, status: int) -> dict[str, Any]:
    answer = scene.post("/v1/privacy/writer-erasures", {"comment_id": comment_id}, status, by=scene.staff)
    scene.session.commit()
    scene.session.expire_all()
    return answer


def thread(scene: Scene, parent_id: str | None = None) -> list[dict[str, Any]]:
    return items(scene, "/v1/comments", {"article_url": ARTICLE_URL, "parent_id": parent_id}, {})


def mine(scene: Scene, token: str) -> list[dict[str, Any]]:
    return items(scene, "/v1/comments/mine", {}, {"X-Voter-Token": token})


def items(
    scene: Scene, path: str, query: dict[str, str | None], headers: dict[str, str]
) -> list[dict[str, Any]]:
    given = {name: value for name, value in query.items() if value}
    answer = scene.client.get(path, query_string=given, headers=headers)
    found: list[dict[str, Any]] = (answer.json or {})["items"]
    return found


def code_of(answer: TestResponse) -> tuple[int, str | None]:
    return answer.status_code, (answer.json or {}).get("code")


def dossier(scene: Scene, comment_id: str) -> dict[str, Any]:
    return scene.get(f"/v1/moderation/comments/{comment_id}")


def differences(scene: Scene) -> list[object]:
    scene.session.commit()
    return list(find_differences(scene.session))


@pytest.fixture
def commented(scene: Scene) -> Commented:
    return comment(scene)


class TestRemoveText:
    def test_leaves_a_place_in_the_thread_and_the_reply_of_another(
        self, scene: Scene, commented: Commented
    ) -> None:
        assert erase(scene) == {"consents": 0, "sign_ups": 0, "corrections": 0, "comments": 2}

        (place,) = thread(scene)
        assert (place["id"], place["status"], place["name"], place["body"], place["replies"]) == (
            commented.published,
            "removed",
            None,
            None,
            1,
        )
        assert [each["id"] for each in thread(scene, commented.published)] == [commented.reply]
        assert differences(scene) == []

    def test_empties_all_that_hangs_on_them(self, scene: Scene, commented: Commented) -> None:
        writer_key = scene.session.scalars(
            select(Comment.writer_key).where(Comment.name.is_not(None)).order_by(Comment.id).limit(1)
        ).one()
        erase(scene)

        for comment_id in (commented.published, commented.rejected):
            shown = dossier(scene, comment_id)
            assert (shown["status"], shown["decided_by"], bool(shown["erased_at"])) == (
                "removed",
                "erasure",
                True,
            )
            assert {shown["name"], shown["email"], shown["open_reports"]} == {None, 0}
            assert {each["body"] for each in shown["revisions"]} == {None}
            assert {each["note"] for each in (*shown["changes"], *shown["reports"])} == {None}
            assert shown["changes"][-1]["action"] == "erase"
            found = [each for revision in shown["revisions"] for each in revision["verdicts"]]
            assert {(each["reason"], str(each["spans"])) for each in found} == {("", "[]")}
        prints = select(CommentRevision.text_hash, CommentRevision.band_0)
        emptied = prints.where(CommentRevision.body.is_(None))
        assert set(scene.session.execute(emptied)) == {(None, None)}
        assert all(each["settled_at"] for each in dossier(scene, commented.published)["reports"])
        assert tables_with(scene.session, writer_key, email_hash(scene.keys, scene.email)) == {"suppression"}

    def test_is_told_to_the_publisher_s_systems_in_nobody_s_words(
        self, scene: Scene, commented: Commented
    ) -> None:
        erase(scene)

        ids = [commented.published, commented.rejected]
        events = scene.session.scalars(
            select(OutboxEvent)
            .where(OutboxEvent.subject.in_(f"comment:{each}" for each in ids))
            .order_by(OutboxEvent.id)
        ).all()
        assert [each.kind for each in events] == ["comment.removed"] * 2
        assert {json.loads(str(each.data))["id"] for each in events} == set(ids)
        assert set(json.loads(str(events[0].data))) == {
            *("id", "site_id", "article_url", "parent_id", "status", "version", "revision"),
            *("decided_by", "reason_code"),
        }

    def test_ends_the_writer_s_hand_over_them(self, scene: Scene, commented: Commented) -> None:
        erase(scene)

        assert mine(scene, commented.voter_token) == []
        given = {"X-Voter-Token": commented.voter_token}
        path = f"/v1/comments/{commented.published}"
        assert scene.client.delete(path, headers=given).status_code == 404
        decision = {"action": "approve", "version": dossier(scene, commented.published)["version"]}
        answer = scene.staff.post(f"/v1/moderation/comments/{commented.published}/decisions", json=decision)
        assert code_of(answer) == (409, "comment_removed")

    def test_is_what_the_data_page_does_where_nothing_else_is_chosen(
        self, scene: Scene, commented: Commented
    ) -> None:
        press(scene, "anything")

        assert dossier(scene, commented.published)["status"] == "removed"


class TestRemoveIdentity:
    def test_leaves_what_is_published_under_nobody_s_name(self, scene: Scene, commented: Commented) -> None:
        kept = {"published comment": scene.words.pop("published comment")}
        scene.session.execute(update(Comment).values(is_featured=Comment.status == "published"))
        scene.session.commit()

        assert erase(scene, Choice.REMOVE_IDENTITY)["comments"] == 2
        scene.later(timedelta(hours=1))
        scene.work()
        scene.rewrite_tables()

        (shown,) = thread(scene)
        assert (shown["id"], shown["name"], shown["is_featured"]) == (
            commented.published,
            "Deleted reader",
            True,
        )
        assert kept["published comment"] in shown["body"]
        assert scene.found() == {}
        assert set(scene.found(kept)) == {"published comment"}
        assert dossier(scene, commented.rejected)["status"] == "removed"
        assert dossier(scene, commented.published)["reports"][0]["settled_at"] is None
        assert differences(scene) == []
        assert mine(scene, commented.voter_token) == []

    def test_leaves_no_part_of_the_name_in_what_a_check_said(
        self, scene: Scene, commented: Commented
    ) -> None:
        reason = "On the suspect list: “reader” (en) in the name, 4–10."
        verdicts = (
            CommentVerdict.comment_id == UUID(commented.published),
            CommentVerdict.name == "suspect_words",
        )
        scene.session.execute(update(CommentVerdict).where(*verdicts).values(score=1, reason=reason))
        scene.session.commit()

        erase(scene, Choice.REMOVE_IDENTITY)

        assert set(scene.session.scalars(select(CommentVerdict.reason).where(*verdicts))) == {""}

    def test_can_be_taken_away_and_brought_back_by_the_newsroom(
        self, scene: Scene, commented: Commented
    ) -> None:
        erase(scene, Choice.REMOVE_IDENTITY)
        path = f"/v1/moderation/comments/{commented.published}/decisions"

        for action in ("reject", "approve"):
            version = dossier(scene, commented.published)["version"]
            scene.post(path, {"action": action, "version": version}, 200, by=scene.staff)

        assert thread(scene)[0]["name"] == "Deleted reader"

    def test_is_told_so_that_copies_are_read_again(self, scene: Scene, commented: Commented) -> None:
        erase(scene, Choice.REMOVE_IDENTITY)

        told = scene.session.scalars(
            select(OutboxEvent.data).where(OutboxEvent.subject == f"comment:{commented.published}")
        ).one()
        assert (json.loads(str(told))["status"], json.loads(str(told))["version"]) == ("published", 4)

    def test_is_chosen_on_the_data_page(self, scene: Scene, commented: Commented) -> None:
        press(scene, "remove_identity")

        assert thread(scene)[0]["name"] == "Deleted reader"

    def test_of_another_choice_is_refused(self, scene: Scene) -> None:
        body = {"email": scene.email, "comments": "remove_all"}

        assert scene.staff.post("/v1/privacy/erasures", json=body).status_code == 422


def press(scene: Scene, choice: str) -> None:
    path = Links("", "", scene.keys).data(email_hash(scene.keys, scene.email), scene.now())
    assert scene.client.post(f"{path}/erase/now", data={"comments": choice}).status_code == 200
    scene.session.expire_all()


class TestWhose:
    def test_comments_of_an_account_are_found_by_the_login_s_address_which_is_not_kept(
        self, scene: Scene
    ) -> None:
        scene.site.login_key = SECRET
        scene.session.commit()
        token = account_token(sub="account-9", email=scene.email.upper())
        new = {
            "article_url": ARTICLE_URL,
            "body": "I have an account.",
            "name": "Ada",
            "account_token": token,
        }
        scene.post("/v1/comments", new, 202)
        assert scene.session.scalars(select(Comment.email)).all() == [None]
        scene.session.commit()

        assert [each["is_account"] for each in shown_to(scene)["comments"]] == [True]
        # Nothing is mailed to it: it was never given to us.
        assert ask(scene) == Answer.UNKNOWN
        assert erase(scene)["comments"] == 1

    def test_who_has_no_address_is_found_by_one_of_their_comments(self, scene: Scene) -> None:
        scene.site.login_key = SECRET
        scene.session.commit()
        ids = [
            comment_as(scene, sub, body) for sub, body in (("9", "One."), ("9", "Two."), ("8", "Another's."))
        ]

        assert (
            scene.post("/v1/privacy/erasures", {"email": scene.email}, 200, by=scene.staff)["erased"][
                "comments"
            ]
            == 0
        )
        answer = erase_writer_of(scene, ids[0], 200)

        assert answer == {
            "status": "erased",
            "erased": {"consents": 0, "sign_ups": 0, "corrections": 0, "comments": 2},
        }
        assert [dossier(scene, each)["status"] for each in ids] == ["removed", "removed", "held"]
        texts = scene.session.scalars(select(CommentRevision.body)).all()
        assert sorted(filter(None, texts)) == ["Another's."]
        assert differences(scene) == []

    def test_what_was_wiped_leads_to_nobody(self, scene: Scene, commented: Commented) -> None:
        erase_writer_of(scene, commented.published, 200)
        count_before = scene.session.scalars(select(sa.func.count()).select_from(AuditEntry)).one()

        assert erase_writer_of(scene, commented.published, 404)["code"] == "comment_not_found"

        assert scene.session.scalars(select(sa.func.count()).select_from(AuditEntry)).one() == count_before
        (row,) = scene.session.scalars(select(AuditEntry).where(AuditEntry.action == "writer.erased"))
        assert (row.object_id, row.detail) == ("", {"comments": 2, "choice": "remove_text"})

    def test_a_link_is_mailed_to_who_only_commented_and_forgotten_with_the_comment(
        self, scene: Scene, commented: Commented
    ) -> None:
        assert ask(scene) == Answer.MAILED
        scene.work()
        assert [mail["To"] for mail in scene.mails()] == [scene.email]

        erase(scene)

        assert count(scene.session, OutboxMessage) == [0]
        assert scene.mails() == []

    def test_a_mail_that_waits_is_dropped_where_its_owner_objects(
        self, scene: Scene, commented: Commented
    ) -> None:
        ask(scene)
        scene.post("/v1/suppressions", {"email": scene.email}, 200, by=scene.staff)

        assert count(scene.session, OutboxMessage) == [0]


def ask(scene: Scene) -> Answer | None:
    ask_for_link(scene.session, email_hash(scene.keys, scene.email), scene.now())
    request = scene.session.scalars(select(DataRequest.id)).one()
    links = Links("http://localhost", "localhost", scene.keys)
    answer = answer_request(scene.session, links, request, scene.now())
    scene.session.commit()
    return answer


def shown_to(scene: Scene) -> dict[str, Any]:
    return scene.post("/v1/privacy/access", {"email": scene.email}, 200, by=scene.staff)


class TestMail:
    def test_nothing_is_mailed_to_an_address_that_was_only_typed(
        self, scene: Scene, commented: Commented
    ) -> None:
        # Written, edited, approved, reported, answered and rejected, and the worker has done all that is due.
        assert scene.mails() == []
        assert scene.session.scalars(select(OutboxMessage).where(OutboxMessage.channel == "mail")).all() == []


class TestAccess:
    def test_shows_texts_and_decisions_and_counts_reports(self, scene: Scene, commented: Commented) -> None:
        kept = shown_to(scene)

        first, second = kept["comments"]
        assert (first["id"], first["name"], first["email"], first["status"], first["reports"]) == (
            commented.published,
            scene.words["comment name"],
            scene.email,
            "published",
            1,
        )
        assert scene.words["comment before"] in first["revisions"][0]["body"]
        assert scene.words["published comment"] in first["revisions"][1]["body"]
        assert [(each["action"], each["by"]) for each in first["decisions"]] == [
            ("submit", "policy"),
            ("edit", "policy"),
            ("approve", "newsroom"),
        ]
        last = second["decisions"][-1]
        assert (last["status"], last["by"], last["reason_code"]) == ("rejected", "newsroom", "other")
        for secret in ("comment note", "report note", "rejection note"):
            assert scene.words[secret] not in str(kept)

    def test_shows_a_ban_of_the_address(self, scene: Scene) -> None:
        ban(scene, email=True)

        (shown,) = shown_to(scene)["comment_bans"]

        assert (shown["reason_code"], shown["ends_at"], shown["lifted_at"]) == ("abuse", None, None)


def ban(scene: Scene, *, email: bool, days: float | None = None) -> None:
    """Ban the reader's address, or a writer; from ten days ago, to end in some days from now."""
    now = scene.now()
    made = Ban(
        writer_key=None if email else bytes(32),
        email_hash=email_hash(scene.keys, scene.email) if email else None,
        reason_code="abuse",
        ends_at=now + days * DAY if days is not None else None,
        created_by=ACTOR,
        created_at=now - 10 * DAY,
    )
    scene.session.add(made)
    scene.session.commit()


class TestBans:
    def test_of_an_address_stays_until_its_end_when_its_owner_is_erased(self, scene: Scene) -> None:
        ban(scene, email=True, days=3)
        ban(scene, email=True, days=-3)

        erase(scene)
        assert count(scene.session, Ban) == [1]

        wipe_after(scene, 3.9)
        assert count(scene.session, Ban) == [1]
        wipe_after(scene, 4.1)
        assert count(scene.session, Ban) == [0]

    def test_of_a_writer_is_kept_as_long_as_comments_and_without_an_end_for_good(self, scene: Scene) -> None:
        ban(scene, email=False, days=1)
        ban(scene, email=False)
        days = scene.settings.retain_comment_days

        wipe_after(scene, 0.9 + days)
        assert count(scene.session, Ban) == [2]
        wipe_after(scene, 1.1 + days)
        assert count(scene.session, Ban) == [1]


class TestReports:
    @pytest.fixture
    def reporter(self, scene: Scene) -> str:
        """The voter token of a reader who says that a comment is abusive."""
        token: str = scene.post("/v1/voters", {}, 201)["voter_token"]
        return token

    def report(self, scene: Scene, commented: Commented, token: str) -> None:
        new = {"reason": "abuse", "note": "That is Bea from the bank.", "voter_token": token}
        scene.post(f"/v1/comments/{commented.published}/reports", new, 202)

    def approve(self, scene: Scene, commented: Commented) -> None:
        decision = {"action": "approve", "version": dossier(scene, commented.published)["version"]}
        scene.post(f"/v1/moderation/comments/{commented.published}/decisions", decision, 200, by=scene.staff)

    def test_are_forgotten_as_long_after_they_were_settled_as_comments_are(
        self, scene: Scene, commented: Commented
    ) -> None:
        self.approve(scene, commented)
        days = scene.settings.retain_comment_days
        wipe_after(scene, days - 1)
        assert count(scene.session, CommentReport) == [1]

        wipe_after(scene, days + 1)

        shown = dossier(scene, commented.published)
        assert (shown["status"], shown["reports"], shown["open_reports"]) == ("published", [], 0)
        # What the newsroom made of it is told as long as the comment stands.
        assert [each["action"] for each in shown["changes"]] == ["submit", "edit", "approve", "approve"]
        assert differences(scene) == []

    def test_that_nobody_decided_about_stay(self, scene: Scene, commented: Commented) -> None:
        wipe_after(scene, 5_000)

        assert [each["note"] for each in dossier(scene, commented.published)["reports"]] != [None]
        assert dossier(scene, commented.published)["open_reports"] == 1
        assert differences(scene) == []

    def test_of_a_comment_whose_writer_was_forgotten_go_too(self, scene: Scene, commented: Commented) -> None:
        erase(scene)

        wipe_after(scene, scene.settings.retain_comment_days + 1)

        assert count(scene.session, CommentReport) == [0]

    def test_are_counted_once_for_each_reader_until_they_are_forgotten(
        self, scene: Scene, commented: Commented, reporter: str
    ) -> None:
        self.report(scene, commented, reporter)
        self.approve(scene, commented)
        self.report(scene, commented, reporter)
        assert dossier(scene, commented.published)["open_reports"] == 0

        wipe_after(scene, scene.settings.retain_comment_days + 1)
        self.report(scene, commented, reporter)

        assert dossier(scene, commented.published)["open_reports"] == 1
        assert differences(scene) == []

    def test_go_in_small_steps(self, scene: Scene, commented: Commented) -> None:
        comment_id, now = UUID(commented.published), scene.now()
        scene.session.add_all(
            CommentReport(
                comment_id=comment_id,
                revision=1,
                reporter_key=number.to_bytes(32),
                reason="spam",
                created_at=now,
                settled_at=now,
            )
            for number in range(1_001)
        )

        wipe_after(scene, scene.settings.retain_comment_days - 1)
        assert count(scene.session, CommentReport) == [1_002]

        steps = wipe_after(scene, scene.settings.retain_comment_days + 1)

        # The first of them wipes the comment that was rejected.
        assert (steps, count(scene.session, CommentReport)) == (1 + 3, [1])

    def test_that_are_over_are_told_by_the_command(
        self, scene: Scene, commented: Commented, run_on: Run
    ) -> None:
        kept = scene.settings.retain_comment_days
        long_ago = scene.now() - (kept + 2) * DAY
        scene.session.execute(update(CommentReport).values(settled_at=long_ago))
        scene.session.commit()

        result = run_on("retention", "report")

        assert result.exit_code == 1
        assert "Overdue by 2 days: reports of comments" in result.output

    @pytest.mark.parametrize("database", ["postgresql"], indirect=True)
    def test_that_an_erasure_empties_this_moment_are_for_the_next_time(
        self, scene: Scene, engine: sa.Engine, commented: Commented
    ) -> None:
        self.approve(scene, commented)
        scene.session.commit()
        ids = scene.session.scalars(settled_reports().with_only_columns(CommentReport.id)).all()
        assert len(ids) == 1
        scene.session.execute(update(CommentReport).values(note=None))

        with Session(engine) as session:
            forget_reports(session, ids)
            session.commit()
        assert count(scene.session, CommentReport) == [1]

        forget_reports(scene.session, ids)
        assert count(scene.session, CommentReport) == [0]


class TestRetention:
    def test_wipes_what_was_taken_away_long_enough_ago_and_nothing_else(
        self, scene: Scene, commented: Commented
    ) -> None:
        days = scene.settings.retain_comment_days
        wipe_after(scene, days - 1)
        assert dossier(scene, commented.rejected)["erased_at"] is None

        wipe_after(scene, days + 1)

        scene.session.expire_all()
        wiped = dossier(scene, commented.rejected)
        assert (wiped["status"], wiped["name"], wiped["email"], wiped["decided_by"]) == (
            "removed",
            None,
            None,
            "retention",
        )
        assert [each["body"] for each in wiped["revisions"]] == [None]
        assert {each["note"] for each in wiped["changes"]} == {None}
        # Why it was turned down is still told, in the newsroom's terms.
        assert [each["reason_code"] for each in wiped["changes"]] == [None, "other", None]
        assert thread(scene)[0]["name"] == scene.words["comment name"]
        assert differences(scene) == []

    def test_leaves_what_was_brought_back_at_this_moment(self, scene: Scene, commented: Commented) -> None:
        ids = scene.session.scalars(taken_away().with_only_columns(Comment.id)).all()
        scene.session.commit()
        decision = {"action": "approve", "version": 2}
        path = f"/v1/moderation/comments/{commented.rejected}/decisions"
        scene.post(path, decision, 200, by=scene.staff)

        assert [str(each) for each in ids] == [commented.rejected]
        assert forget_taken_away(scene.session, ids, scene.now()) == []
        assert scene.session.scalars(select(Comment.erased_at)).all() == [None] * 3

    def test_is_held_by_the_database(self, scene: Scene, commented: Commented) -> None:
        with pytest.raises(IntegrityError, match="nobody_s_if_erased"):
            scene.session.execute(update(Comment).values(erased_at=scene.now()))


class TestAtTheSameTime:
    @pytest.mark.parametrize("database", ["postgresql"], indirect=True)
    def test_two_people_who_answered_each_other_are_erased_and_nobody_waits_in_a_circle(
        self, scene: Scene, engine: sa.Engine
    ) -> None:
        """Theirs alternate in one chain, below two articles, published and not; others decide meanwhile."""
        people = [scene.email, "bea@reader.example"]
        tokens = [scene.post("/v1/voters", {}, 201)["voter_token"] for _ in people]
        made: list[str] = []
        for url in (ARTICLE_URL, f"{ORIGIN}/harbour/bridge"):
            parent = None
            for depth in range(5):
                who = depth % 2
                new = {"article_url": url, "email": people[who], "name": "A", "parent_id": parent}
                body = f"What I have to say, number {len(made)}."
                parent = scene.post("/v1/comments", {**new, "body": body, "voter_token": tokens[who]}, 202)[
                    "id"
                ]
                made.append(str(parent))
                decision = {"action": "approve", "version": 1}
                scene.post(f"/v1/moderation/comments/{parent}/decisions", decision, 200, by=scene.staff)
        scene.session.commit()

        def forget(email: str) -> int:
            with Session(engine) as session:
                hashed = email_hash(scene.keys, email)
                erased = erase_person(session, hashed, method="staff", actor=ACTOR, now=scene.now())
                session.commit()
                return erased.comments

        def decide(comment_id: str) -> int:
            client = scene.client.application.test_client()
            client.environ_base.update(scene.staff.environ_base)
            path = f"/v1/moderation/comments/{comment_id}/decisions"
            return client.post(path, json={"action": "reject", "version": 2}).status_code

        with ThreadPoolExecutor(6) as pool:
            decided = [pool.submit(decide, each) for each in reversed(made)]
            erased = [pool.submit(forget, email) for email in people]
            assert sorted(each.result() for each in erased) == [4, 6]
            assert {each.result() for each in decided} <= {200, 409}

        assert differences(scene) == []
        assert set(scene.session.scalars(select(Comment.status))) == {"removed"}

    @pytest.mark.parametrize("database", ["postgresql"], indirect=True)
    def test_a_decision_meanwhile_is_waited_for_and_does_not_keep_the_text(
        self, scene: Scene, engine: sa.Engine, commented: Commented
    ) -> None:
        scene.session.execute(
            update(Comment).where(Comment.id == commented.rejected).values(version=Comment.version + 1)
        )

        def forget() -> None:
            with Session(engine) as session:
                hashed = email_hash(scene.keys, scene.email)
                erase_person(session, hashed, method="staff", actor=ACTOR, now=scene.now())
                session.commit()

        with ThreadPoolExecutor(1) as pool:
            forgotten = pool.submit(forget)
            wait_until(lambda: forgotten.done() or is_waited_for(engine))
            scene.session.commit()
            forgotten.result()

        assert dossier(scene, commented.rejected)["status"] == "removed"


class TestUnreadable:
    """What no key opens holds up nobody."""

    @pytest.fixture
    def lost(self, scene: Scene, commented: Commented) -> Commented:
        make_unreadable(scene.session, "comment", "name", "email", where="email IS NOT NULL")
        make_unreadable(scene.session, "comment_revision", "body")
        make_unreadable(scene.session, "comment_change", "note", where="note IS NOT NULL")
        make_unreadable(scene.session, "comment_report", "note")
        return commented

    def decide(self, scene: Scene, comment_id: str, action: str) -> tuple[int, str | None]:
        version = dossier(scene, comment_id)["version"]
        path = f"/v1/moderation/comments/{comment_id}/decisions"
        answer = scene.staff.post(path, json={"action": action, "version": version})
        return code_of(answer)

    def test_is_shown_as_far_as_it_can_be(self, scene: Scene, lost: Commented) -> None:
        assert scene.words["published comment"] in thread(scene)[0]["body"]
        assert [each["body"] for each in mine(scene, lost.voter_token)] == [None, None]
        assert {each["note"] for each in dossier(scene, lost.published)["changes"]} == {None}
        queue = scene.get("/v1/moderation/queue?state=reported")["items"]
        assert [(each["id"], each["body"]) for each in queue] == [(lost.published, None)]
        assert [each["email"] for each in shown_to(scene)["comments"]] == [None, None]

    def test_is_decided_and_not_published_anew(self, scene: Scene, lost: Commented) -> None:
        assert self.decide(scene, lost.rejected, "approve") == (409, "comment_unreadable")
        assert self.decide(scene, lost.rejected, "spam") == (200, None)
        # What is shown already needs no key.
        assert self.decide(scene, lost.published, "approve") == (200, None)
        assert self.decide(scene, lost.published, "feature") == (200, None)
        assert scene.words["published comment"] in thread(scene)[0]["body"]

    def test_is_edited_under_the_name_that_is_shown_or_not_at_all(
        self, scene: Scene, lost: Commented
    ) -> None:
        given = {"X-Voter-Token": lost.voter_token}
        path = f"/v1/comments/{lost.published}"
        edit = {"body": "I say it again.", "version": dossier(scene, lost.published)["version"]}
        assert scene.client.patch(path, json=edit, headers=given).status_code == 202

        answer = scene.client.patch(path, json={**edit, "version": edit["version"] + 1}, headers=given)

        assert code_of(answer) == (409, "comment_unreadable")

    @pytest.mark.parametrize("choice", list(Choice))
    def test_is_erased(self, scene: Scene, lost: Commented, choice: Choice) -> None:
        assert erase(scene, choice)["comments"] == 2

        left = sum(b"by another key" in row for table in COMMENTS for row in rows_of(scene.session, table))
        # The reply's name, address and text are another's; a published text stays as it is.
        assert left == {Choice.REMOVE_TEXT: 2, Choice.REMOVE_IDENTITY: 3}[choice]

    def test_is_wiped_in_time(self, scene: Scene, lost: Commented) -> None:
        wipe_after(scene, scene.settings.retain_comment_days + 1)

        assert dossier(scene, lost.rejected)["erased_at"]


COMMENTS = [model.__tablename__ for model in (Comment, CommentRevision, CommentChange, CommentReport)]


class TestRotation:
    def test_goes_through_rows_with_a_key_of_two_parts(self, scene: Scene, commented: Commented) -> None:
        new = "YSBuZXdlciBrZXksIGtub3duIHRvIHRlc3RzIG9ubHk="
        both = Keys(
            [ENVIRON["POLLSVC_SECRET_KEY"]],
            ENVIRON["POLLSVC_HASH_KEY"],
            [new, ENVIRON["POLLSVC_ENCRYPTION_KEYS"]],
        )
        (sealed,) = (each for each in sealed_tables() if each.name == "comment_revision")
        places, after = [], None
        while True:
            step = renew_some(scene.session, both, sealed, after, 1)
            if step.last is None:
                break
            places.append(step.last)
            assert step.renewed == 1
            after = step.last

        expected = select(CommentRevision.comment_id, CommentRevision.number).order_by(
            CommentRevision.comment_id, CommentRevision.number
        )
        assert [tuple(row) for row in scene.session.execute(expected)] == places
        assert len(places) == 4


class TestVerdicts:
    def test_of_an_erased_comment_keep_their_scores_so_that_its_outcome_can_be_told_again(
        self, scene: Scene, commented: Commented
    ) -> None:
        scores = select(CommentVerdict.comment_id, CommentVerdict.revision, CommentVerdict.name)
        scores = scores.add_columns(CommentVerdict.score, CommentVerdict.state).order_by(
            *scores.selected_columns
        )
        before = scene.session.execute(scores).all()

        erase(scene)

        assert scene.session.execute(scores).all() == before
