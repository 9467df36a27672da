"""Who may call a route, said where the route is written, and denied where nothing is said.

>>> @blp.get("/polls")
... @staff("polls:write")
... def list_polls(): ...
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from flask import g, request

from pollsvc.errors import NotAllowed, NotAuthenticated
from pollsvc.scopes import SCOPES
from pollsvc.web.marks import mark, marked
from pollsvc.web.state import Actor, now, state

View = TypeVar("View", bound=Callable[..., Any])


@dataclass(frozen=True)
class Guard:
    """The rule of one route: public, or staff with a scope."""

    scope: str | None


class TokenMissing(NotAuthenticated):
    """No bearer token came with a staff call."""

    code = "token_missing"
    detail = "Send an API token: Authorization: Bearer <token>."


class TokenInvalid(NotAuthenticated):
    """The bearer token is unknown, expired or revoked; which of them is nobody's business."""

    code = "token_invalid"
    detail = "The API token is unknown, expired or revoked."


class ScopeMissing(NotAllowed):
    """The token is good, but not for this."""

    code = "scope_missing"


class Unguarded(NotAllowed):
    """A route that says nothing about its callers has none."""

    code = "not_allowed"
    detail = "This address is not open to anybody."


def public(view: View) -> View:
    """Anybody may call this."""
    mark(view, "guard", Guard(None))
    return view


def staff(scope: str) -> Callable[[View], View]:
    """Only a credential that includes the scope may call this."""
    if scope not in SCOPES:
        raise ValueError(f"{scope} is no scope")

    def decorate(view: View) -> View:
        mark(view, "guard", Guard(scope))
        return view

    return decorate


def enforce() -> None:
    """Refuse a caller who may not; runs before each request, ahead of limits and bodies."""
    if request.endpoint is None or request.method == "OPTIONS":
        return
    guard: Guard | None = marked(request.endpoint, "guard")
    if guard is None:
        raise Unguarded
    if guard.scope is not None:
        g.actor = _authenticated()
        if not g.actor.may(guard.scope):
            raise ScopeMissing(f"This needs a token with the scope {guard.scope}.")


def actor() -> Actor:
    """Who calls a staff route."""
    found: Actor = g.actor
    return found


def bearer_actor() -> Actor | None:
    """Who sent a valid token to a public route, or None."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return state().authenticate(token.strip(), now()) if scheme.lower() == "bearer" else None


def _authenticated() -> Actor:
    if not request.headers.get("Authorization"):
        raise TokenMissing
    found = bearer_actor()
    if found is None:
        raise TokenInvalid
    return found
