"""What is done about comments: checks over HTTP are asked."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from datetime import datetime

import structlog
from sqlalchemy.orm import Session

from pollsvc.comments.asking import Asker, Result
from pollsvc.comments.check_requests import Claimed, claim, count_due
from pollsvc.comments.rejudging import settle_request
from pollsvc.config import Settings
from pollsvc.errands.errand import Outing
from pollsvc.outbox.outgoing import Outgoing

log = structlog.get_logger("pollsvc")


def checks(settings: Settings, open_session: Callable[[], Session]) -> Outing[Claimed, Result]:
    """Ask checks over HTTP about revisions, and let the policy decide anew by what they answer.

    :param open_session: opens a session for a look at the tables.
    """
    from pollsvc.web.metrics import CHECK_VERDICTS  # noqa: PLC0415 (`serve` must prepare them first, and loads this too)

    def take(session: Session, name: str, now: datetime) -> Claimed | None:
        return claim(session, name, uuid.uuid4(), now)

    def settle(session: Session, claimed: Claimed, result: Result, now: datetime) -> str:
        return settle_request(session, claimed, result, now, random.random())  # noqa: S311 (no secret)

    def note(claimed: Claimed, result: Result, outcome: str) -> None:
        CHECK_VERDICTS.labels(claimed.name, outcome).inc()
        log.info(
            "check asked",
            check=claimed.name,
            outcome=outcome,
            attempt=claimed.attempt,
            ms=round(result.milliseconds),
        )

    ask = Asker(open_session, Outgoing(private_hosts=settings.private_hosts))
    return Outing("checks", count_due, take, ask, settle, note)
