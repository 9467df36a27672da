"""Sites are kept here, and articles found by their canonical address."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, literal, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import flag_modified
from uuid_utils.compat import uuid7

from pollsvc.articles.models import Article, ArticleQuota, Site, SiteOrigin
from pollsvc.articles.urls import (
    ArticleAddress,
    InvalidUrl,
    authority_of,
    canonical_origin,
    parse_article_url,
)
from pollsvc.db import insert_into
from pollsvc.errors import Conflict, Invalid, NotFound, PollsvcError, TooMany, one_field
from pollsvc.staff.service import record
from pollsvc.unreadable import unreadable

#: Articles that readers' submissions may bring to a site in a day: a bound on what a script can fill the table with.
READERS_ARTICLES_A_DAY = 1_000


class SiteNotFound(NotFound):
    """No site has this id."""

    code = "site_not_found"
    detail = "There is no site with this id."


class OriginTaken(Conflict):
    """An origin leads to one site only."""

    code = "origin_taken"
    detail = "One of these origins belongs to another site."


class NameTaken(Conflict):
    """A site of this name exists."""

    code = "site_name_taken"
    detail = "A site of this name exists."


class TooManyArticles(TooMany):
    """Readers' submissions brought more new articles to a site than one day admits."""

    code = "too_many_articles"
    detail = "This article is not known yet, and no more new ones are taken today."
    retry_after = 3600


def create_site(
    session: Session, *, name: str, origins: Sequence[str], actor: str, now: datetime, **links: str | None
) -> Site:
    """Make a site.

    :param origins: the first is canonical, the others are aliases.
    :param links: ``privacy_url``, ``terms_url``, ``standards_url``, ``desk_email``, ``locale``, ``consent_mode``,
        ``login_key``, ``comments``, ``comments_close_days``.
    :raises Invalid: if an origin is none.
    :raises NameTaken, OriginTaken: if the name or an origin belongs to another site.
    """
    defaults = {"locale": "en", "consent_mode": "explicit"}
    site = Site(name=name, created_at=now, **(defaults | links))
    _refuse_accounts_without_login(site, has_login=site.login_key is not None)
    session.add(site)
    _flush(session, NameTaken(fields={"name": NameTaken.detail}))
    _set_origins(session, site, origins)
    record(
        session, actor=actor, action="site.created", subject=("site", site.id), now=now, detail=_facts(site)
    )
    return site


def edit_site(
    session: Session, site_id: uuid.UUID, changes: Mapping[str, Any], *, actor: str, now: datetime
) -> Site:
    """Change a site's name, links or origins; its articles follow it to a new canonical origin.

    :raises SiteNotFound: if there is none with this id.
    :raises Invalid, NameTaken, OriginTaken: as :func:`create_site`.
    """
    site = lock_site(session, site_id)
    sealed = unreadable(session, site, "desk_email", "login_key")
    before, desk_before, login_before = _facts(site), site.desk_email, site.login_key
    for name in changes.keys() - {"origins"}:
        setattr(site, name, changes[name])
    for name in sealed & changes.keys():
        # It reads as None, so that None would be taken for no change.
        flag_modified(site, name)
    _refuse_accounts_without_login(
        site, has_login=site.login_key is not None or "login_key" in sealed - changes.keys()
    )
    _flush(session, NameTaken(fields={"name": NameTaken.detail}))
    if "origins" in changes:
        left = site.canonical_origin
        _set_origins(session, site, changes["origins"])
        if left != site.canonical_origin:
            _move_articles(session, site, left)
    after = _facts(site)
    unseen = {
        "is_desk_email_changed": site.desk_email != desk_before or "desk_email" in sealed & changes.keys(),
        "is_login_key_changed": site.login_key != login_before or "login_key" in sealed & changes.keys(),
    }
    if after != before or any(unseen.values()):
        detail = {"before": before, "after": after, **unseen}
        record(session, actor=actor, action="site.edited", subject=("site", site.id), now=now, detail=detail)
    return site


def get_site(session: Session, site_id: uuid.UUID) -> Site:
    """The site with this id.

    :raises SiteNotFound: if there is none.
    """
    site = session.get(Site, site_id)
    if site is None:
        raise SiteNotFound
    return site


def lock_site(session: Session, site_id: uuid.UUID) -> Site:
    """The site with this id, which nobody else edits or gives a text until the transaction ends.

    :raises SiteNotFound: if there is none.
    """
    # KEY SHARE is let pass: what refers to the site, such as a reader's first submission, need not wait.
    site = session.get(Site, site_id, populate_existing=True, with_for_update={"key_share": True})
    if site is None:
        raise SiteNotFound
    return site


def list_sites() -> Select[Site]:
    """All sites."""
    return select(Site)


def is_known_origin(session: Session, origin: str) -> bool:
    """Whether an origin, exactly so, belongs to a site."""
    return session.scalar(select(SiteOrigin.origin).where(SiteOrigin.origin == origin)) is not None


