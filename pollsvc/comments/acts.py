"""What readers do with comments: written once, for the calls and the plain pages alike. An edge."""

from __future__ import annotations

import uuid
from typing import Any

from flask import current_app

from pollsvc.comments import editing, service
from pollsvc.comments.admission import Rules
from pollsvc.comments.comment_box import CommentBox
from pollsvc.comments.entries import NewComment
from pollsvc.comments.judging import Judge
from pollsvc.comments.status import Standing
from pollsvc.comments.writers import Writer
from pollsvc.db import db
from pollsvc.web.forms import is_suspect
from pollsvc.web.metrics import COMMENTS
from pollsvc.web.state import keys, now, ring, settings

_REPORTED = "Thank you. Your report has arrived, and the newsroom will look at the comment."


def submit(new: NewComment) -> tuple[Standing, bool]:
    """Look at a comment and write it; as :meth:`pollsvc.comments.comment_box.CommentBox.submit`."""
    if db.has_read:
        # What was read until here stays; its connection goes back before others read and write.
        db.session.commit()
    standing, is_new = comment_box().submit(new)
    ring()
    COMMENTS.labels(standing.status).inc(is_new)
    return standing, is_new


def edit(writer: Writer, comment_id: uuid.UUID, form: dict[str, Any]) -> Standing:
    """Look at an edit and write it, likewise; as :mod:`pollsvc.comments.editing`."""
    judged = editing.judge_edit(
        db.session,
        judge(),
        comment_id,
        writer=writer,
        body=form["body"],
        version=form["version"],
        # An edit without either signal is as suspect as the comment was, and no more.
        is_suspect=bool(form["website"] or form["form_token"]) and is_suspect(form, keys(), now()),
        rules=rules(),
        now=now(),
    )
    db.session.commit()
    standing = editing.edit_comment(db.writing, judged, now())
    db.writing.commit()
    ring()
    return standing


def withdraw(writer: Writer, comment_id: uuid.UUID) -> Standing:
    """Take a comment back for its writer; as :func:`pollsvc.comments.service.withdraw_comment`."""
    db.session.commit()
    standing = service.withdraw_comment(db.writing, comment_id, writer=writer, now=now())
    db.writing.commit()
    ring()
    return standing


def report(reporter: Writer, comment_id: uuid.UUID, reason: str, note: str | None) -> str:
    """Record a report, and give what its sender is told."""
    db.session.commit()
    service.report_comment(db.writing, comment_id, reporter=reporter, reason=reason, note=note, now=now())
    db.writing.commit()
    return _REPORTED


def judge() -> Judge:
    """What looks at the comments of this process."""
    found: Judge = current_app.extensions["pollsvc.judge"]
    return found


def comment_box() -> CommentBox:
    """Where the comments of this process go."""
    box: CommentBox = current_app.extensions["pollsvc.comment_box"]
    return box


def rules() -> Rules:
    """What this installation set about comments."""
    return Rules.of(settings())
