"""Comments that are committed together are what each would be by itself, and none is written past what changed meanwhile."""

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, cast
from uuid import UUID

import pytest
import sqlalchemy as sa
from psycopg._queries import MAX_CACHED_STATEMENT_LENGTH
from sqlalchemy.exc import DataError, OperationalError, StatementError
from sqlalchemy.orm import Session

from pollsvc.articles.discussions import edit_article
from pollsvc.articles.models import Article, Site
from pollsvc.articles.service import edit_site
from pollsvc.comments import arriving, batch_statement, comment_box, facts, http_checks
from pollsvc.comments.admission import CommentRaced, CommentsClosed, CommentsOff, ParentClosed, WriterBanned
from pollsvc.comments.arriving import read_comment
from pollsvc.comments.batch_statement import insert_comments
from pollsvc.comments.checks.check import Opinion, Submission
from pollsvc.comments.counts import find_differences
from pollsvc.comments.entries import Entry, Judged, NewComment, make_entry
from pollsvc.comments.judging import Draft, Judge, Judgement, judge
from pollsvc.comments.models import Comment, CommentChange, CommentCount, CommentRevision, CommentVerdict
from pollsvc.comments.policy_models import Ban, CheckRequest
from pollsvc.comments.status import Standing
from pollsvc.db import Model
from pollsvc.errors import Invalid
from pollsvc.keys import Keys
from pollsvc.outbox.models import OutboxEvent
from pollsvc.outbox.outgoing import Outgoing
from tests.comments.submitting import make_box, told_judge
from tests.databases import wait_for_a_waiter
from tests.factories import (
    ACTOR,
    ARTICLE_URL,
    ORIGIN,
    RULES,
    THEN,
    decide_comment,
    judge_comment,
    make_comment,
    new_comment,
)

THREADS = 16
ELSEWHERE = f"{ORIGIN}/elsewhere"
TABLES: tuple[type[Model], ...] = (CommentRevision, CommentVerdict, CheckRequest, CommentChange)
#: What no two comments share.
OWN = {
    "id",
    "article_id",
    "below_id",
    "parent_id",
    "ancestors",
    "comment_id",
    "submission_key",
    "milliseconds",
}


@dataclass
class Scene:
    """A site, and a published comment on an article that is there."""

    session: Session
    engine: sa.Engine
    keys: Keys
    site: Site
    top: Standing

    def look(self, new: NewComment, judge: Judge | None = None) -> Entry:
        """A comment that was looked at, and is ready to be written."""
        self.session.commit()
        judged = judge_comment(self.session.connection(), judge or Judge(self.keys), new, RULES, THEN)
        self.session.commit()
        return make_entry(self.keys, judged)

    def write(self, *entries: Entry) -> list[bool]:
        """Write them together, and say which were written."""
        self.session.commit()
        with self.engine.execution_options(sqlite_write=True).begin() as connection:
            written = insert_comments(connection, entries)
        return [entry.standing.id in written for entry in entries]

    def submit_looked_at(self, entry: Entry) -> bool:
        """Put it into the box as it was looked at then, and say whether it is new."""
        box = make_box(self.engine, self.keys)
        box._look = lambda arrived: [entry.judged]  # type: ignore[method-assign]
        return box.submit(entry.judged.new)[1]


@pytest.fixture
def scene(session: Session, engine: sa.Engine, keys: Keys, site: Site) -> Scene:
    top = make_comment(session, keys=keys, number=50, is_approved=True)
    session.commit()
    return Scene(session, engine, keys, site, top)


def kept(session: Session, comment_id: UUID) -> dict[str, Any]:
    """Everything that is stored of a comment, but for what no two share."""
    session.rollback()
    of = {Comment: Comment.id == comment_id, OutboxEvent: OutboxEvent.subject == f"comment:{comment_id}"}
    of |= {model: model.__table__.c.comment_id == comment_id for model in TABLES}
    found = {}
    for model, which in of.items():
        rows = session.execute(sa.select(model.__table__).where(which)).mappings()
        plain = [_told(row) if model is OutboxEvent else row for row in rows]
        found[model.__tablename__] = sorted(
            ({name: value for name, value in row.items() if name not in OWN} for row in plain), key=repr
        )
    return found


def _told(event: sa.RowMapping) -> dict[str, Any]:
    """An event with its data beside its columns, without where it happened."""
    facts = {**event, **json.loads(event["data"])}
    return {name: facts[name] for name in facts.keys() - {"key", "subject", "data", "article_url"}}


