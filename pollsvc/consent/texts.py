"""Texts are published here, each version once and for good."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from pollsvc.articles.models import Site
from pollsvc.articles.service import lock_site
from pollsvc.consent.models import ConsentText, Mode
from pollsvc.consent.wording import Broken, Wording, broken_rules
from pollsvc.errors import Invalid, NotFound
from pollsvc.staff.service import record

NEWSLETTER = "newsletter"


class ConsentTextNotFound(NotFound):
    """No consent text has this id."""

    code = "consent_text_not_found"
    detail = "There is no consent text with this id."


class TextUnfit(Invalid):
    """What the text says cannot make a consent; each field names its rule."""

    code = "consent_text_unfit"


def publish_text(
    session: Session,
    *,
    site_id: uuid.UUID,
    body: str,
    actor: str,
    now: datetime,
    purpose: str = NEWSLETTER,
    mode: str | None = None,
    locale: str | None = None,
    is_material: bool = False,
    default_checked: bool = False,
    is_required: bool = False,
    **facts: str | None,
) -> ConsentText:
    """Publish the next version of a site's text. Earlier versions stay as they were: they are what was read.

    :param mode: the site's own where left out; see :class:`~pollsvc.consent.models.Mode`.
    :param is_material: whether it asks for something else than before; then those who agreed are asked again.
    :param default_checked: refused when true, and there so that the refusal can name its rule.
    :param is_required: likewise: whether the vote hangs on it.
    :param facts: ``privacy_url`` and ``terms_url``, where they are not the site's own (None for no link);
        ``privacy_version`` and ``terms_version``; ``controller``, the site's name where left out; ``contact``; and
        ``withdrawal``, the part of the body that says how to leave.
    :raises SiteNotFound: if no site has this id.
    :raises TextUnfit: if the text breaks a rule of :mod:`pollsvc.consent.wording`, or the site has no login for its mode.
    """
    # Publishers wait for each other here, so that each finds the number before its own.
    site = lock_site(session, site_id)
    controller = facts["controller"] = facts.get("controller") or site.name
    mode, locale = mode or site.consent_mode, locale or site.locale
    wording = Wording(
        body=body,
        purpose=purpose,
        controller=controller,
        withdrawal=facts.get("withdrawal"),
        mode=mode,
        locale=locale,
        is_preticked=default_checked,
        is_required=is_required,
    )
    _refuse([*broken_rules(wording), *_broken_mode(site, mode)])
    return _publish(
        session,
        site,
        purpose=purpose,
        mode=mode,
        locale=locale,
        body=body,
        is_material=is_material,
        facts=facts,
        actor=actor,
        now=now,
    )


def _broken_mode(site: Site, mode: str) -> Iterator[Broken]:
    if mode == Mode.SOFT_OPT_IN and site.login_key is None:
        yield Broken(
            "no_login",
            "mode",
            "Only a token of the publisher's login shows that an address is an account's own: give the site its login_key "
            "first (ePrivacy Art. 13(2)).",
        )


def _refuse(broken: Sequence[Broken]) -> None:
    fields: dict[str, str] = {}
    for each in broken:
        fields[each.field] = " ".join(filter(None, (fields.get(each.field), f"{each.rule}: {each.sentence}")))
    if fields:
        raise TextUnfit(" ".join(each.sentence for each in broken), fields=fields)


def _publish(
    session: Session,
    site: Site,
    *,
    purpose: str,
    mode: str,
    locale: str,
    body: str,
    is_material: bool,
    facts: Mapping[str, str | None],
    actor: str,
    now: datetime,
) -> ConsentText:
    shown: dict[str, Any] = {
        "privacy_url": site.privacy_url,
        "terms_url": site.terms_url,
        "privacy_version": None,
        "terms_version": None,
        "contact": None,
        "withdrawal": None,
    } | dict(facts)
    latest = select(func.max(ConsentText.version)).where(
        ConsentText.site_id == site.id, ConsentText.purpose == purpose
    )
    versions = (shown["privacy_version"], shown["terms_version"])
    text = ConsentText(
        site_id=site.id,
        purpose=purpose,
        version=(session.scalar(latest) or 0) + 1,
        mode=mode,
        locale=locale,
        is_material=is_material,
        body=body,
        body_hash=text_hash(body, shown["privacy_url"], shown["terms_url"], versions),
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
        "mode": mode,
        "is_material": is_material,
        "hash": text.body_hash.hex(),
    }
    subject = ("consent_text", text.id)
    record(session, actor=actor, action="consent_text.published", subject=subject, now=now, detail=detail)
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
    # Past the rules, which would read the site's name as part of the sentence: it may be "Terms and Conditions Weekly".
    return found or _publish(
        session,
        site,
        purpose=NEWSLETTER,
        mode=site.consent_mode,
        locale="en",
        body=(
            f"Yes, send me the newsletter of {site.name} by e-mail. It is free of charge, and I may unsubscribe at "
            f"any time with the link in every issue."
        ),
        is_material=False,
        facts={"controller": site.name},
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


def who_asks(session: Session, text: ConsentText) -> str:
    """Whom a text asks for: its controller, or its site where the first release named none."""
    return text.controller or session.get_one(Site, text.site_id).name


def text_hash(
    body: str,
    privacy_url: str | None,
    terms_url: str | None,
    versions: tuple[str | None, str | None] = (None, None),
) -> bytes:
    """SHA-256 of a text as it was shown: body and both links, each on lines of its own.

    Where the policies' versions are named, they follow in the same way.
    """
    parts = [body, privacy_url or "", terms_url or ""]
    if any(versions):
        parts += [version or "" for version in versions]
    return hashlib.sha256("\n\n".join(parts).encode()).digest()
