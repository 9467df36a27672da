"""Whether an article takes comments, and how: what it says itself, else what its site says, until its days are over."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol

from sqlalchemy.orm import Session

from pollsvc.articles.models import Article
from pollsvc.articles.service import ensure_article
from pollsvc.staff.service import record


class SiteTerms(Protocol):
    """What a site says of its articles' comments."""

    @property
    def comments(self) -> str: ...
    @property
    def comments_close_days(self) -> int | None: ...


class ArticleTerms(Protocol):
    """What an article says of its own."""

    @property
    def comments(self) -> str | None: ...
    @property
    def comments_close_days(self) -> int | None: ...
    @property
    def published_at(self) -> datetime | None: ...
    @property
    def created_at(self) -> datetime: ...


def comments_of(site: SiteTerms, article: ArticleTerms | None, now: datetime) -> str:
    """``open``, ``premoderated``, ``closed`` or ``off``.

    :param article: None where it has no row yet; then the site decides.
    """
    mode = (article.comments if article else None) or site.comments
    if mode in ("closed", "off") or article is None:
        return mode
    closes_at = closes_at_of(site, article)
    return "closed" if closes_at is not None and closes_at <= now else mode


def closes_at_of(site: SiteTerms, article: ArticleTerms) -> datetime | None:
    """When an article's comments close by themselves; None: never."""
    days = article.comments_close_days or site.comments_close_days
    try:
        return (article.published_at or article.created_at) + timedelta(days=days) if days else None
    except OverflowError:
        return None  # past the last year that there is


def edit_article(
    session: Session, url: str, changes: Mapping[str, Any], *, actor: str, now: datetime
) -> Article:
    """Change how an article takes comments. What is so already changes nothing.

    :param changes: ``comments``, ``comments_close_days``, ``published_at``; None gives a choice back to the site.
    :raises Invalid: if no site owns the article's host; the field is ``article_url``.
    """
    article = ensure_article(session, url, now, by_reader=False)
    before = {name: getattr(article, name) for name in changes}
    if before == dict(changes):
        return article
    for name, value in changes.items():
        setattr(article, name, value)
    detail = {"before": _plain(before), "after": _plain(changes)}
    record(
        session, actor=actor, action="article.edited", subject=("article", article.id), now=now, detail=detail
    )
    return article


def _plain(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else value for name, value in facts.items()
    }
