"""The addresses that stand in mails to readers."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

from pollsvc.config import Settings
from pollsvc.consent.tokens import leaving_token
from pollsvc.keys import BadToken, Keys
from pollsvc.outbox.mail import mail_host

#: How long a link to what is kept about a person works: mails are kept, and passed on.
DATA_WITHIN = timedelta(days=30)


@dataclass(frozen=True)
class Links:
    """Makes links of one installation.

    :param public_url: where readers reach it.
    :param mail_host: the right side of Message-IDs.
    """

    public_url: str
    mail_host: str
    keys: Keys

    @classmethod
    def of(cls, settings: Settings, keys: Keys) -> Self:
        """Those of the installation with these settings."""
        return cls(settings.public_url, mail_host(settings), keys)

    def confirm(self, token: str) -> str:
        """The page with the one button that confirms."""
        return f"{self.public_url}/consent/{token}"

    def leave(self, consent_id: uuid.UUID) -> str:
        """The page with the one button that leaves; a POST to it leaves at once (RFC 8058)."""
        return f"{self.public_url}/unsubscribe/{leaving_token(self.keys, consent_id)}"

    def data(self, email_hash: bytes, now: datetime) -> str:
        """The page where a person sees, and erases, what is kept about their address."""
        issued = int(now.timestamp()).to_bytes(6, "big")
        return f"{self.public_url}/data/{self.keys.sign('data', email_hash + issued)}"


@dataclass(frozen=True)
class DataLink:
    """Whose data a link shows, and whether it may still be used."""

    email_hash: bytes
    is_expired: bool


def read_data_token(keys: Keys, token: str, now: datetime) -> DataLink | None:
    """What a token of :meth:`Links.data` says, or None if it is none of ours."""
    try:
        raw = keys.unsign("data", token)
    except BadToken:
        return None
    issued = datetime.fromtimestamp(int.from_bytes(raw[32:], "big"), UTC)
    return DataLink(raw[:32], now - issued > DATA_WITHIN)
