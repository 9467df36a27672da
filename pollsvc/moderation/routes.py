"""The desk over HTTP."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from pollsvc.articles.service import locate_article
from pollsvc.comments.counts import counts_of
from pollsvc.comments.models import Comment
from pollsvc.comments.status import Standing
from pollsvc.db import db
from pollsvc.moderation import dossiers, items, service
from pollsvc.moderation.items import QueueItem
from pollsvc.moderation.schemas import (
    ClaimSchema,
    CommentDecisionSchema,
    DossierSchema,
    NewClaimSchema,
    NewCommentDecisionSchema,
    QueueQuerySchema,
    QueueSchema,
)
from pollsvc.web.api import JSONBlueprint
from pollsvc.web.guards import actor, staff
from pollsvc.web.limits import limited
from pollsvc.web.paging import read_page
from pollsvc.web.state import keys, now, ring

blp = JSONBlueprint("moderation", __name__, url_prefix="/v1/moderation", description="The desk of comments.")


@blp.get("/queue")
@blp.query(QueueQuerySchema)
@blp.response(200, QueueSchema)
@limited("staff")
@staff("comments:moderate")
def list_queue(query: dict[str, Any]) -> dict[str, Any]:
    """What waits: comments that are held, or that readers reported; and what was turned down, and may still be published."""
    url = _canonical(query["article_url"])
    rows = items.queued(query["state"], url)
    is_oldest_first = query["order"] == "oldest"
    page = read_page(db.session, rows, Comment.id, query, keys(), is_oldest_first=is_oldest_first)
    return {
        "items": items.read_items(db.session, page.items),
        "next_cursor": page.next_cursor,
        "counts": counts_of(db.session, url),
    }


@blp.post("/claims")
@blp.body(NewClaimSchema)
@blp.response(201, ClaimSchema)
@limited("staff")
@staff("comments:moderate")
def claim_items(body: dict[str, Any]) -> dict[str, Sequence[QueueItem]]:
    """Take comments in hand that are held, the oldest first. Nobody else is given them meanwhile."""
    url = _canonical(body["article_url"])
    claimed = items.claim(
        db.writing, limit=body["limit"], article_url=url, actor=actor().reference, now=now()
    )
    db.writing.commit()
    return {"items": claimed}


@blp.get("/comments/<uuid:comment_id>")
@blp.response(200, DossierSchema)
@blp.problems(404)
@limited("staff")
@staff("comments:moderate")
def show_comment(comment_id: uuid.UUID) -> dict[str, Any]:
    """Everything known about a comment: why it stands where it does, by rule, version and place in the text."""
    return dossiers.describe_comment(db.session, comment_id, now())


@blp.post("/comments/<uuid:comment_id>/decisions")
@blp.body(NewCommentDecisionSchema)
@blp.response(200, CommentDecisionSchema)
@blp.problems(404, 409)
@limited("staff")
@staff("comments:moderate")
def decide(body: dict[str, Any], comment_id: uuid.UUID) -> Standing:
    """Decide about a comment, by the version that was read."""
    standing = service.decide(db.writing, comment_id, **body, actor=actor().reference, now=now())
    db.writing.commit()
    ring()
    return standing


def _canonical(article_url: str | None) -> str | None:
    return locate_article(db.session, article_url)[1] if article_url else None
