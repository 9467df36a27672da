"""Comments over HTTP: the readers' calls. The newsroom's are in :mod:`pollsvc.comments.newsroom`."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Response, current_app

from pollsvc.articles.discussions import comments_of
from pollsvc.articles.models import Article, Site
from pollsvc.articles.service import locate_article, read_address
from pollsvc.articles.venues import locate_articles
from pollsvc.comments import counts, own, threads
from pollsvc.comments.acts import edit, report, rules, submit, withdraw
from pollsvc.comments.entries import NewComment
from pollsvc.comments.lookups import ThreadLookups
from pollsvc.comments.models import Comment, Status
from pollsvc.comments.schemas import (
    ChainSchema,
    CountsQuerySchema,
    CountsSchema,
    EditCommentSchema,
    NewCommentSchema,
    NewReportSchema,
    OwnCommentSchema,
    OwnQuerySchema,
    ReceivedCommentSchema,
    ReceivedReportSchema,
    ThreadQuerySchema,
    ThreadSchema,
    WriterHeadersSchema,
)
from pollsvc.comments.status import CommentNotFound
from pollsvc.comments.threads import Asked, Order, Place
from pollsvc.comments.writers import Writer, writer_of_account, writer_of_token
from pollsvc.db import db
from pollsvc.errors import one_field
from pollsvc.web.api import JSONBlueprint, NothingSchema, json_answer
from pollsvc.web.forms import is_suspect
from pollsvc.web.guards import public
from pollsvc.web.headers import public_read
from pollsvc.web.limits import limited, spend_of
from pollsvc.web.paging import page_schema
from pollsvc.web.state import keys, now

blp = JSONBlueprint("comments", __name__, url_prefix="/v1", description="Comments, as readers meet them.")


@blp.post("/comments")
@blp.body(NewCommentSchema, cap=65_536)
@blp.response(201, ReceivedCommentSchema)
@blp.alt_response(200, schema=ReceivedCommentSchema, description="The same comment was sent before.")
@blp.alt_response(202, schema=ReceivedCommentSchema, description="It waits for the newsroom.")
@blp.problems(401, 403, 409)
@limited("comments_per_voter", "comments")
@public
def submit_comment(body: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """Comment on an article, or answer a comment."""
    new = new_comment(body)
    _limit_account(new.writer)
    standing, is_new = submit(new)
    told = own.received(standing)
    return told, 202 if told["status"] == Status.HELD else 201 if is_new else 200


@blp.get("/comments")
@blp.query(ThreadQuerySchema)
@blp.response(200, ThreadSchema)
@public
def show_thread(query: dict[str, Any]) -> Response:
    """A thread, page by page: what stands at the top, or the replies to one comment."""
    order = Order(query["order"] or (Order.OLDEST if query["parent_id"] else Order.NEWEST))
    after = threads.read_place(keys(), threads.purpose_of(order), query["cursor"])
    address = read_address(query["article_url"])
    page = thread_lookups().page(Asked(address, query["parent_id"], order, after, query["limit"]))
    public_read(page.tag)
    return Response(page.body, mimetype="application/json")


@blp.get("/comments/counts")
@blp.query(CountsQuerySchema)
@blp.response(200, CountsSchema)
@public
def count_comments(query: dict[str, Any]) -> Response:
    """How many comments articles show: `?article_url=…&article_url=…`, up to fifty."""
    asked = query["article_url"]
    urls = locate_articles(db.session.connection(), asked)
    found = counts.published_counts(db.session, urls)
    items = [{"article_url": each, "total": found[url]} for each, url in zip(asked, urls, strict=True)]
    public_read(items)
    return json_answer({"items": items})


@blp.get("/comments/mine")
@blp.query(OwnQuerySchema)
@blp.arguments(WriterHeadersSchema(), location="headers")
@blp.response(200, page_schema(OwnCommentSchema))
@blp.problems(401)
@public
def list_own(query: dict[str, Any], header: dict[str, Any]) -> dict[str, Any]:
    """The writer's own comments, with why they are not shown. Send `X-Voter-Token` or `X-Account-Token`."""
    site, url = locate_article(db.session, query["article_url"]) if query["article_url"] else (None, None)
    writer = _writer(site, header)
    place = threads.read_place(keys(), "cursor own comments", query["cursor"])
    before = place.comment_id if place else None
    items, last = own.read_own(
        db.session,
        own.own_comments(writer, url),
        before=before,
        limit=query["limit"],
        rules=rules(),
        now=now(),
    )
    end = Place(0, last) if last else None
    return {"items": items, "next_cursor": threads.write_place(keys(), "cursor own comments", end)}


