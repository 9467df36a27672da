"""Whether an address is that of an account: a token of the publisher's login says so (JWT, RFC 7519)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import jwt

from pollsvc.articles.logins import read_login_key
from pollsvc.articles.models import Site
from pollsvc.errors import Invalid, one_field
from pollsvc.text import UnfitText, normal_address

#: How far ahead a token may expire: it is made for the page that the reader is on.
LONGEST = timedelta(days=1)
#: How far the login's clock may be from ours.
_SKEW = timedelta(seconds=60)
_LONGEST_SUB = 255
# Times and audience are compared here: the library would ask its own clock, and for one audience only.
_OPTIONS: Any = {
    "require": ["exp", "sub"],
    **dict.fromkeys(("verify_exp", "verify_nbf", "verify_iat", "verify_aud", "verify_sub"), False),
}


def check_account(site: Site, token: str | None, *, email: str, now: datetime) -> None:
    """Refuse a sign-up that no token of the site's login vouches for.

    Which account it is, is kept nowhere: events are never erased, and no trace of a person may outlive the address in them.

    :param email: the address that was typed, normalised; the token must hold the same one.
    :raises Invalid: if there is no token, or it is not a good one; the field is ``account_token``.
    """
    if token is None:
        raise _refusal("This newsletter is for accounts: send a token of the publisher's login.")
    if address_of(read_account(site, token, now=now)) != email.lower():
        raise _refusal("It is of another address than the one given.")


def read_account(site: Site, token: str, *, now: datetime) -> Mapping[str, Any]:
    """What a token of a site's login says; its ``sub`` is the account.

    :raises Invalid: if it is not a good one; the field is ``account_token``.
    """
    if site.login_key is None:
        raise _refusal("The site has no login any more that could have signed it.")
    algorithm, key = read_login_key(site.login_key)
    try:
        claims = jwt.decode(token, key, algorithms=[algorithm], options=_OPTIONS)
    except (jwt.PyJWTError, ValueError) as error:
        raise _refusal("This is no token that the publisher's login signed, with exp and sub.") from error
    _check(claims, site, now)
    return claims


def _check(claims: Mapping[str, Any], site: Site, now: datetime) -> None:
    expires, begins = _moment(claims["exp"]), _moment(claims.get("nbf", 0))
    if expires is None or begins is None:
        raise _refusal("Its times must be numbers.")
    if expires <= now.timestamp():
        raise _refusal("It has expired.")
    if expires > (now + LONGEST + _SKEW).timestamp():
        raise _refusal("It may be valid for a day at the most.")
    if begins > (now + _SKEW).timestamp():
        raise _refusal("It is not valid yet.")
    subject = claims["sub"]
    if not isinstance(subject, str) or not 0 < len(subject) <= _LONGEST_SUB:
        raise _refusal("Its sub must be the account, in 1 to 255 characters.")
    wanted = claims.get("aud", [])
    origins = {row.origin for row in site.origins}
    if "aud" in claims and not origins & set(map(str, [wanted] if isinstance(wanted, str) else wanted)):
        raise _refusal("It was made for another site.")


def address_of(claims: Mapping[str, Any]) -> str | None:
    """The address of an account as its login has it, normalised; None where it names none."""
    try:
        return normal_address(str(claims.get("email"))).lower()
    except UnfitText:
        return None


def _moment(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _refusal(sentence: str) -> Invalid:
    return one_field("account_token", sentence)
