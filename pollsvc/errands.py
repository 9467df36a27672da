"""What the worker does whenever it looks: each feature's errands, and the ways that messages leave."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy.orm import Session

from pollsvc.config import Settings
from pollsvc.consent.links import Links
from pollsvc.consent.models import SignUp
from pollsvc.consent.signing_up import Desk, due_sign_ups, process_sign_up
from pollsvc.keys import Keys
from pollsvc.outbox.delivery import Transport
from pollsvc.outbox.mail import mail_host, mail_transport

log = structlog.get_logger("pollsvc")


@dataclass(frozen=True)
class Errand:
    """Something to do in the database, in small steps.

    :param is_due: looks whether there is anything, without the write lock that votes wait for on SQLite.
    :param act: does one step in a session, and tells whether there may be more; the worker commits it.
    """

    name: str
    is_due: Callable[[Session, datetime], bool]
    act: Callable[[Session, datetime], bool]


def all_transports(settings: Settings) -> Mapping[str, Transport]:
    """How messages leave, by channel."""
    return {"mail": mail_transport(settings)}


def all_errands(settings: Settings, keys: Keys) -> tuple[Errand, ...]:
    """Everything there is to do, in this order."""
    links = Links(settings.public_url, mail_host(settings), keys)
    return (sign_ups(Desk(links, settings.disposable_domains)),)


def sign_ups(desk: Desk) -> Errand:
    """Decide what readers signed up for. One at a time, so that each is decided alone."""

    def is_due(session: Session, now: datetime) -> bool:
        return session.scalars(due_sign_ups(now).limit(1)).first() is not None

    def act(session: Session, now: datetime) -> bool:
        # Any of the first, so that several workers seldom meet.
        waiting = session.scalars(due_sign_ups(now).with_only_columns(SignUp.id).limit(16)).all()
        if not waiting:
            return False
        outcome = process_sign_up(session, desk, random.choice(waiting), now)  # noqa: S311 (no secret)
        if outcome:
            log.info("sign-up decided", outcome=outcome)
        return True

    return Errand("sign_ups", is_due, act)
