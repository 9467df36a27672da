"""What is done about what leaves."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from pollsvc.errands.errand import Errand
from pollsvc.outbox.fan_out import fan_out, is_fan_out_due


def fan_outs() -> Errand:
    """Write a message for each endpoint that an event is for."""

    def is_due(session: Session, _now: datetime) -> bool:
        return is_fan_out_due(session)

    return Errand("fan_out", is_due, fan_out)
