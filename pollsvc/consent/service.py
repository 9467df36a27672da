"""Texts are published here, and each agreement is recorded with what was shown, when and where."""

from __future__ import annotations

import hashlib
import uuid
from datetime import datetime

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session, selectinload

from pollsvc.articles.models import Site
from pollsvc.articles.service import ensure_article, lock_site
from pollsvc.articles.urls import InvalidUrl, canonical_origin
from pollsvc.consent.models import ConsentEvent, ConsentText, Subscriber
from pollsvc.db import insert_into
from pollsvc.errors import NotFound, one_field
from pollsvc.keys import Keys
from pollsvc.staff.service import record

NEWSLETTER = "newsletter"


class ConsentTextNotFound(NotFound):
    """No consent text has this id."""

    code = "consent_text_not_found"
    detail = "There is no consent text with this id."


def publish_text(
    session: Session,
    *,
    site_id: uuid.UUID,
    body: str,
    actor: str,
    now: datetime,
    purpose: str = NEWSLETTER,
    **links: str | None,
) -> ConsentText:
    """Publish the next version of a site's text. Earlier versions stay as they were: they are what was read.

    :param links: ``privacy_url`` and ``terms_url``, where they are not the site's own; None for no link.
    :raises SiteNotFound: if no site has this id.
    """
    # Publishers wait for each other here, so that each finds the number before its own.
    site = lock_site(session, site_id)
    shown = {"privacy_url": site.privacy_url, "terms_url": site.terms_url} | links
    latest = select(func.max(ConsentText.version)).where(
        ConsentText.site_id == site.id, ConsentText.purpose == purpose
    )
    text = ConsentText(
        site_id=site.id,
        purpose=purpose,
        version=(session.scalar(latest) or 0) + 1,
        body=body,
        body_hash=text_hash(body, **shown),
        created_at=now,
        created_by=actor,
        **shown,
    )
    session.add(text)
    session.flush()
    detail = {
        "site_id": str(site.id),
        "purpose": purpose,
        "version": text.version,
        "hash": text.body_hash.hex(),
    }
    record(
        session,
        actor=actor,
        action="consent_text.published",
        subject=("consent_text", text.id),
        now=now,
        detail=detail,
    )
    return text


def newsletter_text(session: Session, site: Site, *, actor: str, now: datetime) -> ConsentText:
    """The site's newsletter text in force; one made from its name and links where it has none yet."""
    newest = (
        list_texts(site.id)
        .where(ConsentText.purpose == NEWSLETTER)
        .order_by(ConsentText.version.desc())
        .limit(1)
    )
    found = session.scalar(newest)
    if found is None:
        # Two first polls of a site may meet here: the later one waits, and finds the text of the other.
        lock_site(session, site.id)
        found = session.scalar(newest)
    return found or publish_text(
        session,
        site_id=site.id,
        body=(
            f"Yes, send me the newsletter of {site.name} by e-mail. It is free of charge, and I may unsubscribe at "
            f"any time with the link in every issue."
        ),
        actor=actor,
        now=now,
    )


def get_text(session: Session, text_id: uuid.UUID) -> ConsentText:
    """The text with this id, superseded or not.

    :raises ConsentTextNotFound: if there is none.
    """
    text = session.get(ConsentText, text_id)
    if text is None:
        raise ConsentTextNotFound
    return text


def list_texts(site_id: uuid.UUID | None = None) -> Select[ConsentText]:
    """All versions of all texts, or those of a site."""
    texts = select(ConsentText)
    return texts.where(ConsentText.site_id == site_id) if site_id else texts


def record_consent(
    session: Session,
    keys: Keys,
    *,
    text_id: uuid.UUID,
    email: str,
    article_url: str,
    origin: str | None,
    is_suspect: bool,
    now: datetime,
    method: str = "checkbox",
) -> ConsentEvent:
    """Append the event that somebody ticked the box: the text's hash, time, article and origin.

    The same statements run whether the address is known or not, so that neither answer nor time tells.

    :param origin: the ``Origin`` header of the request; one that is no origin is kept as none.
    :raises Invalid: if there is no such text, or the article belongs to no site or not to the text's site.
    """
    text = session.get(ConsentText, text_id)
    if text is None:
        raise one_field("text_id", "There is no consent text with this id.")
    article = ensure_article(session, article_url, now, by_reader=True)
    if article.site_id != text.site_id:
        raise one_field("text_id", "This text belongs to another site than the article.")
    event = ConsentEvent(
        kind="requested",
        subscriber_id=_ensure_subscriber(session, keys, email),
        text_id=text.id,
        text_hash=text.body_hash,
        article_id=article.id,
        origin=_sound_origin(origin),
        method=method,
        is_suspect=is_suspect,
        occurred_at=now,
    )
    session.add(event)
    session.flush()
    return event


def find_subscriber(session: Session, keys: Keys, email: str) -> uuid.UUID | None:
    """Who has this address, if anybody consented with it."""
    return session.scalar(select(Subscriber.id).where(Subscriber.email_hash == email_hash(keys, email)))


def search_consents(
    session: Session, keys: Keys, email: str, *, actor: str, now: datetime
) -> Select[ConsentEvent]:
    """The consents given with an address, with what was shown. That somebody looked leaves an audit row."""
    subscriber_id = find_subscriber(session, keys, email)
    # Whom an unknown address belongs to is not ours to write down: the row then names nobody.
    subject = ("subscriber", subscriber_id or "")
    record(session, actor=actor, action="consents.searched", subject=subject, now=now)
    return (
        select(ConsentEvent)
        .where(ConsentEvent.subscriber_id == subscriber_id)
        .options(selectinload(ConsentEvent.text), selectinload(ConsentEvent.article))
    )


def email_hash(keys: Keys, email: str) -> bytes:
    """The look-up hash of an address; its spelling in capitals or not is one and the same person's."""
    # Not casefold: it makes ss of ß, and straße.example is not strasse.example.
    return keys.digest("email", email.lower().encode())


def text_hash(body: str, privacy_url: str | None, terms_url: str | None) -> bytes:
    """SHA-256 of a text as it was shown: body and both links, each on lines of its own."""
    return hashlib.sha256("\n\n".join((body, privacy_url or "", terms_url or "")).encode()).digest()


def _ensure_subscriber(session: Session, keys: Keys, email: str) -> uuid.UUID:
    hashed = email_hash(keys, email)
    row = insert_into(session, Subscriber).values(id=uuid.uuid4(), email=email, email_hash=hashed)
    session.execute(row.on_conflict_do_nothing(index_elements=["email_hash"]))
    return session.scalars(select(Subscriber.id).where(Subscriber.email_hash == hashed)).one()


def _sound_origin(header: str | None) -> str | None:
    """The origin in a header that anybody may fill with anything."""
    try:
        return canonical_origin(header or "")
    except InvalidUrl:
        return None
