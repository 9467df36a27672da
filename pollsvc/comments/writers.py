"""Who writes: a voter's identity, or an account of the publisher's. A typed address is neither."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pollsvc.articles.models import Site
from pollsvc.consent.accounts import address_of, read_account
from pollsvc.keys import Keys
from pollsvc.text import UnfitText, is_blank, normalise
from pollsvc.voters.service import Tier, read_token

#: As readers type one.
_LONGEST_NAME = 100


@dataclass(frozen=True)
class Writer:
    """Somebody who comments.

    :param key: 32 bytes by which their comments are found, and nothing else is.
    :param is_account: whether the publisher's login vouches for them.
    """

    key: bytes
    is_account: bool


@dataclass(frozen=True)
class Account:
    """A writer whom the publisher's login vouches for.

    :param name: as the login gives it; None where it gives none.
    :param email: as the login has it, normalised; only its keyed hash is kept, so that it leads to what they wrote.
    """

    writer: Writer
    name: str | None
    email: str | None


def writer_of_token(keys: Keys, token: str | None, now: datetime) -> Writer:
    """The writer behind a voter token.

    :raises NotAuthenticated: if it is missing, not ours, or too old.
    """
    return writer_of_identity(keys, read_token(keys, token, now, Tier.STORAGE).identity)


def writer_of_identity(keys: Keys, identity: bytes) -> Writer:
    """The writer behind a voter's identity, whatever it is held by: a token, a cookie or a form's field."""
    return Writer(keys.digest("comment writer", identity), is_account=False)


def writer_of_account(keys: Keys, site: Site, token: str, now: datetime) -> Account:
    """The writer behind a token of a site's login, with what it says of them.

    :raises Invalid: if it is not a good one; the field is ``account_token``.
    """
    claims = read_account(site, token, now=now)
    key = keys.digest("comment account", site.id.bytes, str(claims["sub"]).encode())
    return Account(Writer(key, is_account=True), _fit_name(claims.get("name")), address_of(claims))


def _fit_name(claim: object) -> str | None:
    """A name that may stand below a comment: what logins let people call themselves is none of our rules."""
    try:
        name = normalise(claim, multiline=False).strip() if isinstance(claim, str) else ""
    except UnfitText:
        return None
    return name if not is_blank(name) and len(name) <= _LONGEST_NAME else None


def writer_name(writer_key: bytes) -> str:
    """A name for a writer that the newsroom can tell them by. It leads nowhere else."""
    return writer_key[:8].hex()