class TestTogether:
    @pytest.mark.parametrize("is_reply", [False, True], ids=["top", "reply"])
    @pytest.mark.parametrize("mood", ["0", "1", "fails"])
    def test_each_is_what_it_is_by_itself(self, scene: Scene, mood: str, is_reply: bool) -> None:
        session, keys = scene.session, scene.keys
        other = make_comment(session, keys=keys, number=50, article_url=ELSEWHERE, is_approved=True)
        judge, body = told_judge(keys), f"Ring **the** bell, mood={mood}: https://bell.example/ says why."
        parents = (scene.top.id, other.id) if is_reply else (None, None)

        alone = make_comment(session, keys=keys, judge=judge, body=body, parent_id=parents[0])
        beside = scene.look(new_comment(keys, number=2, article_url=ELSEWHERE, body="Beside."))
        sent = new_comment(keys, body=body, article_url=ELSEWHERE, parent_id=parents[1])
        together = scene.look(sent, judge)
        assert scene.write(beside, together) == [True, True]

        found = kept(session, together.standing.id)
        assert found == kept(session, alone.id)
        assert {name: len(rows) for name, rows in found.items()} == {
            "comment": 1,
            "comment_revision": 1,
            "comment_verdict": 2,
            "check_request": 0,
            "comment_change": 1,
            "outbox_event": 1,
        }
        assert find_differences(session) == []

    def test_checks_over_http_are_asked(self, scene: Scene) -> None:
        outgoing = Outgoing(private_hosts=frozenset({"127.0.0.1"}))
        check = http_checks.make_check(
            scene.session, outgoing, name="tone", url="http://127.0.0.1:1/", timeout=5, actor=ACTOR, now=THEN
        )

        entry = scene.look(new_comment(scene.keys))

        assert scene.write(entry) == [True]
        (request,) = kept(scene.session, entry.standing.id)["check_request"]
        assert (request["name"], request["attempts"], request["due_at"]) == (f"http:{check.name}", 0, THEN)

    def test_many_at_once_are_all_there_and_counted(self, scene: Scene) -> None:
        session, box = scene.session, make_box(scene.engine, scene.keys)
        new = [
            new_comment(
                scene.keys, number=number, parent=scene.top if number % 2 else None, body=f"Word {number}."
            )
            for number in range(THREADS * 4)
        ]

        with ThreadPoolExecutor(THREADS) as pool:
            answers = list(pool.map(box.submit, new))

        assert all(is_new for _, is_new in answers)
        session.rollback()
        stored = set(session.scalars(sa.select(Comment.id)))
        assert stored == {standing.id for standing, _ in answers} | {scene.top.id}
        assert find_differences(session) == []

    def test_the_same_words_are_one_comment_whoever_comes_first(self, scene: Scene) -> None:
        box = make_box(scene.engine, scene.keys)

        with ThreadPoolExecutor(THREADS) as pool:
            answers = list(pool.map(box.submit, [new_comment(scene.keys, parent=scene.top)] * THREADS))

        assert len({standing.id for standing, _ in answers}) == 1
        assert sum(is_new for _, is_new in answers) == 1
        assert find_differences(scene.session) == []

    def test_one_that_is_refused_or_fails_holds_up_no_other(
        self, scene: Scene, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        elsewhere = new_comment(scene.keys, number=2, article_url="https://nobody.example/1")
        failing = new_comment(scene.keys, number=3, body="This one fails.")
        fine = new_comment(scene.keys, number=4)

        def fail(made: Judge, draft: Draft, *known: Any) -> Judgement:
            if draft.text.body == failing.body:
                raise ZeroDivisionError
            return judge(made, draft, *known)

        monkeypatch.setattr(arriving, "judge", fail)
        box = make_box(scene.engine, scene.keys)
        arrived = [read_comment(box._judge, new) for new in (elsewhere, failing, fine)]

        first, second, third = box._work_off(arrived, 5.0)

        assert isinstance(first, Invalid)
        assert isinstance(second, ZeroDivisionError)
        assert isinstance(third, Standing)
        assert len(kept(scene.session, third.id)["comment"]) == 1

    def test_one_that_cannot_be_told_to_a_database_fails_alone(
        self, scene: Scene, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def judge_oddly(made: Judge, draft: Draft, *known: Any) -> Judgement:
            judged = judge(made, draft, *known)
            odd = [verdict._replace(reason=cast(str, object())) for verdict in judged.verdicts]
            return replace(judged, verdicts=odd) if draft.text.body == "Odd." else judged

        monkeypatch.setattr(arriving, "judge", judge_oddly)
        box = make_box(scene.engine, scene.keys)
        arrived = [
            read_comment(box._judge, new_comment(scene.keys, number=number, body=body))
            for number, body in ((2, "Odd."), (3, "Fine."))
        ]

        odd, fine = box._work_off(arrived, 5.0)

        # Each by itself: the odd one fails there, and the other does not.
        assert isinstance(odd, Judged)
        assert isinstance(fine, Judged)
        with pytest.raises((TypeError, StatementError)):
            box._submit_alone(odd)
        assert box._submit_alone(fine)[1]

    def test_what_is_logged_of_one_is_logged_as_its_own(self, scene: Scene) -> None:
        seen: dict[str, str] = {}
        request: ContextVar[str] = ContextVar("request")

        class Noting:
            name, version = "noting", "1"

            def look(self, submission: Submission) -> Opinion:
                seen[submission.body] = request.get()
                return Opinion(0)

        box = make_box(scene.engine, scene.keys, Judge(scene.keys, checks=[Noting()]))
        arrived = []
        for number, name in enumerate(("one", "other"), 2):
            request.set(name)
            arrived.append(
                read_comment(box._judge, new_comment(scene.keys, number=number, body=f"From {name}."))
            )

        box._work_off(arrived, 5.0)

        assert seen == {"From one.": "one", "From other.": "other"}

    def test_where_none_can_be_stored_each_tries_by_itself(
        self, scene: Scene, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> None:
            raise DataError("INSERT", {}, ValueError())

        monkeypatch.setattr(comment_box, "insert_comments", fail)

        standing, is_new = make_box(scene.engine, scene.keys).submit(new_comment(scene.keys))

        assert is_new
        assert len(kept(scene.session, standing.id)["comment"]) == 1


Change = Callable[[Scene, Entry], object]


def of_article(**changes: object) -> Change:
    return lambda scene, _: edit_article(scene.session, ARTICLE_URL, changes, actor=ACTOR, now=THEN)


def of_site(**changes: object) -> Change:
    return lambda scene, _: edit_site(scene.session, scene.site.id, changes, actor=ACTOR, now=THEN)


def ban(scene: Scene, entry: Entry) -> None:
    key = entry.judged.new.writer.key
    scene.session.add(Ban(writer_key=key, reason_code="spam", created_by=ACTOR, created_at=THEN))


def reject_parent(scene: Scene, _: Entry) -> None:
    decide_comment(scene.session, scene.top, "reject")


class TestWhatChangedMeanwhile:
    @pytest.mark.parametrize(
        ("change", "refusal"),
        [
            pytest.param(of_article(comments="closed"), CommentsClosed, id="article closed"),
            pytest.param(
                of_article(comments_close_days=1, published_at=THEN.replace(year=2025)),
                CommentsClosed,
                id="days over",
            ),
            pytest.param(of_site(comments="off"), CommentsOff, id="off on the site"),
            pytest.param(ban, WriterBanned, id="writer banned"),
            pytest.param(reject_parent, ParentClosed, id="parent rejected"),
        ],
    )
    def test_refuses_a_comment_though_it_was_looked_at(
        self, scene: Scene, change: Change, refusal: type[Exception]
    ) -> None:
        entry = scene.look(new_comment(scene.keys, parent=scene.top))
        change(scene, entry)

        assert scene.write(entry) == [False]

        with pytest.raises(refusal):
            scene.submit_looked_at(entry)
        scene.session.rollback()
        assert scene.session.get(Comment, entry.standing.id) is None
        assert find_differences(scene.session) == []

    @pytest.mark.parametrize(
        "change",
        [
            pytest.param(of_site(comments_close_days=5), id="days of the site"),
            pytest.param(of_site(origins=["https://moved.example", ORIGIN]), id="another address"),
        ],
    )
    def test_has_one_written_by_itself(self, scene: Scene, change: Change) -> None:
        entry = scene.look(new_comment(scene.keys, parent=scene.top))
        change(scene, entry)

        assert scene.write(entry) == [False]

        assert scene.submit_looked_at(entry)
        assert find_differences(scene.session) == []
        # What is told of it is of now.
        told = scene.session.scalars(sa.select(OutboxEvent.data).order_by(OutboxEvent.id.desc())).first()
        url = scene.session.scalars(sa.select(Article.url)).one()
        assert json.loads(told or "")["article_url"] == url

    def test_what_is_read_first_by_now_is_not_published(self, scene: Scene) -> None:
        entry = scene.look(new_comment(scene.keys), Judge(scene.keys, checks=[]))
        assert entry.standing.status == "published"
        of_article(comments="premoderated")(scene, entry)

        assert scene.write(entry) == [False]

        with pytest.raises(CommentRaced):
            scene.submit_looked_at(entry)

    def test_keeps_no_other_comment_back(self, scene: Scene) -> None:
        banned, fine = (scene.look(new_comment(scene.keys, number=number)) for number in (1, 2))
        ban(scene, banned)
        # It is there already, word for word.
        again = scene.look(new_comment(scene.keys, number=50))

        assert scene.write(banned, fine, again) == [False, True, False]
        assert find_differences(scene.session) == []

    def test_same_words_are_told_where_they_stand(self, scene: Scene) -> None:
        box = make_box(scene.engine, scene.keys)
        first, _ = box.submit(new_comment(scene.keys))
        entry = scene.look(new_comment(scene.keys))
        of_article(comments="closed")(scene, entry)
        scene.session.commit()

        again = make_box(scene.engine, scene.keys)
        again._look = lambda arrived: [entry.judged]  # type: ignore[method-assign]

        assert again.submit(entry.judged.new) == (first, False)


class TestCut:
    """The connection is cut between a commit and its answer."""

    @pytest.fixture
    def cut(self) -> OperationalError:
        return OperationalError("INSERT", {}, ValueError(), connection_invalidated=True)

    def test_what_was_committed_is_told_as_new_and_the_rest_is_written(
        self, scene: Scene, cut: OperationalError, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        entries = [scene.look(new_comment(scene.keys, number=number)) for number in range(3)]
        box, tries = make_box(scene.engine, scene.keys), count()

        def insert(connection: sa.Connection, given: Sequence[Entry]) -> set[UUID]:
            if next(tries):
                return insert_comments(connection, given)
            # The others were not in it.
            with scene.engine.execution_options(sqlite_write=True).begin() as own:
                insert_comments(own, given[:1])
            raise cut

        monkeypatch.setattr(comment_box, "insert_comments", insert)

        # What it wrote by itself is another transaction than the one that was cut.
        if scene.engine.dialect.name == "sqlite":
            monkeypatch.setattr(box, "_together", scene.engine)
        assert box._commit(entries, 5.0) == {entry.standing.id for entry in entries}

        scene.session.rollback()
        assert scene.session.scalars(sa.select(sa.func.count()).select_from(Comment)).one() == 4
        assert find_differences(scene.session) == []

    def test_where_nobody_can_be_asked_it_is_not_known(
        self, scene: Scene, cut: OperationalError, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> None:
            raise cut

        def refuse(*_: object) -> None:
            raise OperationalError("SELECT", {}, ValueError())

        monkeypatch.setattr(comment_box, "insert_comments", fail)
        monkeypatch.setattr(comment_box, "find_written", refuse)

        with pytest.raises(OperationalError) as raised:
            make_box(scene.engine, scene.keys).submit(new_comment(scene.keys))

        assert raised.value is cut


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
class TestInSomebodysHands:
    """Erasures and decisions hold a thread; on SQLite all writers wait for one lock anyway."""

    @pytest.mark.parametrize("what", ["parent", "count"])
    def test_waits_alone(self, scene: Scene, what: str) -> None:
        box = make_box(scene.engine, scene.keys)
        make_comment(scene.session, keys=scene.keys, number=50, article_url=ELSEWHERE)
        scene.session.commit()
        held = {
            "parent": sa.select(Comment).where(Comment.id == scene.top.id),
            "count": sa.select(CommentCount).where(CommentCount.article_id == scene.top.article_id),
        }
        scene.session.execute(held[what].with_for_update())

        with ThreadPoolExecutor(THREADS) as pool:
            waiting = pool.submit(box.submit, new_comment(scene.keys, parent=scene.top))
            wait_for_a_waiter(scene.engine)
            others = [
                pool.submit(box.submit, new_comment(scene.keys, number=number, article_url=ELSEWHERE))
                for number in range(2, 8)
            ]
            assert all(other.result(10)[1] for other in others)
            assert not waiting.done()

            scene.session.rollback()
            assert waiting.result(10)[1]
        assert find_differences(scene.session) == []

    def test_of_several_in_one_statement_the_others_are_written(self, scene: Scene) -> None:
        reply = scene.look(new_comment(scene.keys, parent=scene.top))
        other = scene.look(new_comment(scene.keys, number=2))
        scene.session.execute(sa.select(Comment).where(Comment.id == scene.top.id).with_for_update())

        with scene.engine.begin() as connection:
            written = insert_comments(connection, [reply, other])

        assert written == {other.standing.id}
        scene.session.rollback()
        assert find_differences(scene.session) == []

    def test_an_article_that_moves_is_passed_over(self, scene: Scene) -> None:
        entry = scene.look(new_comment(scene.keys))
        scene.session.execute(sa.update(Article).values(url=Article.url + "/moved"))

        with scene.engine.begin() as connection:
            assert insert_comments(connection, [entry]) == set()

        scene.session.rollback()


@pytest.mark.parametrize("statement", [batch_statement._STATEMENT, facts._FACTS["postgresql"]])
def test_statements_are_short_enough_to_be_remembered(statement: sa.ClauseElement) -> None:
    # psycopg takes a longer one apart with each execution.
    dialect = sa.make_url("postgresql+psycopg://").get_dialect()()
    assert len(str(statement.compile(dialect=dialect))) <= MAX_CACHED_STATEMENT_LENGTH
