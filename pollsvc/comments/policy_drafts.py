"""Versions of the policy: drafted, made live, retired, made live again. A version's document never changes, a draft's
neither: whoever wants another one drafts it, so that what was simulated is what becomes live.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from pollsvc.comments.policies import BUILT_IN, Policy, read_policy
from pollsvc.comments.policy_models import CommentPolicy
from pollsvc.db import insert_into
from pollsvc.errors import Invalid, NotFound, StaleVersion
from pollsvc.staff.service import record

#: What no policy changes: an article that is set to be read first is, an approval was of other words, and an address is only
#: typed. These hold in every version as in the built-in one.
ALWAYS = ("premoderation", "approval_taken_back", "banned_address")
#: Checks that a server elsewhere makes, by the names that the newsroom gave them.
_HTTP = re.compile(r"http:[a-z0-9_-]{1,50}\Z")

#: What the database's column holds.
_MOST = 2**31 - 1


class PolicyNotFound(NotFound):
    """No policy has this version."""

    code = "policy_not_found"
    detail = "There is no policy with this version."


@dataclass(frozen=True)
class PolicyVersion:
    """A version of the policy.

    :param state: ``draft``, ``live``, or ``retired``.
    :param checks: thresholds by check, all of them spelled out.
    :param created_at: None of the built-in one, version 0.
    """

    version: int
    state: str
    checks: Mapping[str, Any]
    created_by: str
    created_at: datetime | None
    activated_at: datetime | None


def draft_policy(
    session: Session,
    checks: Mapping[str, Mapping[str, Any]],
    *,
    known: Collection[str],
    actor: str,
    now: datetime,
) -> PolicyVersion:
    """Write down the next version, which decides nothing until it is made live.

    :param checks: thresholds by check; what is left out of one has no threshold, a check that is left out no vote, save that
        those of :data:`ALWAYS` hold anyway.
    :param known: the names of the checks that there are.
    :raises Invalid: if it names another one, or changes what always holds; the fields are ``checks.<name>``.
    """
    document = {"checks": _spelled_out(checks, known)}
    version = None
    # Others may draft at this moment: the key decides, and who comes second takes the number after.
    while version is None:
        last = session.scalar(select(func.max(CommentPolicy.version))) or 0
        row = insert_into(session, CommentPolicy).values(
            version=last + 1,
            state="draft",
            document=document,
            created_by=actor,
            created_at=now,
            activated_at=None,
        )
        version = session.scalar(row.on_conflict_do_nothing().returning(CommentPolicy.version))
    subject = ("comment_policy", version)
    record(session, actor=actor, action="comment_policy.drafted", subject=subject, now=now, detail=document)
    return get_version(session, version)


def get_version(session: Session, version: int) -> PolicyVersion:
    """One version.

    :raises PolicyNotFound: if there is none with this number.
    """
    if version == BUILT_IN.version:
        return _built_in(_live_version(session))
    row = None if version > _MOST else session.get(CommentPolicy, version, populate_existing=True)
    if row is None:
        raise PolicyNotFound
    return _described(row)


def policy_of(session: Session, version: int) -> Policy:
    """One version, to decide by.

    :raises PolicyNotFound: if there is none with this number.
    """
    if version == BUILT_IN.version:
        return BUILT_IN
    return read_policy(version, {"checks": get_version(session, version).checks})


def read_versions(
    session: Session, *, before: int | None, limit: int
) -> tuple[Sequence[PolicyVersion], int | None]:
    """One page of them, the newest first and the built-in one last, and the version that the next one begins before."""
    rows = select(CommentPolicy).order_by(CommentPolicy.version.desc()).limit(limit + 1)
    if before is not None:
        rows = rows.where(CommentPolicy.version < before)
    found = [_described(row) for row in session.scalars(rows)]
    if len(found) <= limit and before != BUILT_IN.version:
        found.append(_built_in(_live_version(session)))
    items = found[:limit]
    return items, items[-1].version if len(found) > limit else None


def activate_policy(
    session: Session, version: int, *, replaces: int | None, actor: str, now: datetime
) -> PolicyVersion:
    """Let a version decide from now on, a draft or one that did before; the one that is live is retired.

    What is live already changes nothing.

    :param replaces: the version that the caller saw live; None: whichever is by now.
    :raises PolicyNotFound: if there is none with this number.
    :raises StaleVersion: if another one became live since, or at this moment; ``current`` tells which.
    """
    policy_of(session, version)
    seen = _live_version(session)
    if replaces is not None and replaces != seen:
        raise _stale(session)
    if seen == version:
        return get_version(session, version)
    if seen != BUILT_IN.version:
        retired = update(CommentPolicy).where(CommentPolicy.version == seen, CommentPolicy.state == "live")
        done = session.execute(retired.values(state="retired").execution_options(synchronize_session=False))
        if done.rowcount == 0:  # type: ignore[attr-defined]
            raise _stale(session)
    if version != BUILT_IN.version:
        _make_live(session, version, now)
    detail = {"before": seen, "after": version}
    subject = ("comment_policy", version)
    record(session, actor=actor, action="comment_policy.activated", subject=subject, now=now, detail=detail)
    return get_version(session, version)


def _make_live(session: Session, version: int, now: datetime) -> None:
    chosen = update(CommentPolicy).where(CommentPolicy.version == version)
    try:
        # The index lets one be live; who meets another one there keeps the rest of the transaction to say so.
        with session.begin_nested():
            session.execute(
                chosen.values(state="live", activated_at=now).execution_options(synchronize_session=False)
            )
    except IntegrityError as error:
        raise _stale(session) from error


def _stale(session: Session) -> StaleVersion:
    return StaleVersion(extra={"current": {"version": _live_version(session)}})


def _live_version(session: Session) -> int:
    live = session.scalar(select(CommentPolicy.version).where(CommentPolicy.state == "live"))
    return BUILT_IN.version if live is None else live


def _spelled_out(checks: Mapping[str, Mapping[str, Any]], known: Collection[str]) -> dict[str, Any]:
    always = {name: asdict(BUILT_IN.checks[name]) for name in ALWAYS}
    none = {"publish": None, "hold": None, "reject": None, "when_missing": "hold"}
    given = {name: {**none, **thresholds} for name, thresholds in checks.items()}
    wrong = {
        f"checks.{name}": f"There is no such check. There are: {', '.join(known)}, and http:<name> for those of servers."
        for name in given
        if name not in known and not _HTTP.match(name)
    }
    wrong |= {
        f"checks.{name}": "This one always holds: leave it out."
        for name in ALWAYS
        if name in given and given[name] != always[name]
    }
    if wrong:
        raise Invalid("A policy names checks that there are.", fields=wrong)
    return always | given


def _built_in(live: int) -> PolicyVersion:
    checks = {name: asdict(thresholds) for name, thresholds in BUILT_IN.checks.items()}
    state = "live" if live == BUILT_IN.version else "retired"
    return PolicyVersion(BUILT_IN.version, state, checks, "pollsvc", None, None)


def _described(row: CommentPolicy) -> PolicyVersion:
    return PolicyVersion(
        row.version, row.state, row.document["checks"], row.created_by, row.created_at, row.activated_at
    )
