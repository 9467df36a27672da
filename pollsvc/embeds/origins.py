"""Which pages a form may come from, and which may frame ours: those of the site that the poll or the article is on."""

from __future__ import annotations

import uuid

from flask import request
from sqlalchemy.orm import Session

from pollsvc.articles.models import Site
from pollsvc.articles.service import get_site
from pollsvc.articles.urls import canonical_origin
from pollsvc.web.headers import allow_framing
from pollsvc.web.state import settings


def site_origins(session: Session, site_id: uuid.UUID) -> list[str]:
    """The origins of a site, as browsers write them."""
    return origins_of(get_site(session, site_id))


def origins_of(site: Site) -> list[str]:
    """The same of a site at hand."""
    return [row.origin for row in site.origins]


def admit(origins: list[str]) -> bool:
    """Let these pages frame the answer, and tell whether the request comes from one of them or of ours."""
    allow_framing(origins)
    return is_welcome(request.headers.get("Origin"), settings().public_url, origins)


def is_welcome(origin: str | None, public_url: str, origins: list[str]) -> bool:
    """Whether a form that came with this ``Origin`` may act at once: it is ours, or one of the site's.

    Any page may post a form in a reader's name. One that the browser cannot vouch for (another origin, ``null``,
    none at all) is therefore asked about once more on a page of ours, which nobody else can frame or press.
    """
    # The setting may name the scheme's own port, which browsers leave out.
    return origin in (canonical_origin(public_url), *origins)
