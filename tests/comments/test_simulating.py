"""A policy is tried on what was judged before; and what was judged is judged so again."""

import itertools
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from pollsvc.comments.checks import all_checks
from pollsvc.comments.judged_revisions import judged_revisions
from pollsvc.comments.judging import Judge
from pollsvc.comments.models import CommentRevision, CommentVerdict, Status
from pollsvc.comments.policies import Policy, Thresholds
from pollsvc.comments.policy_drafts import activate_policy, draft_policy
from pollsvc.comments.replaying import find_misjudged
from pollsvc.comments.simulating import Move, simulate
from pollsvc.comments.status import Standing
from pollsvc.keys import Keys
from tests.comments.submitting import Told, submit, told_judge
from tests.factories import ACTOR, ARTICLE_URL, THEN, make_site

MOODS = ("mood", "taste")
STRICT = Policy(9, {"mood": Thresholds(hold=0.3, reject=0.8)})
Say = Callable[..., Standing]


@pytest.fixture
def say(session: Session, keys: Keys) -> Say:
    """Submit a comment that its two checks read their scores in, as a reader of its own."""
    make_site(session)
    judge, numbers = told_judge(keys, MOODS), itertools.count(1)

    def submit_one(body: str, *, minutes: int = 0) -> Standing:
        number = next(numbers)
        return submit(
            session,
            keys=keys,
            judge=judge,
            number=number,
            body=f"{body} #{number}",
            now=THEN + timedelta(minutes=minutes),
        )

    return submit_one


def use(session: Session, **checks: dict[str, object]) -> int:
    """Draft a version and make it live."""
    version = draft_policy(session, checks, known=MOODS, actor=ACTOR, now=THEN).version
    return activate_policy(session, version, replaces=None, actor=ACTOR, now=THEN).version


