"""Where comments on an article are shown and how they are taken, read at once: by address, for readers."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast
from urllib.parse import urlsplit

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Integer,
    Select,
    Table,
    Text,
    bindparam,
    select,
)

from pollsvc.articles.discussions import closes_at_of, comments_of
from pollsvc.articles.models import Article, Site, SiteOrigin
from pollsvc.articles.service import no_site, read_address
from pollsvc.articles.urls import ArticleAddress
from pollsvc.errors import Invalid
from pollsvc.given import GivenRows, spaced


@dataclass(frozen=True)
class SiteTerms:
    """What a site says of comments."""

    comments: str
    comments_close_days: int | None


@dataclass(frozen=True)
class ArticleTerms:
    """What an article says of comments."""

    comments: str | None
    comments_close_days: int | None
    published_at: datetime | None
    created_at: datetime


@dataclass(frozen=True)
class Venue:
    """An article as its comments see it.

    :param url: the canonical address.
    :param article_id: None where it has no row yet.
    :param article: None likewise.
    """

    url: str
    site_id: uuid.UUID
    site: SiteTerms
    article_id: uuid.UUID | None
    article: ArticleTerms | None

    def mode(self, now: datetime) -> str:
        """``open``, ``premoderated``, ``closed`` or ``off``."""
        return comments_of(self.site, self.article, now)

    @property
    def closes_at(self) -> datetime | None:
        """When its comments close by themselves; None: never, as far as it is known."""
        return closes_at_of(self.site, self.article) if self.article else None


@dataclass(frozen=True)
class Surroundings:
    """A venue, and what a text on it is looked at by.

    :param locale: the site's language, such as ``pt-BR``.
    :param hosts: the site's own.
    """

    venue: Venue
    locale: str
    hosts: frozenset[str]


# Made once, and of tables: the ORM would cost more than the database.
ARTICLE, SITE, ORIGIN = (cast(Table, model.__table__) for model in (Article, Site, SiteOrigin))
_TERMS = (
    SITE.c.id,
    SITE.c.comments,
    SITE.c.comments_close_days,
    ARTICLE.c.id,
    ARTICLE.c.comments,
    ARTICLE.c.comments_close_days,
    ARTICLE.c.published_at,
    ARTICLE.c.created_at,
)
#: Columns of the venue of an article that is there, for a query of articles and sites.
COLUMNS = (ARTICLE.c.url, *_TERMS)
#: How many they are in a row of :data:`VENUES` or :data:`VENUES_BY_ID`; a query may add others behind them.
WIDTH = len(COLUMNS)

_CANONICAL = ORIGIN.alias("canonical")


def _at(path: ColumnElement[str], origins: FromClause) -> Select[Any]:
    """The venues at a path.

    :param origins: of the sites whose they are.
    """
    url = _CANONICAL.c.origin.concat(path)
    found = (
        origins.join(SITE, SITE.c.id == ORIGIN.c.site_id)
        .join(_CANONICAL, (_CANONICAL.c.site_id == ORIGIN.c.site_id) & (_CANONICAL.c.position == 0))
        .outerjoin(ARTICLE, ARTICLE.c.url == url)
    )
    return select(url.label("url"), *_TERMS).select_from(found)


#: The venue at ``authority`` and ``path``; none where no site owns the host.
VENUES: Select[Any] = (
    _at(bindparam("path", type_=ARTICLE.c.url.type), ORIGIN)
    .where(ORIGIN.c.authority == bindparam("authority"))
    .limit(1)
)
#: The venues of articles that are there, by their ``ids``.
VENUES_BY_ID: Select[Any] = (
    select(*COLUMNS)
    .select_from(ARTICLE.join(SITE, SITE.c.id == ARTICLE.c.site_id))
    .where(ARTICLE.c.id.in_(bindparam("ids", expanding=True)))
)
#: Of the sites that own ``authorities``.
_CANONICAL_ORIGINS: Select[str, str] = (
    select(ORIGIN.c.authority, _CANONICAL.c.origin)
    .join(_CANONICAL, (_CANONICAL.c.site_id == ORIGIN.c.site_id) & (_CANONICAL.c.position == 0))
    .where(ORIGIN.c.authority.in_(bindparam("authorities", expanding=True)))
)
_THEIRS = ORIGIN.alias("theirs")
_ORIGINS = select(spaced(_THEIRS.c.origin)).where(_THEIRS.c.site_id == ORIGIN.c.site_id).scalar_subquery()
_ADDRESSES = GivenRows("address", {"place": Integer(), "authority": Text(), "path": Text()})


def _around(address: FromClause) -> Select[Any]:
    theirs = address.join(ORIGIN, ORIGIN.c.authority == address.c.authority)
    return _at(address.c.path, theirs).add_columns(SITE.c.locale, _ORIGINS, address.c.place)


_SURROUNDINGS = {dialect: _around(_ADDRESSES.source(dialect)) for dialect in ("sqlite", "postgresql")}


def venue_of(row: Sequence[Any]) -> Venue:
    """The venue that a row's first columns hold."""
    url, site_id, mode, days, article_id, *terms = row[:WIDTH]
    return Venue(
        url, site_id, SiteTerms(mode, days), article_id, ArticleTerms(*terms) if article_id else None
    )


def sought(address: ArticleAddress) -> dict[str, str]:
    """What :data:`VENUES` is asked with."""
    return {"authority": address.authority, "path": address.path_and_query}


def find_surroundings(
    connection: Connection, addresses: Sequence[ArticleAddress]
) -> dict[ArticleAddress, Surroundings]:
    """Where texts on articles would be shown, and by what they are looked at; without those whose host no site owns."""
    rows = [{"place": place, **sought(address)} for place, address in enumerate(addresses)]
    given = _ADDRESSES.parameter(connection.dialect, rows)
    found = {}
    for row in connection.execute(_SURROUNDINGS[connection.dialect.name], given):
        locale, origins, place = row[WIDTH:]
        found[addresses[place]] = Surroundings(venue_of(row), locale, hosts_of(origins.split(" ")))
    return found


def locate_articles(connection: Connection, urls: Sequence[str]) -> list[str]:
    """The canonical addresses of articles, in the order of ``urls``; asked for by one question.

    :raises Invalid: if any is no address, or no site owns its host; each such field is named: ``article_url.0``.
    """
    addresses: dict[int, ArticleAddress] = {}
    wrong: dict[int, Invalid] = {}
    for place, url in enumerate(urls):
        try:
            addresses[place] = read_address(url)
        except Invalid as error:
            wrong[place] = error
    asked = {each.authority for each in addresses.values()}
    origins = dict(connection.execute(_CANONICAL_ORIGINS, {"authorities": sorted(asked)}).all())
    wrong |= {place: no_site(each) for place, each in addresses.items() if each.authority not in origins}
    if wrong:
        fields = {f"article_url.{place}": wrong[place].detail for place in sorted(wrong)}
        raise Invalid("Some addresses are of no article here; each is named under errors.", fields=fields)
    return [origins[each.authority] + each.path_and_query for each in addresses.values()]


def hosts_of(origins: Sequence[str]) -> frozenset[str]:
    """The hosts of a site's origins."""
    return frozenset(urlsplit(origin).hostname or "" for origin in origins)


def venues_by_id(connection: Connection, article_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, Venue]:
    """The venues of articles, as they stand now."""
    rows = connection.execute(VENUES_BY_ID, {"ids": article_ids})
    return {venue.article_id: venue for venue in map(venue_of, rows) if venue.article_id}
