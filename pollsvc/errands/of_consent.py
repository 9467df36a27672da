"""What is done about consents: sign-ups, clocks, seals."""

from __future__ import annotations

import random
import uuid
from datetime import datetime

import structlog
from sqlalchemy.orm import Session

from pollsvc.config import Settings
from pollsvc.consent import expiry
from pollsvc.consent.adoption import adopt
from pollsvc.consent.chain import has_unsealed, seal_events
from pollsvc.consent.links import Links
from pollsvc.consent.models import SignUp
from pollsvc.consent.renewals import ask_anew, changed_texts, is_anybody_to_ask
from pollsvc.consent.signing_up import Desk, due_sign_ups, process_sign_up
from pollsvc.errands.errand import HOUR, Errand
from pollsvc.outbox.mail import remove_files

log = structlog.get_logger("pollsvc")


def sign_ups(desk: Desk) -> Errand:
    """Decide what readers signed up for. One at a time, so that each is decided alone."""

    def is_due(session: Session, now: datetime) -> bool:
        return session.scalar(due_sign_ups(now).with_only_columns(SignUp.id).limit(1)) is not None

    def act(session: Session, now: datetime) -> bool:
        # Any of the first, so that several workers seldom meet.
        waiting = session.scalars(due_sign_ups(now).with_only_columns(SignUp.id).limit(16)).all()
        if not waiting:
            return False
        chosen = random.choice(waiting)  # noqa: S311 (no secret)
        outcome = process_sign_up(session, desk, chosen, now)
        if outcome:
            log.info("sign-up decided", outcome=outcome)
        return True

    return Errand("sign_ups", is_due, act)


def unconfirmed_sign_ups(settings: Settings) -> Errand:
    """Forget what was not confirmed in time, with the mails about it."""

    def is_due(session: Session, now: datetime) -> bool:
        return session.scalars(expiry.unconfirmed(now).limit(1)).first() is not None

    def act(session: Session, now: datetime) -> bool:
        mails = expiry.expire_unconfirmed(session, now)
        # Before the commit: if we die between the two, the next step removes them once more, rather than nobody.
        remove_files(settings, list(mails or ()))
        return mails is not None

    return Errand("unconfirmed_sign_ups", is_due, act)


def worn_links() -> Errand:
    """Delete the links that work no more."""

    def is_due(session: Session, now: datetime) -> bool:
        return session.scalars(expiry.worn_links(now).limit(1)).first() is not None

    def act(session: Session, now: datetime) -> bool:
        return expiry.clear_link(session, now)

    return Errand("worn_links", is_due, act)


def unanswered_renewals(links: Links) -> Errand:
    """End consents that were asked to be renewed, and were not."""

    def is_due(session: Session, now: datetime) -> bool:
        return session.scalars(expiry.unanswered(now).limit(1)).first() is not None

    def act(session: Session, now: datetime) -> bool:
        return expiry.expire_unanswered(session, links, now) > 0

    return Errand("unanswered_renewals", is_due, act)


def renewals(settings: Settings, links: Links) -> Errand:
    """Ask those anew whose text changed in substance; some whenever the worker looks."""
    # Finding that nobody is left to ask reads every consent of the site: not done again at each look.
    asked: dict[tuple[uuid.UUID, ...], datetime] = {}
    passed: dict[uuid.UUID, uuid.UUID] = {}

    def is_due(session: Session, now: datetime) -> bool:
        changed = tuple(text.id for text, _ in changed_texts(session))
        if not changed or asked.get(changed, now - HOUR) > now - HOUR:
            return False
        if is_anybody_to_ask(session):
            return True
        asked.clear()
        asked[changed] = now
        return False

    def act(session: Session, now: datetime) -> bool:
        before = dict(passed)
        sent = ask_anew(session, links, days=settings.renewal_days, now=now, passed=passed)
        log.info("renewals written", count=sent)
        if passed and passed == before and not sent:
            # Only those are left whose address no key opens: they are looked at again later.
            passed.clear()
            asked.clear()
            asked[tuple(text.id for text, _ in changed_texts(session))] = now
        return False

    return Errand("renewals", is_due, act)


def seals() -> Errand:
    """Seal what happened to consents. Once an hour it looks for what came very late, too."""
    looked: list[datetime] = []

    def is_thorough(now: datetime) -> bool:
        return not looked or looked[-1] <= now - HOUR

    def is_due(session: Session, now: datetime) -> bool:
        if has_unsealed(session, now, is_thorough=is_thorough(now)):
            return True
        if is_thorough(now):
            looked[:] = [now]
        return False

    def act(session: Session, now: datetime) -> bool:
        events = seal_events(session, now, is_thorough=is_thorough(now))
        for event in events:
            adopt(session, event, now)
        return len(events) > 0

    return Errand("seals", is_due, act)