class TestJudgedRevisions:
    def test_those_of_one_moment_are_in_one_order_on_both_databases(self, say: Say, session: Session) -> None:
        said = [say("mood=0").id for _ in range(3)]

        assert [each.comment_id for each in judged_revisions(session)] == said[::-1]

    @pytest.mark.parametrize("batch", [1, 3, 7, 8])
    def test_each_of_several_batches_is_read_once(self, say: Say, session: Session, batch: int) -> None:
        said = [say("mood=0", minutes=number // 3).id for number in range(7)]

        found = list(judged_revisions(session, batch=batch))

        assert [each.comment_id for each in found] == said[::-1]
        assert {len(each.verdicts) for each in found} == {2}


class TestSimulate:
    def test_it_tells_what_would_change_and_where(self, say: Say, session: Session) -> None:
        said = [say(f"mood={score}", minutes=at) for at, score in enumerate((0.1, 0.5, 0.9, 0.4))]
        session.flush()

        found = simulate(session, STRICT, since=THEN, limit=100)

        assert (found.policy_version, found.judged, found.changed) == (9, 4, 3)
        assert found.moves == [Move("publish", "hold", 2), Move("publish", "reject", 1)]
        assert [(each.id, each.after) for each in found.items] == [
            (said[3].id, "hold"),
            (said[2].id, "reject"),
            (said[1].id, "hold"),
        ]
        first = found.items[0]
        assert (first.revision, first.article_url, first.status) == (1, ARTICLE_URL, "published")
        assert (first.before, first.because, first.body) == ("publish", ["mood"], "mood=0.4 #4")

    def test_all_are_counted_and_the_newest_are_listed(self, say: Say, session: Session) -> None:
        for _ in range(3):
            say("mood=0.5")

        found = simulate(session, STRICT, since=THEN, limit=1)

        assert (found.changed, [each.body for each in found.items]) == (3, ["mood=0.5 #3"])

    def test_what_came_before_is_left_out(self, say: Say, session: Session) -> None:
        say("mood=0.5")
        say("mood=0.5", minutes=1)

        assert simulate(session, STRICT, since=THEN + timedelta(seconds=1), limit=9).judged == 1

    def test_a_check_that_failed_votes_as_the_policy_says(self, say: Say, session: Session) -> None:
        say("mood=fails")
        silent = Policy(1, {"mood": Thresholds(when_missing=None)})

        assert simulate(session, STRICT, since=THEN, limit=9).moves == [Move("publish", "hold", 1)]
        assert simulate(session, silent, since=THEN, limit=9).changed == 0

    def test_a_wiped_text_counts_and_has_no_body(self, say: Say, session: Session) -> None:
        say("mood=0.5")
        session.execute(update(CommentRevision).values(body=None))

        assert [each.body for each in simulate(session, STRICT, since=THEN, limit=9).items] == [None]


class TestReplay:
    def test_every_policy_gives_its_past_outcomes_again(self, say: Say, session: Session) -> None:
        levels = ("0.1", "0.5", "0.7", "fails")
        outcomes = set()
        for checks in (
            {"mood": {"hold": 0.5}},
            {"mood": {"publish": 0.2, "reject": 0.7}, "taste": {"publish": 0.2, "hold": 0.5}},
            {
                "mood": {"reject": 0.2, "when_missing": "reject"},
                "taste": {"reject": 0.5, "when_missing": None},
            },
            {"mood": {"hold": 0.7, "when_missing": "publish"}},
        ):
            version = use(session, **checks)
            outcomes |= {
                (version, say(f"mood={mood} taste={taste}").status)
                for mood, taste in itertools.product(levels, levels)
            }
        activate_policy(session, 2, replaces=None, actor=ACTOR, now=THEN)
        say("mood=1 taste=1")

        assert list(find_misjudged(session)) == []
        assert {status for _, status in outcomes} == {Status.PUBLISHED, Status.HELD, Status.REJECTED}
        assert {each.policy_version for each in judged_revisions(session)} == {1, 2, 3, 4}

    def test_by_the_real_checks_too(self, session: Session, keys: Keys) -> None:
        make_site(session)
        for number, body in enumerate(
            ("Well said!", "SHOUTING AT EVERYBODY", "https://a.example https://b.example")
        ):
            submit(session, keys=keys, number=number, body=body)

        assert list(find_misjudged(session)) == []

    def test_an_outcome_that_was_tampered_with_is_told(self, say: Say, session: Session) -> None:
        use(session, mood={"hold": 0.5})
        held = say("mood=0.5")
        session.execute(update(CommentRevision).values(outcome="publish", because=[]))

        (found,) = find_misjudged(session)

        assert (found.comment_id, found.revision, found.policy_version) == (held.id, 1, 1)
        assert (found.stored, found.replayed) == (("publish", []), ("hold", ["mood"]))

    def test_a_reason_that_was_tampered_with_is_told(self, say: Say, session: Session) -> None:
        say("mood=0.5")
        session.execute(update(CommentRevision).values(because=["mood"]))

        assert [each.replayed for each in find_misjudged(session)] == [("publish", [])]


class TestNewCheck:
    """A check that comes later is one class, and a name in a policy."""

    def test_it_votes_as_soon_as_a_policy_names_it(self, session: Session, keys: Keys) -> None:
        make_site(session)
        judge = Judge(keys, checks=[*all_checks(), Told("learned")])
        known = [check.name for check in judge.checks]
        drafted = draft_policy(session, {"learned": {"reject": 0.9}}, known=known, actor=ACTOR, now=THEN)
        activate_policy(session, drafted.version, replaces=0, actor=ACTOR, now=THEN)

        rejected = submit(session, keys=keys, judge=judge, number=1, body="learned=0.95")
        published = submit(session, keys=keys, judge=judge, number=2, body="learned=0.1")

        assert (rejected.status, published.status) == (Status.REJECTED, Status.PUBLISHED)
        said = session.scalars(
            select(CommentVerdict.score).where(
                CommentVerdict.name == "learned", CommentVerdict.comment_id == rejected.id
            )
        )
        assert list(said) == [0.95]
        assert list(find_misjudged(session)) == []

    def test_texts_from_before_it_are_judged_without_it(self, say: Say, session: Session) -> None:
        say("mood=0.5")
        with_it = Policy(2, {**STRICT.checks, "learned": Thresholds(publish=0.5)})

        assert simulate(session, with_it, since=THEN, limit=1).moves == [Move("publish", "hold", 1)]
