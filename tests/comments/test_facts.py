"""What is known of a writer hangs on their identity, and what was said before on the text."""

import uuid
from datetime import datetime, timedelta

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from pollsvc.articles.models import Site
from pollsvc.comments.checks.check import Likeness, WriterFacts
from pollsvc.comments.checks.repeats import fingerprint_of
from pollsvc.comments.facts import (
    LATELY,
    MOST_COUNTED,
    REJECTIONS_WITHIN,
    REPEATS_WITHIN,
    Questioned,
    find_facts,
)
from pollsvc.comments.judging import Judge
from pollsvc.comments.models import CommentRevision
from pollsvc.comments.policy_models import Ban
from pollsvc.comments.service import withdraw_comment
from pollsvc.keys import Keys
from tests.factories import THEN, decide_comment, edit_comment, make_comment, make_writer

WORDS = "The council voted on Tuesday to run the ferry until midnight, and the harbour will pay for it."


def known_of(
    session: Session, keys: Keys, now: datetime, comment_id: uuid.UUID | None, number: int = 1
) -> WriterFacts:
    session.flush()
    asked = Questioned(make_writer(keys, number=number), None, "", None)
    return find_facts(session.connection(), [asked], now, comment_id)[0].writer


class TestFactsOf:
    def test_trust_belongs_to_the_identity_and_not_to_the_address(
        self, session: Session, keys: Keys, site: Site
    ) -> None:
        make_comment(session, keys=keys, email="ada@reader.example", is_approved=True)

        made = make_comment(session, keys=keys, number=2, email="ada@reader.example")

        assert made.status == "held"

    def test_only_what_stands_and_a_human_approved_speaks_for_a_writer(
        self, session: Session, keys: Keys, site: Site
    ) -> None:
        approved = [make_comment(session, keys=keys, body=f"Word {n}.", is_approved=True) for n in range(4)]
        decide_comment(session, approved[0], "reject")
        edit_comment(session, approved[1], "Another word.", keys=keys)
        withdraw_comment(session, approved[2].id, writer=make_writer(keys), now=THEN)
        by_policy = make_comment(session, keys=keys, body="By policy.")

        facts = known_of(session, keys, THEN, None)

        assert by_policy.decided_by == "policy:0"
        assert (facts.approved, facts.rejected, facts.lately) == (1, 1, 5)

    def test_the_comment_that_is_edited_says_nothing_about_itself(
        self, session: Session, keys: Keys, site: Site
    ) -> None:
        made = make_comment(session, keys=keys, is_approved=True)

        facts = known_of(session, keys, THEN, made.id)

        assert (facts.approved, facts.lately) == (0, 0)

    def test_rejections_and_haste_are_forgotten(self, session: Session, keys: Keys, site: Site) -> None:
        for number, action in enumerate(["reject", "spam", "remove"]):
            decide_comment(session, make_comment(session, keys=keys, body=f"Word {number}."), action)
        withdrawn = make_comment(session, keys=keys)
        withdraw_comment(session, withdrawn.id, writer=make_writer(keys), now=THEN)
        moments = [timedelta(seconds=1), LATELY, REJECTIONS_WITHIN]

        found = [known_of(session, keys, THEN + each, None) for each in moments]

        assert [(facts.rejected, facts.lately) for facts in found] == [(3, 4), (3, 0), (0, 0)]

    def test_taking_back_what_was_turned_down_makes_no_better_record(
        self, session: Session, keys: Keys, site: Site
    ) -> None:
        made = make_comment(session, keys=keys)
        decide_comment(session, made, "spam")
        withdraw_comment(session, made.id, writer=make_writer(keys), now=THEN)
        forgiven = make_comment(session, keys=keys, body="Forgiven.")
        decide_comment(session, decide_comment(session, forgiven, "reject"), "approve")

        assert known_of(session, keys, THEN, None).rejected == 1

    def test_nothing_that_comes_later_washes_a_rejection_away(
        self, session: Session, keys: Keys, site: Site
    ) -> None:
        decide_comment(session, make_comment(session, keys=keys), "spam")
        for number in range(MOST_COUNTED + 5):
            made = make_comment(session, keys=keys, body=f"Word {number}.")
            withdraw_comment(session, made.id, writer=make_writer(keys), now=THEN)

        facts = known_of(session, keys, THEN, None)

        assert (facts.rejected, facts.lately) == (1, MOST_COUNTED)


