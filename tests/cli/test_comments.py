"""Commands about comments."""

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from pollsvc.comments.counts import find_differences
from pollsvc.comments.models import CommentCount, CommentRevision
from pollsvc.keys import Keys
from tests.cli.commands import Run
from tests.comments.submitting import submit
from tests.factories import make_site


class TestReplay:
    def test_outcomes_that_are_their_policys_end_with_0(
        self, run_on: Run, session: Session, keys: Keys
    ) -> None:
        make_site(session)
        submit(session, keys=keys)
        session.commit()

        done = run_on("comments", "replay")

        assert (done.exit_code, done.stdout) == (0, "")
        assert "Every outcome is its policy's." in done.stderr

    def test_one_that_is_not_is_named_and_ends_with_1(
        self, run_on: Run, session: Session, keys: Keys
    ) -> None:
        make_site(session)
        said = submit(session, keys=keys)
        session.execute(update(CommentRevision).values(outcome="publish", because=[]))
        session.commit()

        done = run_on("comments", "replay")

        assert done.exit_code == 1
        assert done.stdout == (
            f"comment {said.id} revision 1 policy 0: publish (no vote), by its verdicts hold (new_commenter)\n"
        )


class TestCounts:
    def test_a_count_that_is_wrong_is_told_then_put_right(
        self, run_on: Run, session: Session, keys: Keys
    ) -> None:
        make_site(session)
        said = submit(session, keys=keys)
        session.execute(update(CommentCount).values(n=5))
        session.commit()
        told = f"article {said.article_id}: 5 held comments counted, 1 found\n"

        found = run_on("db", "reconcile")
        mended = run_on("comments", "recount")
        again = run_on("comments", "recount")

        assert (found.exit_code, found.stdout) == (1, told)
        assert (mended.exit_code, mended.stdout) == (0, told)
        assert (again.exit_code, again.stdout) == (0, "")
        assert session.scalars(select(CommentCount.n)).all() == [1]
        assert find_differences(session) == []
