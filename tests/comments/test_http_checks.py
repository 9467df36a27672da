"""Checks over HTTP: asked by the worker, each answer or its want is a verdict, and the policy says held or published."""

import json
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from prometheus_client import REGISTRY
from sqlalchemy import select, update
from sqlalchemy.orm import Session
from standardwebhooks.webhooks import Webhook

from pollsvc.articles.models import Article
from pollsvc.comments import http_checks
from pollsvc.comments.asking import GONE, REMOVED, Asker, NoAnswer, Result
from pollsvc.comments.check_answers import QUOTED
from pollsvc.comments.check_requests import LEASE, MOST_ATTEMPTS, NOT_YET, pause
from pollsvc.comments.checks.check import Opinion
from pollsvc.comments.policy_models import Ban, CheckRequest
from pollsvc.comments.rejudging import settle_request
from pollsvc.config import Settings
from pollsvc.keys import Keys
from pollsvc.outbox.delivery import LOST
from pollsvc.outbox.models import UNREADABLE, OutboxEvent
from pollsvc.outbox.outgoing import BROKEN_OFF, TOO_LONG, Outgoing
from pollsvc.worker import Worker
from tests.comments.checking import ADA, BODY, Scene, answering
from tests.databases import wait_for_a_waiter
from tests.factories import ACTOR, ARTICLE_URL, THEN, make_site
from tests.outbox.endpoints import Clock, working
from tests.outbox.receiver import Received, hold, read_request, receiving, serving
from tests.unreadable import make_unreadable

#: Holds from the middle on, and until then.
HOLDING = {"hold": 0.5, "when_missing": "hold"}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def scene(session: Session, keys: Keys, settings: Settings, clock: Clock) -> Iterator[Scene]:
    make_site(session)
    session.commit()
    with working(settings, clock) as worker:
        yield Scene(session, keys, clock, worker)


class TestUntilItAnswers:
    def test_the_built_in_policy_holds(self, scene: Scene) -> None:
        scene.make_check("http://127.0.0.1:1/")

        made = scene.write()

        said = scene.verdict(made.id)
        assert (said.state, said.version, said.reason) == ("pending", "1", NOT_YET)
        assert scene.comment(made.id).status == "held"
        assert scene.revision(made.id).because == ["http:tone"]
        scene.check_books()

    def test_one_that_is_switched_off_is_not_waited_for(self, scene: Scene) -> None:
        scene.make_check("http://127.0.0.1:1/").is_active = False
        scene.session.commit()

        assert scene.write().status == "published"
        assert scene.requests() == []


