"""The addresses that stand in mails to readers."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from pollsvc.consent.tokens import leaving_token
from pollsvc.keys import Keys


@dataclass(frozen=True)
class Links:
    """Makes links of one installation.

    :param public_url: where readers reach it.
    :param mail_host: the right side of Message-IDs.
    """

    public_url: str
    mail_host: str
    keys: Keys

    def confirm(self, token: str) -> str:
        """The page with the one button that confirms."""
        return f"{self.public_url}/consent/{token}"

    def leave(self, consent_id: uuid.UUID) -> str:
        """The page with the one button that leaves; a POST to it leaves at once (RFC 8058)."""
        return f"{self.public_url}/unsubscribe/{leaving_token(self.keys, consent_id)}"

    def data(self, subscriber_id: uuid.UUID, now: datetime) -> str:
        """The page where a person sees, and erases, what is kept about them."""
        issued = int(now.timestamp()).to_bytes(6, "big")
        return f"{self.public_url}/data/{self.keys.sign('data', subscriber_id.bytes + issued)}"
