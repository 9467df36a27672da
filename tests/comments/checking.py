"""Comments that checks over HTTP are asked about, under a policy in which these alone have a vote."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from pollsvc.comments import http_checks
from pollsvc.comments.admission import Rules
from pollsvc.comments.check_requests import Claimed, claim
from pollsvc.comments.checks.shouting import Shouting
from pollsvc.comments.counts import find_differences
from pollsvc.comments.editing import edit_comment, judge_edit
from pollsvc.comments.entries import NewComment
from pollsvc.comments.judging import Judge
from pollsvc.comments.models import Comment, CommentChange, CommentRevision, CommentVerdict
from pollsvc.comments.policies import BUILT_IN, Policy, read_policy
from pollsvc.comments.policy_models import CheckRequest, CommentPolicy, HttpCheck
from pollsvc.comments.service import submit_comment, withdraw_comment
from pollsvc.comments.status import Standing
from pollsvc.comments.writers import Writer
from pollsvc.keys import Keys
from pollsvc.moderation.service import decide
from pollsvc.outbox.outgoing import Outgoing
from pollsvc.worker import Worker
from tests.factories import ACTOR, ARTICLE_URL, THEN, judge_comment
from tests.outbox.endpoints import LOOPBACK, Clock
from tests.outbox.receiver import Receiver, receiving

RULES = Rules(3, timedelta(minutes=15))
ADA = Writer(b"a" * 32, is_account=False)
BODY = "The ferry is late *again*, see https://ferry.example/times"


@contextmanager
def answering(**answer: Any) -> Iterator[Receiver]:
    """Run a check that answers each request with this document."""
    with receiving() as receiver:
        receiver.status, receiver.say = 200, lambda _: json.dumps(answer).encode()
        yield receiver


@dataclass
class Scene:
    """A site, a clock to be moved, and a worker that asks."""

    session: Session
    keys: Keys
    clock: Clock
    worker: Worker

    def make_check(self, url: str, *, name: str = "tone", timeout: int = 5) -> HttpCheck:
        """Make a check through the service's own door, and commit."""
        check = http_checks.make_check(
            self.session,
            Outgoing(private_hosts=LOOPBACK),
            name=name,
            url=url,
            timeout=timeout,
            actor=ACTOR,
            now=THEN,
        )
        self.session.commit()
        return check

    def set_policy(self, version: int, **checks: Any) -> None:
        """Put a policy into force, by checks over HTTP without their `http:`, and commit."""
        self.session.execute(update(CommentPolicy).values(state="retired"))
        document = {"checks": {f"http:{name}": thresholds for name, thresholds in checks.items()}}
        self.session.add(
            CommentPolicy(
                version=version,
                state="live",
                document=document,
                created_by=ACTOR,
                created_at=THEN,
                activated_at=THEN,
            )
        )
        self.session.commit()

    def write(self, body: str = BODY) -> Standing:
        """Write a comment, and commit."""
        new = NewComment(
            article_url=ARTICLE_URL,
            parent_id=None,
            writer=ADA,
            name="Ada Reader",
            email="ada@reader.example",
            body=body,
            is_suspect=False,
        )
        judge, now = Judge(self.keys, [Shouting()]), self.clock()
        self.session.flush()
        judged = judge_comment(self.session.connection(), judge, new, RULES, now)
        standing, _ = submit_comment(self.session, judge, judged, RULES, now)
        self.session.commit()
        return standing

    def edit(self, comment_id: uuid.UUID, body: str) -> None:
        """Change a comment's text, as its writer, and commit."""
        edited = judge_edit(
            self.session,
            Judge(self.keys, [Shouting()]),
            comment_id,
            writer=ADA,
            body=body,
            version=self.comment(comment_id).version,
            rules=RULES,
            now=self.clock(),
        )
        edit_comment(self.session, edited, self.clock())
        self.session.commit()

    def withdraw(self, comment_id: uuid.UUID) -> None:
        """Take a comment back, as its writer, and commit."""
        withdraw_comment(self.session, comment_id, writer=ADA, now=self.clock())
        self.session.commit()

    def wipe(self, comment_id: uuid.UUID) -> None:
        """Empty a comment's first text, as erasure and retention do, and commit."""
        self.revision(comment_id).body = None
        self.session.commit()

    def decide(self, comment_id: uuid.UUID, action: str) -> None:
        """Decide about a comment, as somebody of the newsroom, and commit."""
        decide(
            self.session,
            comment_id,
            action=action,
            version=self.comment(comment_id).version,
            reason_code=None,
            note=None,
            actor="token:1",
            now=self.clock(),
        )
        self.session.commit()

    def ask(self) -> None:
        """Let the worker ask what is due, and nothing else, and wait for it."""
        for thread in self.worker.deliver():
            thread.join()

    def claim(self, name: str = "tone") -> Claimed:
        """Take what is due of a check, as a worker does that then is killed."""
        claimed = claim(self.session, f"http:{name}", uuid.uuid4(), self.clock())
        self.session.commit()
        assert claimed is not None
        return claimed

    def comment(self, comment_id: uuid.UUID) -> Comment:
        """A comment as it stands."""
        self._look_anew()
        return self.session.get_one(Comment, comment_id)

    def revision(self, comment_id: uuid.UUID) -> CommentRevision:
        """A comment's first text as it stands."""
        self._look_anew()
        return self.session.get_one(CommentRevision, (comment_id, 1))

    def verdict(self, comment_id: uuid.UUID, *, name: str = "tone", revision: int = 1) -> CommentVerdict:
        """What a check over HTTP said, as it stands."""
        self._look_anew()
        return self.session.get_one(CommentVerdict, (comment_id, revision, f"http:{name}"))

    def said(self, comment_id: uuid.UUID) -> tuple[str, str]:
        """The state of that verdict, and its reason."""
        verdict = self.verdict(comment_id)
        return verdict.state, verdict.reason

    def requests(self) -> list[CheckRequest]:
        """What is still to be asked for."""
        self._look_anew()
        return list(self.session.scalars(select(CheckRequest)))

    def changes(self, comment_id: uuid.UUID) -> list[tuple[str, str, str]]:
        """What was done to a comment, where it led, and who did it."""
        self._look_anew()
        rows = select(CommentChange).where(CommentChange.comment_id == comment_id)
        return [
            (each.action, each.after, each.actor)
            for each in self.session.scalars(rows.order_by(CommentChange.version))
        ]

    def check_books(self) -> None:
        """Counts are those of a recount, and each revision's outcome follows from its verdicts by the policy that it names."""
        self._look_anew()
        assert find_differences(self.session) == []
        for revision in self.session.scalars(select(CommentRevision)):
            verdicts = self.session.scalars(
                select(CommentVerdict).where(
                    CommentVerdict.comment_id == revision.comment_id,
                    CommentVerdict.revision == revision.number,
                )
            )
            ruling = self._policy(revision.policy_version).decide(verdicts)
            assert (revision.outcome, revision.because) == (ruling.outcome, list(ruling.because))

    def _policy(self, version: int) -> Policy:
        if version == 0:
            return BUILT_IN
        return read_policy(version, self.session.get_one(CommentPolicy, version).document)

    def _look_anew(self) -> None:
        self.session.rollback()
        self.session.expire_all()
