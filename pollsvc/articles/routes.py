"""Sites over HTTP."""

from __future__ import annotations

import uuid
from typing import Any

from pollsvc.articles import service
from pollsvc.articles.models import Site
from pollsvc.articles.schemas import EditSiteSchema, NewSiteSchema, SiteSchema
from pollsvc.db import db
from pollsvc.web.api import JSONBlueprint
from pollsvc.web.guards import actor, staff
from pollsvc.web.limits import limited
from pollsvc.web.paging import Page, PageQuerySchema, page_schema, read_page
from pollsvc.web.state import keys, now

blp = JSONBlueprint("articles", __name__, url_prefix="/v1", description="Sites and their origins.")


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
