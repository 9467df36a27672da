"""All that the tables of comments hold at one moment, and what must be true of it at every one."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from pollsvc.comments.asking import REMOVED
from pollsvc.comments.checks.words import IN_THE_NAME
from pollsvc.comments.forgetting import DELETED_READER
from pollsvc.comments.markup import mark_up
from pollsvc.comments.models import (
    Comment,
    CommentChange,
    CommentCount,
    CommentReport,
    CommentRevision,
    CommentVerdict,
)
from pollsvc.comments.policies import Policy
from pollsvc.comments.policy_models import Ban, CheckRequest

Rows = Sequence[Any]
PRINTS = ("text_hash", "band_0", "band_1", "band_2", "band_3")
# Made once: at each moment, making them would cost more than asking them.
ALL = {
    model: select(model.__table__).order_by(*order)
    for model, order in (
        (Comment, ()),
        (CommentCount, ()),
        (CommentRevision, (CommentRevision.number,)),
        (CommentVerdict, ()),
        (CommentChange, (CommentChange.version,)),
        (CommentReport, ()),
        (CheckRequest, ()),
        (Ban, ()),
    )
}


@dataclass(frozen=True)
class Books:
    """The rows, read as a reader of the tables who has the keys; those that hang on a comment by its id."""

    comments: Mapping[UUID, Any]
    counts: Rows
    revisions: Mapping[UUID, Rows]
    verdicts: Mapping[UUID, Rows]
    changes: Mapping[UUID, Rows]
    reports: Mapping[UUID, Rows]
    requests: Rows
    bans: Rows

    @classmethod
    def of(cls, session: Session) -> "Books":
        """What stands now."""
        rows = {model: session.execute(wanted).all() for model, wanted in ALL.items()}
        return cls(
            comments={row.id: row for row in rows[Comment]},
            counts=rows[CommentCount],
            revisions=_by_comment(rows[CommentRevision]),
            verdicts=_by_comment(rows[CommentVerdict]),
            changes=_by_comment(rows[CommentChange]),
            reports=_by_comment(rows[CommentReport]),
            requests=rows[CheckRequest],
            bans=rows[Ban],
        )

    def check(self, policies: Mapping[int, Policy], checks: Collection[str]) -> None:
        """Nothing is missing of what happened, and no more is shown than stands in the open.

        :param policies: those that ever decided, by version.
        :param checks: the names of all that looks at each revision.
        """
        self._check_counts()
        for comment in self.comments.values():
            self._check_log(comment)
            self._check_revisions(comment, policies, checks)
            self._check_shown(comment)
        pending = {
            (each.comment_id, each.revision, each.name)
            for verdicts in self.verdicts.values()
            for each in verdicts
            if each.state == "pending"
        }
        assert {(each.comment_id, each.revision, each.name) for each in self.requests} == pending

    def check_forgotten(
        self, nobodys: Collection[UUID], names: Collection[str], writers: Collection[bytes]
    ) -> None:
        """Whoever was forgotten is in nothing that is left.

        :param nobodys: the comments whose writers were.
        :param names: that nobody bears any more.
        :param writers: the keys by which writers are found.
        """
        for comment_id in nobodys:
            comment = self.comments[comment_id]
            is_wiped = comment.erased_at is not None
            assert comment.name == (None if is_wiped else DELETED_READER)
            assert {comment.email, comment.email_hash, comment.submission_key} == {None}
            assert comment.writer_key not in writers
            kept = None if is_wiped else comment.revision
            for text in self.revisions[comment_id]:
                assert (text.body is not None) == (text.number == kept)
                assert text.body is not None or {getattr(text, each) for each in PRINTS} == {None}
            for verdict in self.verdicts[comment_id]:
                assert verdict.revision == kept or (not verdict.spans and verdict.reason in ("", REMOVED))
                assert IN_THE_NAME not in verdict.reason
            assert not is_wiped or comment_id not in {each.comment_id for each in self.bans}
        said = "\n".join(self._words())
        assert not any(name in said for name in names)

    def _words(self) -> Iterable[str]:
        of_comments = (self.revisions, self.verdicts, self.changes, self.reports)
        rows = [
            *self.comments.values(),
            *(row for each in of_comments for some in each.values() for row in some),
        ]
        return (value for row in rows for value in row if isinstance(value, str))

    def _check_counts(self) -> None:
        """By a recount of our own, which is quick: that of the newsroom is asked where the walk ends."""
        comments = self.comments.values()
        found = Counter((each.article_id, each.status) for each in comments)
        assert Counter({(each.article_id, each.status): each.n for each in self.counts}) == found
        replies: Counter[UUID] = Counter()
        for each in comments:
            above = each.parent_id
            while above and each.status == "published":
                replies[above] += 1
                above = self.comments[above].parent_id
        assert {each.id: each.replies for each in comments} == {each: replies[each] for each in self.comments}
        still_open = {
            each: sum(report.settled_at is None for report in self.reports[each]) for each in self.comments
        }
        assert {each.id: each.open_reports for each in comments} == still_open

    def _check_log(self, comment: Any) -> None:
        log = self.changes[comment.id]
        assert [each.version for each in log] == list(range(1, comment.version + 1))
        assert [each.before for each in log] == [None, *(each.after for each in log[:-1])]
        assert (log[-1].after, log[-1].actor) == (comment.status, comment.decided_by)
        assert all(
            later.revision - sooner.revision == (later.action == "edit") for sooner, later in pairwise(log)
        )

    def _check_revisions(self, comment: Any, policies: Mapping[int, Policy], checks: Collection[str]) -> None:
        texts = self.revisions[comment.id]
        assert [each.number for each in texts] == list(range(1, comment.revision + 1))
        verdicts = defaultdict(list)
        for verdict in self.verdicts[comment.id]:
            verdicts[verdict.revision].append(verdict)
        assert verdicts.keys() == {each.number for each in texts}
        for text in texts:
            assert sorted(each.name for each in verdicts[text.number]) == sorted(checks)
            ruling = policies[text.policy_version].decide(verdicts[text.number])
            assert (text.outcome, text.because) == (ruling.outcome, ruling.because)

    def _check_shown(self, comment: Any) -> None:
        text = self.revisions[comment.id][-1].body if comment.status == "published" else None
        assert (comment.shown_text, comment.shown_html) == (text, text and mark_up(text).html)
        assert comment.shown_name == (comment.name if text else None)
        assert comment.status == "published" or not comment.is_featured
        assert comment.status in ("published", "held") or all(
            each.settled_at for each in self.reports[comment.id]
        )


def _by_comment(rows: Rows) -> Mapping[UUID, Rows]:
    found: defaultdict[UUID, list[Any]] = defaultdict(list)
    for row in rows:
        found[row.comment_id].append(row)
    return found
