"""Receipts: what a page shows after a form was posted, carried in its address for ten minutes.

A reader without cookies sees their result by it, and a reload posts nothing again. It is sealed (encrypted and signed)
because an address is kept in histories and logs, and this one tells how somebody voted.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import orjson
from cryptography.fernet import InvalidToken

from pollsvc.keys import Keys

LIFETIME = timedelta(minutes=10)


def issue_receipt(keys: Keys, now: datetime, subject: str, facts: Mapping[str, Any]) -> str:
    """Seal what became of a form; URL-safe.

    :param subject: what the form was about, such as a poll's id. The receipt is of no use for anything else.
    """
    sealed = keys.cipher.encrypt_at_time(orjson.dumps(["receipt", subject, facts]), int(now.timestamp()))
    return sealed.decode("ascii")


def read_receipt(keys: Keys, now: datetime, subject: str, receipt: str | None) -> dict[str, Any] | None:
    """What became of the form, or None if the receipt is missing, too old, for something else or not ours."""
    try:
        opened = keys.cipher.decrypt_at_time(
            (receipt or "").encode(), ttl=int(LIFETIME.total_seconds()), current_time=int(now.timestamp())
        )
        kind, about, facts = orjson.loads(opened)
    except (InvalidToken, ValueError):
        return None
    return facts if (kind, about) == ("receipt", subject) else None
