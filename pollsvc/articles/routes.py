"""Sites over HTTP."""

from __future__ import annotations

import uuid
from typing import Any

from pollsvc.articles import discussions, service
from pollsvc.articles.models import Article, Site
from pollsvc.articles.schemas import (
    ArticleSchema,
    EditArticleSchema,
    EditSiteSchema,
    NewSiteSchema,
    OneArticleQuerySchema,
    SiteSchema,
)
from pollsvc.db import db
from pollsvc.web.api import JSONBlueprint
from pollsvc.web.guards import actor, staff
from pollsvc.web.limits import limited
from pollsvc.web.paging import Page, PageQuerySchema, page_schema, read_page
from pollsvc.web.state import keys, now

blp = JSONBlueprint("articles", __name__, url_prefix="/v1", description="Sites, their origins, and articles.")


@blp.post("/sites")
@blp.body(NewSiteSchema)
@blp.response(201, SiteSchema)
@blp.problems(409)
@limited("staff")
@staff("admin")
def create_site(body: dict[str, Any]) -> Site:
    """Make a site; its first origin is the canonical one."""
    site = service.create_site(db.writing, **body, actor=actor().reference, now=now())
    db.writing.commit()
    return site


@blp.get("/sites")
@blp.query(PageQuerySchema)
@blp.response(200, page_schema(SiteSchema))
@limited("staff")
@staff("admin")
def list_sites(query: dict[str, Any]) -> Page[Site]:
    """Every site."""
    return read_page(db.session, service.list_sites(), Site.id, query, keys())


@blp.get("/sites/<uuid:site_id>")
@blp.response(200, SiteSchema)
@blp.problems(404)
@limited("staff")
@staff("admin")
def show_site(site_id: uuid.UUID) -> Site:
    """One site."""
    return service.get_site(db.session, site_id)


@blp.patch("/sites/<uuid:site_id>")
@blp.body(EditSiteSchema)
@blp.response(200, SiteSchema)
@blp.problems(404, 409)
@limited("staff")
@staff("admin")
def edit_site(body: dict[str, Any], site_id: uuid.UUID) -> Site:
    """Change a site's name, links or origins."""
    site = service.edit_site(db.writing, site_id, body, actor=actor().reference, now=now())
    db.writing.commit()
    return site


@blp.patch("/articles")
@blp.query(OneArticleQuerySchema)
@blp.body(EditArticleSchema)
@blp.response(200, ArticleSchema)
@limited("staff")
@staff("comments:moderate")
def edit_article(query: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    """Change how an article takes comments."""
    article = discussions.edit_article(
        db.writing, query["article_url"], body, actor=actor().reference, now=now()
    )
    db.writing.commit()
    return _described(article)


def _described(article: Article) -> dict[str, Any]:
    names = ("id", "url", "comments", "comments_close_days", "published_at", "created_at")
    return {
        **{name: getattr(article, name) for name in names},
        "comments_now": discussions.comments_of(article.site, article, now()),
        "comments_close_at": discussions.closes_at_of(article.site, article),
    }