def locate_article(session: Session, url: str) -> tuple[Site, str]:
    """The site that owns an address, and the canonical address.

    :raises Invalid: if the address is none, or no site owns its host; the field is ``article_url``.
    """
    address = read_address(url)
    owner = select(Site).join(SiteOrigin).where(SiteOrigin.authority == address.authority).limit(1)
    site = session.scalar(owner)
    if site is None:
        raise no_site(address)
    return site, site.canonical_origin + address.path_and_query


def read_address(url: str) -> ArticleAddress:
    """The parts of an article's address that it is found by.

    :raises Invalid: if it is none; the field is ``article_url``.
    """
    try:
        return parse_article_url(url)
    except InvalidUrl as error:
        raise one_field("article_url", str(error)) from error


def no_site(address: ArticleAddress) -> Invalid:
    """The refusal of an address that no site owns."""
    return one_field("article_url", f"No site here owns {address.authority}.")


def find_article(session: Session, url: str) -> Article | None:
    """The article at an address, if it has a row. Creates nothing.

    :raises Invalid: as :func:`locate_article`.
    """
    _, canonical = locate_article(session, url)
    return session.scalar(select(Article).where(Article.url == canonical))


def ensure_article(session: Session, url: str, now: datetime, *, by_reader: bool) -> Article:
    """The article at an address; its row is made by the first who needs it.

    :raises Invalid: as :func:`locate_article`.
    :raises TooManyArticles: if readers brought too many new ones to the site today.
    """
    site, canonical = locate_article(session, url)
    known = select(Article).where(Article.url == canonical)
    article = session.scalar(known)
    if article is not None:
        return article
    # Two first submissions may meet here: the constraint decides, and both read the one row.
    values = {"id": uuid7(), "site_id": site.id, "url": canonical, "created_at": now}
    row = insert_into(session, Article).values(values).on_conflict_do_nothing(index_elements=["url"])
    is_made = session.scalar(row.returning(Article.id)) is not None
    if is_made and by_reader:
        _spend_quota(session, site, now)
    return session.scalars(known).one()


def _spend_quota(session: Session, site: Site, now: datetime) -> None:
    fresh = insert_into(session, ArticleQuota).values(site_id=site.id, day=now.date(), n=1)
    counted = session.scalar(
        fresh.on_conflict_do_update(
            index_elements=["site_id", "day"],
            set_={"n": ArticleQuota.n + 1},
            where=ArticleQuota.n < READERS_ARTICLES_A_DAY,
        ).returning(ArticleQuota.n)
    )
    if counted is None:
        raise TooManyArticles


def _set_origins(session: Session, site: Site, origins: Sequence[str]) -> None:
    wanted: dict[str, str] = {}
    for index, given in enumerate(origins):
        try:
            origin = canonical_origin(given)
        except InvalidUrl as error:
            raise one_field(f"origins.{index}", str(error)) from error
        wanted[origin] = authority_of(origin)
    others = select(SiteOrigin).where(
        SiteOrigin.authority.in_(wanted.values()), SiteOrigin.site_id != site.id
    )
    if taken := session.scalars(others).first():
        sentence = f"{taken.origin} belongs to another site."
        raise OriginTaken(sentence, fields={"origins": sentence})
    site.origins.clear()
    # The old rows leave first: a kept origin would meet its own old row.
    session.flush()
    site.origins.extend(
        SiteOrigin(origin=origin, authority=authority, position=position)
        for position, (origin, authority) in enumerate(wanted.items())
    )
    _flush(session, OriginTaken(fields={"origins": OriginTaken.detail}))


def _move_articles(session: Session, site: Site, left: str) -> None:
    """Lead the site's articles from the origin it left to its new canonical one, by which they are found."""
    moved = literal(site.canonical_origin).concat(func.substr(Article.url, len(left) + 1))
    session.execute(
        update(Article)
        .where(Article.site_id == site.id)
        .values(url=moved)
        .execution_options(synchronize_session=False)
    )


def _flush(session: Session, refusal: PollsvcError) -> None:
    """Flush, and say kindly what the database's constraint refuses."""
    try:
        session.flush()
    except IntegrityError as error:
        raise refusal from error


def _refuse_accounts_without_login(site: Site, *, has_login: bool) -> None:
    if site.consent_mode == "soft_opt_in" and not has_login:
        raise one_field(
            "consent_mode", "soft_opt_in is for accounts: it needs the login_key of the site's login."
        )


def _facts(site: Site) -> dict[str, Any]:
    names = (
        *("name", "privacy_url", "terms_url", "standards_url", "locale", "consent_mode"),
        *("comments", "comments_close_days"),
    )
    # The desk's address is a person's or a team's, and the login's key a secret: the audit log says only whether there is one.
    return {
        **{name: getattr(site, name) for name in names},
        "has_desk_email": site.desk_email is not None,
        "has_login_key": site.login_key is not None,
        "origins": [row.origin for row in site.origins],
    }
