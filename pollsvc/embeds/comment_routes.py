"""Comments without scripts: the thread and its forms, in a frame and for readers without JavaScript."""

from __future__ import annotations

import uuid
from typing import Any

import marshmallow as ma
from flask import Blueprint, Response, request
from marshmallow.validate import Range

from pollsvc.articles.models import Article
from pollsvc.articles.service import locate_article
from pollsvc.comments import threads
from pollsvc.comments.acts import edit, report, rules, submit, withdraw
from pollsvc.comments.entries import NewComment
from pollsvc.comments.models import Comment, Status
from pollsvc.comments.own import OwnComment, own_comments, read_own, received
from pollsvc.comments.schemas import EditCommentSchema, NewCommentSchema, NewReportSchema
from pollsvc.comments.status import CommentNotFound
from pollsvc.comments.threads import Order
from pollsvc.db import db
from pollsvc.embeds import identity
from pollsvc.embeds.comment_entries import Entry, entry_of, own_entry
from pollsvc.embeds.comment_page import CommentPage
from pollsvc.embeds.origins import admit, origins_of
from pollsvc.embeds.plain_forms import PlainForm, plain_form
from pollsvc.errors import Conflict, Invalid, NotAllowed, PollsvcError, StaleVersion, one_field
from pollsvc.voters.schemas import VoterTokenField
from pollsvc.web.forms import FormSignalsSchema
from pollsvc.web.guards import public
from pollsvc.web.limits import limited
from pollsvc.web.state import now

blueprint = Blueprint("comment_pages", __name__)


class CommentFormSchema(NewCommentSchema):
    """A comment; an account's token comes by no form."""

    class Meta:
        """What a plain form cannot know."""

        exclude = ("account_token",)


class EditFormSchema(EditCommentSchema):
    """What a comment is to say instead."""

    # A form sends letters.
    version: Any = ma.fields.Integer(required=True, validate=Range(1, 2**31 - 1))
    voter_token = VoterTokenField()


class ReportFormSchema(NewReportSchema):
    """What is wrong with a comment."""

    @ma.pre_load
    def _note_may_be_empty(self, data: dict[str, str], **_: object) -> dict[str, str]:
        return {name: text for name, text in data.items() if name != "note" or text.strip()}


class PressFormSchema(FormSignalsSchema):
    """One press of a button."""

    voter_token = VoterTokenField()


@blueprint.get("/embed/comments")
@public
def show_comments() -> Response:
    """The thread; below one comment, at one comment, or the form of a reply."""
    page, _ = _open(request.args.get("article_url"))
    if parent_id := _id("reply_to"):
        return page.reply(parent_id)
    order = request.args.get("order")
    return page.thread(
        order=Order(order) if order in list(Order) else Order.NEWEST,
        cursor=request.args.get("cursor"),
        below=_id("below"),
        linked=_id("comment"),
        done=page.read_receipt(request.args.get("receipt")),
    )


@blueprint.post("/embed/comments")
@limited("comments_per_voter", "comments")
@plain_form(CommentFormSchema, cap=81_920)
@public
def write(form: PlainForm) -> Response:
    """Comment on an article, or answer a comment."""
    page, is_known = _open(form.sent.get("article_url"), form)
    if not is_known:
        return page.confirm(form)
    if form.errors:
        return _again(page, form)
    facts = {name: form.values[name] for name in ("article_url", "parent_id", "name", "email", "body")}
    try:
        standing, _ = submit(NewComment(**facts, writer=page.writer, is_suspect=form.is_suspect))
    except (Invalid, Conflict, NotAllowed) as refusal:
        _undo()
        return _again(page, form, refusal)
    is_shown = standing.status == Status.PUBLISHED
    status = received(standing)["status"]
    # The same words were sent before, and the newsroom turned them down meanwhile.
    told = status if status in (Status.PUBLISHED, Status.HELD) else "decided"
    return page.redirect(told, standing.id if is_shown else None)


@blueprint.get("/embed/comments/<uuid:comment_id>/edit")
@public
def show_edit(comment_id: uuid.UUID) -> Response:
    """The form that changes one's own comment."""
    page, mine, _ = _open_own(comment_id)
    return _edit_page(page, mine)


@blueprint.post("/embed/comments/<uuid:comment_id>/edit")
@limited("comments_per_voter", "comments")
@plain_form(EditFormSchema, cap=81_920)
@public
def save_edit(form: PlainForm, comment_id: uuid.UUID) -> Response:
    """Change one's own comment."""
    page, mine, is_known = _open_own(comment_id, form)
    if form.errors or not is_known:
        return _edit_page(page, mine, form, is_foreign=not is_known)
    try:
        standing = edit(page.writer, comment_id, form.values)
    except Invalid as refusal:
        _undo()
        return _edit_page(page, mine, form.refused(**refusal.fields))
    except (Conflict, NotAllowed) as refusal:
        _undo()
        return _edit_page(page, mine, form, refusal=refusal)
    is_shown = standing.status == Status.PUBLISHED
    return page.redirect(f"edited {received(standing)['status']}", comment_id if is_shown else None)


