"""What none of our keys opens, such as after a key was taken away too early, told from what is not there."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session


def unreadable(session: Session, row: Any, *names: str) -> set[str]:
    """Those of a row's encrypted columns that hold what no key opens. They read as None, as if nothing were there.

    :param row: with an ``id``, as the database has it. It is asked only where something reads as None.
    """
    model, empty = type(row), [name for name in names if getattr(row, name) is None]
    if not empty:
        return set()
    are_held = select(*(getattr(model, name).is_not(None) for name in empty)).where(model.id == row.id)
    return {name for name, is_held in zip(empty, session.execute(are_held).one(), strict=True) if is_held}
