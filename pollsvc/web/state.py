"""What an application knows of itself, and the look-ups that features hand to the edge.

Read only: nothing in it is written by a request, so that any number of processes serve alike (promise 15).
"""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from flask import Request, current_app

from pollsvc.config import Settings
from pollsvc.keys import Keys


@dataclass(frozen=True)
class Actor:
    """Who a staff credential belongs to.

    :param reference: what the audit row names, such as ``token:0198…``.
    :param scopes: what the credential may do.
    """

    reference: str
    name: str
    scopes: Set[str]

    def may(self, scope: str) -> bool:
        """Whether the credential includes a scope; ``admin`` includes all."""
        return scope in self.scopes or "admin" in self.scopes


class Authenticate(Protocol):
    """Find whom a bearer token belongs to, or None."""

    def __call__(self, secret: str, now: datetime) -> Actor | None: ...


class OriginLookup(Protocol):
    """Whether an origin, such as ``https://news.example``, belongs to a site."""

    def __call__(self, origin: str) -> bool: ...

    def remembers(self, origin: str) -> bool:
        """Whether it was one when last asked for, as far as this process knows."""
        ...


class VoterLimitKey(Protocol):
    """The bytes that a request's voter is limited by, or None where no valid voter token came."""

    def __call__(self, request: Request, now: datetime) -> bytes | None: ...


def utc_now() -> datetime:
    """The time, aware and in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class State:
    """Everything the edge needs that is not Flask's."""

    settings: Settings
    keys: Keys
    authenticate: Authenticate
    is_known_origin: OriginLookup
    voter_limit_key: VoterLimitKey
    #: Tells the worker that there is something to do; never fails and never waits.
    ring: Callable[[], None]
    clock: Callable[[], datetime] = field(default=utc_now)


def state() -> State:
    """The state of the current application."""
    found: State = current_app.extensions["pollsvc"]
    return found


def settings() -> Settings:
    """The settings of the current application."""
    return state().settings


def keys() -> Keys:
    """The keys of the current application."""
    return state().keys


def now() -> datetime:
    """The time by the application's clock."""
    return state().clock()


def ring() -> None:
    """Wake the worker: what the request wrote is committed, and there may be something to send."""
    state().ring()