@blueprint.get("/embed/comments/<uuid:comment_id>/withdrawal")
@public
def show_withdrawal(comment_id: uuid.UUID) -> Response:
    """One button that takes one's own comment back."""
    page, mine, _ = _open_own(comment_id)
    return page.one("withdrawal", own_entry(mine))


@blueprint.post("/embed/comments/<uuid:comment_id>/withdrawal")
@limited("comments_per_voter", "comments")
@plain_form(PressFormSchema)
@public
def take_back(form: PlainForm, comment_id: uuid.UUID) -> Response:
    """Take one's own comment back."""
    page, mine, is_known = _open_own(comment_id, form)
    if not is_known:
        return page.one("withdrawal", own_entry(mine), form, is_foreign=True)
    try:
        withdraw(page.writer, comment_id)
    except StaleVersion as refusal:
        _undo()
        return page.one("withdrawal", own_entry(mine), form, refusal=refusal)
    return page.redirect("removed")


@blueprint.get("/embed/comments/<uuid:comment_id>/report")
@public
def show_report(comment_id: uuid.UUID) -> Response:
    """The form that tells the newsroom what is wrong with a comment."""
    page, entry, _ = _open_shown(comment_id)
    return page.one("report", entry)


@blueprint.post("/embed/comments/<uuid:comment_id>/report")
@limited("comments_per_voter", "comments")
@plain_form(ReportFormSchema, cap=20_480)
@public
def send_report(form: PlainForm, comment_id: uuid.UUID) -> Response:
    """Tell the newsroom what is wrong with a comment."""
    page, entry, is_known = _open_shown(comment_id, form)
    if form.errors or not is_known:
        return page.one("report", entry, form, is_foreign=not is_known)
    report(page.writer, comment_id, form.values["reason"], form.values["note"])
    return page.redirect("reported")


def _open(article_url: str | None, form: PlainForm | None = None) -> tuple[CommentPage, bool]:
    """The page for an article, and whether the request comes from a page of ours or of its site."""
    if not article_url:
        raise one_field("article_url", "Which article is it about? Say so in the address: ?article_url=…")
    site, url = locate_article(db.session, article_url)
    is_known = admit(origins_of(site))
    field = form.sent.get(identity.FIELD) if form and is_known else None
    return CommentPage(db.session, site, url, identity.recognise(request, now(), field)), is_known


def _open_own(comment_id: uuid.UUID, form: PlainForm | None = None) -> tuple[CommentPage, OwnComment, bool]:
    """The same for a comment of the reader's own.

    :raises CommentNotFound: if there is none with this id of theirs.
    """
    page, is_known = _open(_article_of(comment_id), form)
    rows = own_comments(page.writer, page.article_url).where(Comment.id == comment_id)
    found, _ = read_own(db.session, rows, before=None, limit=1, rules=rules(), now=now())
    if not found:
        raise CommentNotFound
    return page, found[0], is_known


def _open_shown(comment_id: uuid.UUID, form: PlainForm | None = None) -> tuple[CommentPage, Entry, bool]:
    """The same for a comment that everybody sees.

    :raises CommentNotFound: if nothing published has this id, or its article has no comments any more.
    """
    chain = threads.read_chain(db.session.connection(), comment_id)
    if not chain:
        raise CommentNotFound
    page, is_known = _open(_article_of(comment_id), form)
    if page.is_off:
        raise CommentNotFound
    return page, entry_of(chain[-1], None, is_open=True, depth=0), is_known


def _article_of(comment_id: uuid.UUID) -> str:
    comment = db.session.get(Comment, comment_id)
    if comment is None:
        raise CommentNotFound
    return db.session.get_one(Article, comment.article_id).url


def _again(page: CommentPage, form: PlainForm, refusal: PollsvcError | None = None) -> Response:
    """The form of a new comment as it was filled in, with what is wrong with it."""
    if isinstance(refusal, Invalid):
        form, refusal = form.refused(**refusal.fields), None
    # As it was sent: where one field breaks a rule there are no values, and a reply stays one.
    parent_id = _as_id(form.sent.get("parent_id", ""))
    return page.reply(parent_id, form, refusal) if parent_id else page.thread(filled=form, refusal=refusal)


def _edit_page(
    page: CommentPage,
    mine: OwnComment,
    form: PlainForm | None = None,
    *,
    refusal: PollsvcError | None = None,
    is_foreign: bool = False,
) -> Response:
    values = {"body": mine.body}
    # Whoever was told that it changed meanwhile, and presses again, changes it from there.
    is_told = isinstance(refusal, StaleVersion)
    hidden = {"version": form.sent.get("version", "") if form and not is_told else mine.version}
    return page.one(
        "edit",
        own_entry(mine),
        form,
        values=values,
        hidden=hidden,
        refusal=refusal,
        is_foreign=is_foreign,
    )


def _undo() -> None:
    """Let go of what was begun: on SQLite a session sees one moment only, and others wait for one that writes."""
    db.writing.rollback()
    db.session.rollback()


def _id(name: str) -> uuid.UUID | None:
    """An id of the address; what is none leads to nothing."""
    return _as_id(request.args.get(name, ""))


def _as_id(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