class TestVerdict:
    @pytest.mark.parametrize(
        ("thresholds", "score", "before", "after"),
        [
            (HOLDING, 0.2, "held", "published"),
            (HOLDING, 0.8, "held", "held"),
            ({"hold": 0.5, "when_missing": "publish"}, 0.2, "published", "published"),
            ({"hold": 0.5, "when_missing": "publish"}, 0.8, "published", "held"),
            ({"reject": 0.5, "when_missing": "publish"}, 0.8, "published", "rejected"),
            ({"reject": 0.5, "when_missing": None}, 0.8, "published", "rejected"),
        ],
        ids=json.dumps,
    )
    def test_moves_the_comment_where_the_policy_says(
        self,
        scene: Scene,
        thresholds: dict[str, Any],
        score: float,
        before: str,
        after: str,
    ) -> None:
        scene.set_policy(3, tone=thresholds)
        with answering(score=score, reason="Unkind.", spans=[[4, 9]]) as check:
            scene.make_check(check.url)
            made = scene.write()
            assert made.status == before

            scene.ask()

        found, said = scene.comment(made.id), scene.verdict(made.id)
        assert found.status == after
        assert (found.shown_text, found.version) == (
            BODY if after == "published" else None,
            1 if before == after else 2,
        )
        assert (said.state, said.score, said.reason, said.spans) == ("done", score, "Unkind.", [[4, 9]])
        moved = [] if before == after else [("judge", after, "policy:3")]
        assert scene.changes(made.id) == [("submit", before, "policy:3"), *moved]
        told = scene.session.scalars(select(OutboxEvent.kind).order_by(OutboxEvent.id)).all()
        assert told == [f"comment.{before}", *(f"comment.{each}" for _, each, _ in moved)]
        assert scene.requests() == []
        scene.check_books()

    @pytest.mark.parametrize("stop", ["ban", "premoderation"])
    def test_publishes_nothing_that_the_newsroom_stopped_meanwhile(self, scene: Scene, stop: str) -> None:
        with answering(score=0) as receiver:
            scene.make_check(receiver.url)
            made = scene.write()
            if stop == "ban":
                scene.session.add(
                    Ban(writer_key=ADA.key, reason_code="abuse", created_by=ACTOR, created_at=THEN)
                )
            else:
                scene.session.execute(update(Article).values(comments="premoderated"))
            scene.session.commit()

            scene.ask()

        assert scene.verdict(made.id).state == "done"
        assert scene.comment(made.id).status == "held"

    def test_is_judged_by_the_policy_that_is_live_then(self, scene: Scene) -> None:
        scene.set_policy(1, tone=HOLDING)
        with answering(score=0.8) as check:
            scene.make_check(check.url)
            made = scene.write()
            scene.set_policy(2, tone={"hold": 0.9})

            scene.ask()

        assert scene.revision(made.id).policy_version == 2
        assert scene.changes(made.id)[1:] == [("judge", "published", "policy:2")]
        scene.check_books()

    # SQLite has one writer at a time.
    @pytest.mark.parametrize("database", ["postgresql"], indirect=True)
    def test_of_two_that_answer_at_once_each_sees_the_other(self, scene: Scene, engine: sa.Engine) -> None:
        scene.set_policy(1, tone=HOLDING, spam=HOLDING)
        scene.make_check("http://127.0.0.1:1/")
        scene.make_check("http://127.0.0.1:1/", name="spam")
        made = scene.write()
        tone, spam = scene.claim("tone"), scene.claim("spam")
        fine = Result(Opinion(0), None, "1", 1)

        def settle_the_other() -> None:
            with Session(engine) as session:
                settle_request(session, spam, fine, scene.clock(), 0)
                session.commit()

        other = threading.Thread(target=settle_the_other)
        settle_request(scene.session, tone, fine, scene.clock(), 0)
        other.start()
        wait_for_a_waiter(engine)
        scene.session.commit()
        other.join()

        assert scene.comment(made.id).status == "published"
        scene.check_books()

    def test_is_counted(self, scene: Scene) -> None:
        labels = {"name": "http:counted", "outcome": "done"}
        before = REGISTRY.get_sample_value("pollsvc_check_verdicts_total", labels) or 0
        with answering(score=0) as check:
            scene.make_check(check.url, name="counted")
            scene.write()

            scene.ask()

        assert REGISTRY.get_sample_value("pollsvc_check_verdicts_total", labels) == before + 1

    def test_whose_reason_quotes_the_comment_is_kept_without_it(self, scene: Scene) -> None:
        with answering(score=1, reason="It says: the ferry is late") as check:
            scene.make_check(check.url)
            made = scene.write()

            scene.ask()

        assert scene.verdict(made.id).reason == QUOTED

    def test_does_not_publish_a_text_that_no_key_opens_any_more(self, scene: Scene) -> None:
        with answering(score=0) as check:
            scene.make_check(check.url)
            made = scene.write()

            def answer(_: Received) -> int:
                make_unreadable(scene.session, "comment_revision", "body")
                return 200

            check.answer = answer
            scene.ask()

        assert scene.said(made.id) == ("done", "")
        assert scene.comment(made.id).status == "held"
        scene.check_books()


class TestHumans:
    @pytest.mark.parametrize(
        ("action", "score", "status"), [("approve", 1, "published"), ("reject", 0, "rejected")]
    )
    def test_a_decision_before_the_verdict_stands_and_the_verdict_is_kept(
        self,
        scene: Scene,
        action: str,
        score: float,
        status: str,
    ) -> None:
        scene.set_policy(1, tone=HOLDING)
        with answering(score=score) as check:
            scene.make_check(check.url)
            made = scene.write()
            scene.decide(made.id, action)

            scene.ask()

        found = scene.comment(made.id)
        assert (found.status, found.version, found.decided_by) == (status, 2, "token:1")
        assert scene.verdict(made.id).state == "done"
        scene.check_books()

    def test_a_decision_while_the_check_is_asked_stands_too(self, scene: Scene) -> None:
        scene.set_policy(1, tone={"hold": 0.5, "when_missing": "publish"})
        with answering(score=1) as check:
            scene.make_check(check.url)
            made = scene.write()

            def answer(_: Received) -> int:
                scene.decide(made.id, "approve")
                return 200

            check.answer = answer
            scene.ask()

        assert scene.comment(made.id).status == "published"
        scene.check_books()