class TestLikenessesOf:
    @pytest.mark.parametrize(
        ("body", "scores"),
        [
            pytest.param(WORDS.upper(), [1.0], id="the same letters"),
            pytest.param(WORDS.replace("Tuesday", "Monday"), [0.85], id="nearly the same"),
            pytest.param("Nobody asked those who live there what they think of it.", [], id="others"),
            pytest.param("Well said!", [], id="too short to tell"),
        ],
    )
    def test_finds_what_was_said_before_by_anybody(
        self, session: Session, keys: Keys, site: Site, body: str, scores: list[float]
    ) -> None:
        make_comment(session, keys=keys, number=2, body=WORDS)

        found = self.likenesses(session, keys, body)

        assert [each.score for each in found] == pytest.approx(scores, abs=0.1)
        assert [each.is_own for each in found] == [False] * len(scores)

    def test_what_was_wiped_or_is_old_is_like_nothing(self, session: Session, keys: Keys, site: Site) -> None:
        make_comment(session, keys=keys, body=WORDS)
        near = WORDS.replace("Tuesday", "Monday")
        assert [each.is_own for each in self.likenesses(session, keys, near)] == [True]
        assert self.likenesses(session, keys, near, after=REPEATS_WITHIN) == []

        session.execute(update(CommentRevision).values(body=None))

        assert self.likenesses(session, keys, near) == []

    def test_many_are_asked_about_at_once(self, session: Session, keys: Keys, site: Site) -> None:
        decide_comment(session, make_comment(session, keys=keys, number=2, body=WORDS), "reject")
        make_comment(session, keys=keys, number=3, is_approved=True)
        session.add(
            Ban(
                writer_key=make_writer(keys, number=4).key,
                reason_code="spam",
                created_by="x",
                created_at=THEN,
            )
        )
        session.flush()
        asked = [self.questioned(keys, WORDS if n % 2 else "Well said!", number=n) for n in (1, 2, 3, 4)]

        found = find_facts(session.connection(), asked, THEN)

        assert [(each.writer.approved, each.writer.rejected, each.writer.lately) for each in found] == [
            (0, 0, 0),
            (0, 1, 1),
            (1, 0, 1),
            (0, 0, 0),
        ]
        assert [each.is_banned for each in found] == [False, False, False, True]
        assert [[like.score for like in each.likenesses] for each in found] == [[1.0], [], [1.0, 1.0], []]

    def test_what_is_asked_about_together_is_told_of_each_other(
        self, session: Session, keys: Keys, site: Site
    ) -> None:
        near = WORDS.replace("Tuesday", "Monday")
        asked = [
            self.questioned(keys, WORDS, number=1),
            self.questioned(keys, near, number=2),
            self.questioned(keys, "Nobody asked those who live there what they think.", number=1),
            self.questioned(keys, WORDS, number=1),
        ]

        found = find_facts(session.connection(), asked, THEN)

        assert [each.writer.lately for each in found] == [0, 0, 1, 2]
        assert [[(round(like.score, 1), like.is_own) for like in each.likenesses] for each in found] == [
            [],
            [(0.8, False)],
            [],
            [(1.0, True), (0.8, False)],
        ]

    @staticmethod
    def questioned(keys: Keys, body: str, number: int = 1) -> Questioned:
        return Questioned(
            make_writer(keys, number=number), None, body, fingerprint_of(body, Judge(keys).print_key)
        )

    @classmethod
    def likenesses(
        cls, session: Session, keys: Keys, body: str, *, after: timedelta = timedelta(seconds=1)
    ) -> list[Likeness]:
        found = find_facts(session.connection(), [cls.questioned(keys, body)], THEN + after)
        return list(found[0].likenesses)
