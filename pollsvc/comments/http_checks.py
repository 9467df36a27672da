"""The newsroom makes, changes and removes checks that are asked over HTTP."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from pollsvc.comments.policy_models import HttpCheck
from pollsvc.errors import Conflict, NotFound, StaleVersion
from pollsvc.outbox.hooks import check_url, host_of, new_secret, turn_secret
from pollsvc.outbox.outgoing import Outgoing
from pollsvc.staff.service import record

#: Each is asked about every comment, by threads of its own.
MOST_CHECKS = 10


class CheckNotFound(NotFound):
    """No check over HTTP has this id."""

    code = "check_not_found"
    detail = "There is no check with this id."


class CheckNameTaken(Conflict):
    """Policies and verdicts tell checks by their names."""

    code = "check_name_taken"
    detail = "There is a check of this name already."


class TooManyChecks(Conflict):
    """Each check is asked about every comment."""

    code = "too_many_checks"
    detail = f"There are {MOST_CHECKS} checks already. Remove one first."


def make_check(
    session: Session, outgoing: Outgoing, *, name: str, url: str, timeout: int, actor: str, now: datetime
) -> HttpCheck:
    """Make a check, which is asked from the next comment on; its secret is shown once, to whoever made it.

    :param timeout: seconds for one answer.
    :raises Invalid: if nothing would be sent to this address.
    :raises CheckNameTaken, TooManyChecks: if there cannot be another one.
    """
    check_url(outgoing, url)
    if session.scalars(select(func.count()).select_from(HttpCheck)).one() >= MOST_CHECKS:
        raise TooManyChecks
    check = HttpCheck(
        name=name,
        url=url,
        secret=new_secret(),
        timeout=timeout,
        is_active=True,
        version=1,
        created_at=now,
    )
    session.add(check)
    try:
        session.flush()
    except IntegrityError as error:
        # The one thing that only one may have.
        raise CheckNameTaken from error
    _note(session, check, "check.created", actor=actor, now=now, detail=_facts(check))
    return check


def list_checks() -> Select[HttpCheck]:
    """Every check over HTTP, switched on or off."""
    return select(HttpCheck)


def get_check(session: Session, check_id: uuid.UUID, *, is_locked: bool = False) -> HttpCheck:
    """The check with this id.

    :param is_locked: whether nobody else may change it until we are done.
    :raises CheckNotFound: if there is none.
    """
    check = session.get(HttpCheck, check_id, populate_existing=is_locked, with_for_update=is_locked or None)
    if check is None:
        raise CheckNotFound
    return check


def edit_check(
    session: Session,
    outgoing: Outgoing,
    check_id: uuid.UUID,
    changes: Mapping[str, Any],
    *,
    version: int,
    actor: str,
    now: datetime,
) -> HttpCheck:
    """Change a check, or switch it off or on. What waits for one that is switched off counts as failed.

    :param changes: ``url``, ``timeout``, ``is_active``.
    :raises StaleVersion: if it changed since ``version`` was read.
    :raises Invalid: if nothing would be sent to this address.
    """
    check = get_check(session, check_id, is_locked=True)
    if check.version != version:
        raise StaleVersion(extra={"current": {"version": check.version, "is_active": check.is_active}})
    new = {name: value for name, value in changes.items() if getattr(check, name) != value}
    if not new:
        return check
    if "url" in new:
        check_url(outgoing, new["url"])
    before = _facts(check)
    for name, value in new.items():
        setattr(check, name, value)
    check.version += 1
    detail = {"before": before, "after": _facts(check), "has_new_url": "url" in new}
    _note(session, check, "check.edited", actor=actor, now=now, detail=detail)
    return check


def rotate_secret(session: Session, check_id: uuid.UUID, *, actor: str, now: datetime) -> HttpCheck:
    """Give a check a new secret. For a day the former one signs too; what was before that one signs no more."""
    check = get_check(session, check_id, is_locked=True)
    detail = turn_secret(check, now)
    _note(session, check, "check.secret_rotated", actor=actor, now=now, detail=detail)
    return check


def remove_check(session: Session, check_id: uuid.UUID, *, actor: str, now: datetime) -> HttpCheck:
    """Ask it no more. Its verdicts stay; those that it still owes count as failed.

    :returns: the check as it was.
    """
    check = get_check(session, check_id, is_locked=True)
    _note(session, check, "check.removed", actor=actor, now=now, detail=_facts(check))
    session.delete(check)
    return check


def _note(
    session: Session,
    check: HttpCheck,
    action: str,
    *,
    actor: str,
    now: datetime,
    detail: Mapping[str, Any],
) -> None:
    session.flush()
    record(session, actor=actor, action=action, subject=("check", check.id), now=now, detail=detail)


def _facts(check: HttpCheck) -> dict[str, Any]:
    """What the audit log may know."""
    return {
        "name": check.name,
        "host": host_of(check.url),
        "timeout": check.timeout,
        "is_active": check.is_active,
        "version": check.version,
    }
