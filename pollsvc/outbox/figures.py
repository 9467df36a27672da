"""What the outbox holds, as metrics. Read from the table when they are asked for: a worker that is gone shows here too."""

from __future__ import annotations

from datetime import datetime
from math import nan

from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from pollsvc.outbox.delivery import first_due
from pollsvc.outbox.models import OutboxMessage
from pollsvc.web.metrics import MESSAGES, OVERDUE

CHANNELS = ("mail", "webhook")
STATES = ("pending", "dead")


def show_outbox(session: Session, now: datetime) -> None:
    """Set the gauges. Where the database does not answer they are no numbers, and the other metrics are shown all the same."""
    held: dict[tuple[str, str], float] = {}
    overdue: dict[str, float] = {}
    unknown = 0.0
    try:
        counted = (
            select(OutboxMessage.channel, OutboxMessage.state, func.count())
            .where(OutboxMessage.state.in_(STATES))
            .group_by(OutboxMessage.channel, OutboxMessage.state)
        )
        held = {(channel, state): n for channel, state, n in session.execute(counted)}
        for channel in CHANNELS:
            due = first_due(session, now, channel)
            overdue[channel] = (now - due).total_seconds() if due else 0.0
    except SQLAlchemyError:
        session.rollback()
        held, overdue, unknown = {}, {}, nan
    for channel in CHANNELS:
        OVERDUE.labels(channel).set(overdue.get(channel, unknown))
        for state in STATES:
            MESSAGES.labels(channel, state).set(held.get((channel, state), unknown))