class TestEdits:
    def test_a_verdict_on_the_text_before_does_not_move_the_comment(self, scene: Scene) -> None:
        scene.set_policy(1, tone=HOLDING)
        with answering(score=0) as check:
            check.answer = lambda received: 200 if received.told["revision"] == 1 else 503
            scene.make_check(check.url)
            made = scene.write()
            scene.edit(made.id, "Something else altogether.")

            scene.ask()

            assert scene.verdict(made.id).state == "done"
            assert scene.revision(made.id).outcome == "publish"
            assert scene.comment(made.id).status == "held"
            assert scene.verdict(made.id, revision=2).state == "pending"
            scene.check_books()

            check.answer = None
            scene.clock.forward(pause(1, 0))
            scene.ask()

        assert scene.comment(made.id).shown_text == "Something else altogether."
        scene.check_books()


class TestRequest:
    def test_says_what_it_is_about_and_is_signed_with_both_secrets_during_a_rotation(
        self, scene: Scene
    ) -> None:
        with answering(score=0) as check:
            made_check = scene.make_check(check.url)
            former = made_check.secret
            http_checks.rotate_secret(scene.session, made_check.id, actor=ACTOR, now=scene.clock())
            scene.session.commit()
            made = scene.write()

            scene.ask()

        (received,) = check.received
        for secret in (former, made_check.secret):
            assert secret is not None
            told = Webhook(secret).verify(received.body, received.headers)
        assert received.id == f"{made.id}-1-tone"
        assert received.path == "/hook/with-a-secret"
        shouting = told["verdicts"].pop()
        assert (shouting["name"], shouting["state"]) == ("shouting", "done")
        assert told == {
            "comment_id": str(made.id),
            "revision": 1,
            "article_url": ARTICLE_URL,
            "site": {"id": str(made.site_id), "name": "The Harbour Gazette", "locale": "en"},
            "parent_id": None,
            "name": "Ada Reader",
            "body": BODY,
            "links": ["https://ferry.example/times"],
            "verdicts": [],
        }

    def test_leaves_nothing_of_the_reader_in_the_log(
        self,
        scene: Scene,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        with answering(score=0, reason="Fine.") as check:
            scene.make_check(check.url)
            scene.write()

            scene.ask()

        written = "".join(capfd.readouterr())
        assert "check asked" in written
        assert not any(word in written for word in ("ferry", "Ada", "reader.example", "with-a-secret"))


def whole(document: bytes, status: str = "200 OK") -> bytes:
    return (
        f"HTTP/1.1 {status}\r\nContent-Length: {len(document)}\r\nLocation: https://x.example/\r\n\r\n".encode()
        + document
    )


# What is sent and read is the same on both databases.
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
class TestNoVerdict:
    @pytest.mark.parametrize(
        ("answer", "reason", "is_final"),
        [
            (whole(b"oops"), "The answer is no JSON.", True),
            (whole(b'{"score": 2}'), "The score is no number from 0 to 1.", True),
            (whole(b'{"score": 0, "reason": "' + b"x" * 100_000 + b'"}'), TOO_LONG, True),
            (whole(b'{"score": 0}', "302 Found"), "The host answered 302: redirects are not followed.", True),
            (whole(b"", "404 Not Found"), "It answered HTTP 404.", True),
            (whole(b"", "410 Gone"), "It answered HTTP 410.", True),
            (whole(b"", "429 Too Many Requests"), "It answered HTTP 429.", False),
            (whole(b"", "500 Internal Server Error"), "It answered HTTP 500.", False),
            (whole(b'{"score": 0}')[:-4], BROKEN_OFF, False),
            (b"SMTP ready\r\n", "The answer is no HTTP: BadStatusLine.", False),
        ],
        ids=lambda value: repr(value)[:40],
    )
    def test_says_why_and_what_time_may_mend_is_asked_again(
        self,
        scene: Scene,
        answer: bytes,
        reason: str,
        is_final: bool,
    ) -> None:
        def act(connection: socket.socket) -> None:
            read_request(connection)
            connection.sendall(answer)

        with serving(act) as port:
            scene.make_check(f"http://127.0.0.1:{port}/")
            made = scene.write()

            scene.ask()

        said = scene.verdict(made.id)
        if is_final:
            assert (said.state, said.reason, scene.requests()) == ("failed", reason, [])
        else:
            assert (said.state, said.reason) == ("pending", f"Attempt 1: {reason}")
            assert [each.attempts for each in scene.requests()] == [1]
        assert scene.comment(made.id).status == "held"
        scene.check_books()

    def test_in_time_is_a_failed_attempt(self, scene: Scene) -> None:
        with serving(hold) as port:
            scene.make_check(f"http://127.0.0.1:{port}/", timeout=1)
            made = scene.write()

            scene.ask()

        assert scene.verdict(made.id).reason == "Attempt 1: The host took too long to answer."

    @pytest.mark.parametrize("url", ["https://10.0.0.1/", "https://127.0.0.1/"])
    def test_comes_from_a_private_address_which_is_not_asked(
        self, scene: Scene, settings: Settings, url: str
    ) -> None:
        check = scene.make_check("http://127.0.0.1:1/")
        check.url = url
        scene.session.commit()
        made = scene.write()
        scene.worker.close()
        scene.worker = Worker(settings, scene.clock)

        scene.ask()

        said = scene.verdict(made.id)
        assert said.state == "failed"
        assert "not public" in said.reason

    def test_comes_while_nobody_listens(self, scene: Scene) -> None:
        with serving(hold) as port:
            pass
        scene.make_check(f"http://127.0.0.1:{port}/")
        made = scene.write()

        scene.ask()

        assert scene.verdict(made.id).reason == "Attempt 1: The host was not reached: Connection refused."

    @pytest.mark.parametrize(
        ("table", "column"),
        [
            ("http_check", "url"),
            ("http_check", "secret"),
            ("comment", "name"),
            ("comment_revision", "body"),
        ],
    )
    def test_comes_where_no_key_opens_what_is_needed(self, scene: Scene, table: str, column: str) -> None:
        with answering(score=0) as check:
            scene.make_check(check.url)
            made = scene.write()
            make_unreadable(scene.session, table, column)

            scene.ask()

        assert check.received == []
        assert scene.said(made.id) == ("failed", UNREADABLE)
        assert scene.requests() == []

    @pytest.mark.parametrize("is_removed", [True, False])
    def test_comes_from_a_check_that_was_removed_or_switched_off(
        self, scene: Scene, is_removed: bool
    ) -> None:
        with answering(score=0) as check:
            check_id = scene.make_check(check.url).id
            made = scene.write()
            if is_removed:
                http_checks.remove_check(scene.session, check_id, actor=ACTOR, now=scene.clock())
            else:
                http_checks.edit_check(
                    scene.session,
                    Outgoing(),
                    check_id,
                    {"is_active": False},
                    version=1,
                    actor=ACTOR,
                    now=scene.clock(),
                )
            scene.session.commit()

            scene.ask()

        assert check.received == []
        assert scene.said(made.id) == ("failed", GONE)

    def test_comes_from_a_fault_of_ours_which_is_asked_again(self, scene: Scene) -> None:
        def fail() -> Session:
            raise LookupError

        scene.make_check("http://127.0.0.1:1/")
        made = scene.write()
        claimed = scene.claim()

        result = Asker(fail, Outgoing())(claimed, scene.clock())
        outcome = settle_request(scene.session, claimed, result, scene.clock(), 0)
        scene.session.commit()

        assert outcome == "retry"
        assert scene.said(made.id) == ("pending", "Attempt 1: A fault of ours: LookupError.")


class TestGivingUp:
    @pytest.mark.parametrize(("when_missing", "status"), [("hold", "held"), ("publish", "published")])
    def test_after_the_last_attempt_the_policy_says_what_it_means(
        self,
        scene: Scene,
        when_missing: str,
        status: str,
    ) -> None:
        scene.set_policy(1, tone={"hold": 0.5, "when_missing": when_missing})
        with receiving() as check:
            check.status = 500
            scene.make_check(check.url)
            made = scene.write()
            scene.ask()
            scene.ask()  # not before the pause is over
            assert len(check.received) == 1
            scene.session.execute(update(CheckRequest).values(attempts=MOST_ATTEMPTS - 1))
            scene.session.commit()
            scene.clock.forward(pause(1, 0))

            scene.ask()

        said = scene.verdict(made.id)
        assert (said.state, said.reason) == ("failed", "It answered HTTP 500.")
        assert scene.comment(made.id).status == status
        assert scene.requests() == []
        assert [each.id for each in check.received] == [f"{made.id}-1-tone"] * 2
        scene.check_books()


class TestRemovedComments:
    def test_are_not_asked_about(self, scene: Scene) -> None:
        with answering(score=0) as check:
            scene.make_check(check.url)
            made = scene.write()
            scene.withdraw(made.id)

            scene.ask()

        assert check.received == []
        assert scene.said(made.id) == ("failed", REMOVED)
        assert scene.requests() == []
        scene.check_books()

    def test_wiped_ones_are_not_either(self, scene: Scene) -> None:
        with answering(score=0) as check:
            scene.make_check(check.url)
            made = scene.write()
            scene.wipe(made.id)

            scene.ask()

        assert check.received == []
        assert scene.verdict(made.id).reason == REMOVED

    @pytest.mark.parametrize(("is_wiped", "status"), [(False, "removed"), (True, "held")])
    def test_a_verdict_on_one_that_was_removed_or_wiped_meanwhile_is_dropped(
        self, scene: Scene, is_wiped: bool, status: str
    ) -> None:
        with answering(score=0.3, reason="Fine.", spans=[[0, 3]]) as check:
            scene.make_check(check.url)
            made = scene.write()

            def answer(_: Received) -> int:
                scene.wipe(made.id) if is_wiped else scene.withdraw(made.id)
                return 200

            check.answer = answer
            scene.ask()

        said = scene.verdict(made.id)
        assert (said.state, said.score, said.reason, said.spans) == ("failed", 0, REMOVED, [])
        assert scene.comment(made.id).status == status
        scene.check_books()


class TestWorkers:
    def test_several_ask_nothing_twice(self, scene: Scene, settings: Settings) -> None:
        scene.set_policy(1, tone=HOLDING, spam=HOLDING)
        with answering(score=0) as check, working(settings, scene.clock) as other:
            scene.make_check(check.url)
            scene.make_check(check.url, name="spam")
            made = [scene.write(f"This is comment number {each}.") for each in range(12)]
            looking = [threading.Thread(target=each.look) for each in (scene.worker, other)]

            for each in looking:
                each.start()
            for each in looking:
                each.join()

        assert Counter(received.id for received in check.received) == {
            f"{each.id}-1-{name}": 1 for each in made for name in ("tone", "spam")
        }
        assert {scene.comment(each.id).status for each in made} == {"published"}
        scene.check_books()

    def test_what_one_held_that_was_killed_is_asked_again_when_its_lease_ends(self, scene: Scene) -> None:
        with answering(score=0) as check:
            scene.make_check(check.url)
            made = scene.write()
            scene.claim()

            scene.ask()
            assert check.received == []

            scene.clock.forward(LEASE)
            scene.ask()
            assert [each.id for each in check.received] == [f"{made.id}-1-tone"]

    @pytest.mark.parametrize("is_final", [True, False])
    def test_the_answer_of_one_whose_lease_ended_counts_no_more(self, scene: Scene, is_final: bool) -> None:
        scene.make_check("http://127.0.0.1:1/")
        made = scene.write()
        slow = scene.claim()
        scene.clock.forward(LEASE)
        scene.claim()

        late = Result(None, NoAnswer("Too late.", is_final=is_final), "1", 1)
        outcome = settle_request(scene.session, slow, late, scene.clock(), 0)

        scene.session.commit()
        assert outcome == "superseded"
        assert scene.said(made.id) == ("pending", NOT_YET)
        assert [each.attempts for each in scene.requests()] == [2]

    def test_what_takes_its_worker_along_each_time_is_given_up(self, scene: Scene) -> None:
        with answering(score=0) as check:
            scene.make_check(check.url)
            made = scene.write()
            for _ in range(MOST_ATTEMPTS):
                scene.claim()
                scene.clock.forward(LEASE)

            scene.ask()

        assert check.received == []
        assert scene.said(made.id) == ("failed", LOST)

    def test_one_that_hangs_keeps_no_other_waiting(self, scene: Scene) -> None:
        scene.set_policy(1, slow=HOLDING, tone=HOLDING)
        quick = threading.Event()
        with answering(score=0) as tone, answering(score=0) as slow:

            def answer(_: Received) -> int:
                assert quick.wait(10)
                return 200

            def said(_: Received) -> int:
                # All eight are through while the other check still answers its first.
                if len(tone.received) == 8:
                    quick.set()
                return 200

            slow.answer, tone.answer = answer, said
            scene.make_check(slow.url, name="slow", timeout=10)
            scene.make_check(tone.url)
            made = [scene.write(f"This is comment number {each}.") for each in range(8)]

            scene.ask()

        assert {scene.verdict(each.id, name="slow").state for each in made} == {"done"}
        scene.check_books()