@blp.get("/comments/<uuid:comment_id>")
@blp.response(200, ChainSchema)
@blp.problems(404)
@public
def show_comment(comment_id: uuid.UUID) -> Response:
    """One published comment, below all that it hangs below: what a link to it shows."""
    chain = threads.read_chain(db.session.connection(), comment_id)
    article = db.session.get(Article, _article_of(comment_id)) if chain else None
    if article is None or comments_of(article.site, article, now()) == "off":
        raise CommentNotFound
    public_read(article.url, [vars(each) for each in chain])
    return json_answer({"article_url": article.url, "items": chain})


@blp.patch("/comments/<uuid:comment_id>")
@blp.body(EditCommentSchema, cap=65_536)
@blp.arguments(WriterHeadersSchema(), location="headers")
@blp.response(200, ReceivedCommentSchema)
@blp.alt_response(202, schema=ReceivedCommentSchema, description="It waits for the newsroom.")
@blp.problems(401, 403, 404, 409)
@limited("comments_per_voter", "comments")
@public
def edit_comment(
    body: dict[str, Any], header: dict[str, Any], comment_id: uuid.UUID
) -> tuple[dict[str, Any], int]:
    """Change one's own comment. It is looked at like a new one, and an approval was of the words before."""
    standing = edit(_limited_writer(comment_id, header), comment_id, body)
    return own.received(standing), 200 if standing.status == Status.PUBLISHED else 202


@blp.delete("/comments/<uuid:comment_id>")
@blp.body(NothingSchema)
@blp.arguments(WriterHeadersSchema(), location="headers")
@blp.response(200, ReceivedCommentSchema)
@blp.problems(401, 404, 409)
@limited("comments_per_voter", "comments")
@public
def withdraw_comment(_body: dict[str, Any], header: dict[str, Any], comment_id: uuid.UUID) -> dict[str, Any]:
    """Take one's own comment back; as often as asked."""
    return own.received(withdraw(_limited_writer(comment_id, header), comment_id))


@blp.post("/comments/<uuid:comment_id>/reports")
@blp.body(NewReportSchema, cap=16_384)
@blp.response(202, ReceivedReportSchema)
@blp.problems(401, 404)
@limited("comments_per_voter", "comments")
@public
def report_comment(body: dict[str, Any], comment_id: uuid.UUID) -> dict[str, str]:
    """Tell the newsroom what is wrong with a comment."""
    reporter = writer_of_token(keys(), body["voter_token"], now())
    return {"message": report(reporter, comment_id, body["reason"], body["note"])}


def thread_lookups() -> ThreadLookups:
    """The threads that this process reads."""
    found: ThreadLookups = current_app.extensions["pollsvc.threads"]
    return found


def new_comment(form: dict[str, Any]) -> NewComment:
    """A reader's comment, with who writes it.

    :raises NotAuthenticated: if no good voter token came.
    :raises Invalid: if an account token came that is not good.
    """
    name, email = form["name"], form["email"]
    if form["account_token"] is not None:
        site, _ = locate_article(db.session, form["article_url"])
        account = writer_of_account(keys(), site, form["account_token"], now())
        # What the login says of them goes before what they type: readers see that it vouches for them.
        writer, name, email = account.writer, account.name or name, account.email
        if not name:
            raise one_field("name", "Missing data for required field.")
    else:
        writer = writer_of_token(keys(), form["voter_token"], now())
    return NewComment(
        article_url=form["article_url"],
        parent_id=form["parent_id"],
        writer=writer,
        name=name,
        email=email,
        body=form["body"],
        is_suspect=is_suspect(form, keys(), now()),
    )


def _writer(site: Site | None, header: dict[str, Any]) -> Writer:
    token = header["account_token"]
    if token is None:
        return writer_of_token(keys(), header["voter_token"], now())
    if site is None:
        raise one_field("article_url", "An account is one of a site: say below which article.")
    return writer_of_account(keys(), site, token, now()).writer


def _article_of(comment_id: uuid.UUID) -> uuid.UUID:
    comment = db.session.get(Comment, comment_id)
    if comment is None:
        raise CommentNotFound
    return comment.article_id


def _limited_writer(comment_id: uuid.UUID, header: dict[str, Any]) -> Writer:
    writer = _writer(db.session.get_one(Article, _article_of(comment_id)).site, header)
    _limit_account(writer)
    return writer


def _limit_account(writer: Writer) -> None:
    """Count what an account sends, by its `sub`. A voter token was counted before; a login's is read in the view alone.

    By what an unread token says, anybody could use up another's budget; by the token itself each would bring a new one, and a
    login signs one for each page that its reader opens.
    """
    if writer.is_account:
        # What was read until here needs no connection while others count.
        db.session.commit()
        spend_of("comments_per_voter", writer.key)
