"""Policies: what verdicts lead to, and how a version comes to decide."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

import marshmallow as ma
import pytest
import sqlalchemy as sa
from sqlalchemy import select
from sqlalchemy.orm import Session

from pollsvc.comments.checks import all_checks
from pollsvc.comments.judged_revisions import StoredVerdict
from pollsvc.comments.policies import BUILT_IN, Outcome, Policy, Thresholds, live_policy, read_policy
from pollsvc.comments.policy_drafts import (
    ALWAYS,
    PolicyNotFound,
    PolicyVersion,
    activate_policy,
    draft_policy,
    get_version,
    policy_of,
    read_versions,
)
from pollsvc.comments.policy_schemas import NewPolicySchema
from pollsvc.errors import Invalid, StaleVersion
from pollsvc.staff.models import AuditEntry
from tests.factories import ACTOR, THEN

KNOWN = ("links", "shouting", *ALWAYS)
Draft = Callable[..., PolicyVersion]

ALL = Thresholds(publish=0.2, hold=0.5, reject=0.9)
TWO = Policy(7, {"a": ALL, "b": ALL})


def verdict(name: str, score: float, state: str = "done") -> StoredVerdict:
    return StoredVerdict(name, state, score)


@pytest.fixture
def draft(session: Session) -> Draft:
    """Draft a version that holds what has links."""

    def make(checks: dict[str, Any] | None = None) -> PolicyVersion:
        given = {"links": {"hold": 0.5}} if checks is None else checks
        return draft_policy(session, given, known=KNOWN, actor=ACTOR, now=THEN)

    return make


def activate(session: Session, version: int, replaces: int | None = None) -> PolicyVersion:
    return activate_policy(session, version, replaces=replaces, actor=ACTOR, now=THEN)


def states(session: Session) -> dict[int, str]:
    versions, _ = read_versions(session, before=None, limit=100)
    return {each.version: each.state for each in versions}


def audit(session: Session) -> list[tuple[str, Any]]:
    session.flush()
    rows = session.scalars(select(AuditEntry).where(AuditEntry.object_type == "comment_policy"))
    return [(row.action, row.detail) for row in rows]


class TestVote:
    @pytest.mark.parametrize(
        ("score", "vote"),
        [
            (0, "publish"),
            (0.2, "publish"),
            (0.3, None),
            (0.5, "hold"),
            (0.89, "hold"),
            (0.9, "reject"),
            (1, "reject"),
        ],
    )
    def test_a_score_votes_by_the_highest_threshold_that_it_reaches(
        self, score: float, vote: str | None
    ) -> None:
        assert ALL.vote(verdict("a", score)) == vote

    @pytest.mark.parametrize("state", ["failed", "pending"])
    @pytest.mark.parametrize("missing", [*Outcome, None])
    def test_without_an_answer_it_votes_as_the_policy_says(self, state: str, missing: Outcome | None) -> None:
        assert Thresholds(publish=1, when_missing=missing).vote(verdict("a", 0, state)) == missing

    def test_without_thresholds_it_has_none(self) -> None:
        assert Thresholds().vote(verdict("a", 1)) is None


class TestDecide:
    @pytest.mark.parametrize(
        ("a", "b", "outcome", "because"),
        [
            (0, 0, "publish", []),
            (0.3, 0.3, "publish", []),
            (0, 0.3, "publish", []),
            (0.5, 0.3, "hold", ["a"]),
            (0.5, 0.5, "hold", ["a", "b"]),
            (0, 0.5, "hold", ["b"]),
            (0.9, 0.3, "reject", ["a"]),
            (0.9, 0.9, "reject", ["a", "b"]),
            (0.9, 0.5, "hold", ["a", "b"]),
            (0.9, 0, "hold", ["a"]),
        ],
        ids=[
            *("both vouch", "neither says a thing", "one vouches", "one holds", "both hold"),
            *(
                "hold against vouch",
                "one rejects",
                "both reject",
                "reject against hold",
                "reject against vouch",
            ),
        ],
    )
    def test_what_all_votes_agree_on_is_done_else_a_human_decides(
        self, a: float, b: float, outcome: str, because: list[str]
    ) -> None:
        ruling = TWO.decide([verdict("b", b), verdict("a", a)])

        assert (ruling.outcome, list(ruling.because)) == (outcome, because)

    def test_a_check_that_it_does_not_name_has_no_vote(self) -> None:
        assert TWO.decide([verdict("c", 1)]).outcome == "publish"

    def test_the_built_in_one_rejects_nothing_and_names_every_check(self) -> None:
        assert {check.name for check in all_checks()} == set(BUILT_IN.checks)
        assert [name for name, each in BUILT_IN.checks.items() if each.reject is not None] == []
        assert [name for name, each in BUILT_IN.checks.items() if each.when_missing != "hold"] == []

    def test_the_built_in_one_is_what_it_was_when_it_judged_what_is_kept(self) -> None:
        assert {name: each.hold for name, each in BUILT_IN.checks.items()} == {
            "premoderation": 1,
            "approval_taken_back": 1,
            "banned_address": 1,
            "new_commenter": 0.6,
            "recent_rejections": 0.6,
            "velocity": 0.5,
            "form": 1,
            "banned_words": 1,
            "suspect_words": 1,
            "links": 0.6,
            "repeats": 0.8,
            "shouting": 0.7,
        }
        assert {each.publish for each in BUILT_IN.checks.values()} == {None}
        assert BUILT_IN.version == 0

    def test_a_document_is_the_policy_that_it_was_made_of(self) -> None:
        document = {"checks": {name: asdict(each) for name, each in BUILT_IN.checks.items()}}

        assert read_policy(0, document) == BUILT_IN


class TestShape:
    @pytest.mark.parametrize(
        ("thresholds", "field"),
        [
            ({"hold": 1.01}, "hold"),
            ({"hold": -0.1}, "hold"),
            ({"hold": True}, "hold"),
            ({"hold": "0.5"}, "hold"),
            ({"hold": 10**400}, "hold"),
            ({"publish": 0.6, "hold": 0.5}, "hold"),
            ({"hold": 0.6, "reject": 0.5}, "reject"),
            ({"publish": 0.6, "reject": 0.5}, "reject"),
            ({"when_missing": "ignore"}, "when_missing"),
            ({"above": 1}, "above"),
        ],
    )
    def test_what_cannot_be_is_named(self, thresholds: dict[str, Any], field: str) -> None:
        with pytest.raises(ma.ValidationError) as refusal:
            NewPolicySchema().load({"checks": {"links": thresholds}})

        assert list(refusal.value.messages["checks"]["links"]) == [field]  # type: ignore[call-overload]

    def test_what_is_left_out_is_spelled_out(self) -> None:
        loaded = NewPolicySchema().load({"checks": {"links": {"publish": 0, "hold": 0}}})

        assert loaded["checks"]["links"] == {
            "publish": 0.0,
            "hold": 0.0,
            "reject": None,
            "when_missing": "hold",
        }

    @pytest.mark.parametrize(
        "checks", [None, [], {"x" * 101: {}}, {"links": None}, {str(n): {} for n in range(101)}]
    )
    def test_what_is_no_policy_is_refused(self, checks: Any) -> None:
        with pytest.raises(ma.ValidationError) as refusal:
            NewPolicySchema().load({"checks": checks})

        assert list(refusal.value.messages) == ["checks"]


class TestDraftPolicy:
    def test_versions_count_up_and_decide_nothing(self, draft: Draft, session: Session) -> None:
        assert [draft().version, draft().version] == [1, 2]
        assert states(session) == {2: "draft", 1: "draft", 0: "live"}
        assert live_policy(session) == BUILT_IN

    def test_what_always_holds_is_in_it(self, draft: Draft, session: Session) -> None:
        drafted = draft({"links": {"reject": 0.9}})

        assert policy_of(session, drafted.version) == Policy(
            1, {**{name: BUILT_IN.checks[name] for name in ALWAYS}, "links": Thresholds(reject=0.9)}
        )

    def test_it_leaves_one_row_in_the_log(self, draft: Draft, session: Session) -> None:
        drafted = draft()

        assert audit(session) == [("comment_policy.drafted", {"checks": drafted.checks})]

    def test_a_check_that_is_none_is_refused_with_those_that_are(self, draft: Draft) -> None:
        with pytest.raises(Invalid) as refusal:
            draft({"linx": {}, "http:toxic": {}, "http:": {}})

        assert list(refusal.value.fields) == ["checks.linx", "checks.http:"]
        assert "links, shouting, premoderation" in refusal.value.fields["checks.linx"]

    @pytest.mark.parametrize(
        "thresholds", [{"hold": None}, {"hold": 1, "reject": 1}, {"hold": 1, "when_missing": None}]
    )
    def test_what_always_holds_cannot_be_changed(self, draft: Draft, thresholds: dict[str, Any]) -> None:
        with pytest.raises(Invalid) as refusal:
            draft({"banned_address": thresholds})

        assert list(refusal.value.fields) == ["checks.banned_address"]

    def test_what_always_holds_can_be_said_again(self, draft: Draft) -> None:
        assert draft({"banned_address": {"hold": 1}}).checks["banned_address"]["hold"] == 1

    def test_many_at_once_have_versions_of_their_own(self, engine: sa.Engine) -> None:
        def make(_number: int) -> int:
            with Session(engine.execution_options(sqlite_write=True)) as own:
                made = draft_policy(own, {}, known=KNOWN, actor=ACTOR, now=THEN)
                own.commit()
                return made.version

        with ThreadPoolExecutor(4) as pool:
            assert sorted(pool.map(make, range(8))) == list(range(1, 9))


class TestActivatePolicy:
    def test_it_decides_and_the_one_before_is_retired(self, draft: Draft, session: Session) -> None:
        draft(), draft()

        activate(session, 1, replaces=0)
        live = activate(session, 2, replaces=1)

        assert (live.state, live.activated_at) == ("live", THEN)
        assert states(session) == {2: "live", 1: "retired", 0: "retired"}
        assert live_policy(session).version == 2
        assert [detail for action, detail in audit(session) if action.endswith("activated")] == [
            {"before": 0, "after": 1},
            {"before": 1, "after": 2},
        ]

    @pytest.mark.parametrize("version", [0, 1])
    def test_one_that_decided_before_does_again(self, draft: Draft, session: Session, version: int) -> None:
        draft(), draft()
        activate(session, 1)
        activate(session, 2)

        activate(session, version)

        assert live_policy(session).version == version
        assert [each for each, state in states(session).items() if state == "live"] == [version]

    @pytest.mark.parametrize("version", [0, 1])
    def test_what_is_live_stays_without_a_word(self, draft: Draft, session: Session, version: int) -> None:
        draft()
        activate(session, version)
        before = audit(session)

        activate(session, version)

        assert audit(session) == before

    def test_another_live_one_than_the_caller_saw_is_told(self, draft: Draft, session: Session) -> None:
        draft(), draft()
        activate(session, 1)

        with pytest.raises(StaleVersion) as refusal:
            activate(session, 2, replaces=0)

        assert refusal.value.extra == {"current": {"version": 1}}

    @pytest.mark.parametrize("version", [1, 2**31, 2**70])
    def test_one_that_is_none_is_refused(self, session: Session, version: int) -> None:
        with pytest.raises(PolicyNotFound):
            activate(session, version)

    @pytest.mark.parametrize("replaces", [0, 1])
    def test_of_many_at_once_one_wins(
        self, draft: Draft, session: Session, engine: sa.Engine, replaces: int
    ) -> None:
        versions = [draft().version for _ in range(6)][1:]
        activate(session, replaces)
        session.commit()

        def act(version: int) -> int | None:
            with Session(engine.execution_options(sqlite_write=True)) as own:
                try:
                    activate(own, version, replaces=replaces)
                except StaleVersion:
                    return None
                own.commit()
                return version

        with ThreadPoolExecutor(5) as pool:
            won = [version for version in pool.map(act, versions) if version is not None]

        session.expire_all()
        assert won == [each for each, state in states(session).items() if state == "live"]
        assert len(won) == 1


class TestReadVersions:
    def test_pages_end_with_the_built_in_one(self, draft: Draft, session: Session) -> None:
        for _ in range(3):
            draft()

        first, after = read_versions(session, before=None, limit=2)
        second, none = read_versions(session, before=after, limit=2)

        assert [[each.version for each in page] for page in (first, second)] == [[3, 2], [1, 0]]
        assert (after, none) == (2, None)

    def test_it_may_stand_on_a_page_of_its_own(self, draft: Draft, session: Session) -> None:
        draft()

        first, after = read_versions(session, before=None, limit=1)
        second, none = read_versions(session, before=after, limit=1)

        assert [[each.version for each in page] for page in (first, second)] == [[1], [0]]
        assert none is None

    def test_the_built_in_one_is_read_like_others(self, session: Session) -> None:
        assert get_version(session, 0).checks["links"]["hold"] == BUILT_IN.checks["links"].hold
