"""Rate limits: named, each a setting, counted under keyed hashes (flask-limiter).

They are counted before a body is read: what a route refuses has cost us work too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

from flask import Flask, Response, current_app, g, request
from flask_limiter import Limiter, RateLimitExceeded
from limits import RateLimitItem, parse_many
from werkzeug.exceptions import TooManyRequests

from pollsvc.config import Settings
from pollsvc.network import client_address, network_of
from pollsvc.web import guards
from pollsvc.web.counters import Hit, SteadyRedisStorage, Window, WindowStorage
from pollsvc.web.marks import mark, marked_on
from pollsvc.web.state import keys, now, settings, state

if TYPE_CHECKING:
    from flask_limiter._limits import RuntimeLimit

View = TypeVar("View", bound=Callable[..., Any])


def network_key() -> str:
    """The client's network, as a keyed hash: raw addresses are stored nowhere (promise 12)."""
    if "network_key" not in g:
        address = client_address(
            request.environ.get("REMOTE_ADDR", ""),
            request.headers.get("X-Forwarded-For"),
            settings().trusted_proxies,
        )
        network = network_of(address) if address else "unknown"
        g.network_key = keys().digest("network", network.encode()).hex()[:32]
    return str(g.network_key)


def voter_key() -> str:
    """The voter whose valid token came with the request, as a keyed hash; empty where none did."""
    if "voter_key" not in g:
        found = state().voter_limit_key(request, now())
        g.voter_key = _caller_key(found) if found else ""
    return str(g.voter_key)


def _caller_key(caller: bytes) -> str:
    return keys().digest("voter limit", caller).hex()[:32]


def _actor_key() -> str:
    return guards.actor().reference


class OneTripLimiter(Limiter):
    """flask-limiter, which counts all limits of a request at once: it would ask its storage for each, and again to tell."""

    def _check_request_limit(self, callable_name: str | None = None, in_middleware: bool = True) -> None:
        # flask-limiter calls this before each request too, for limits that hold everywhere; we have none.
        if in_middleware:
            return
        # A limit without a key is one for other callers.
        limits = [limit for limit in self._limits_of(callable_name or "") if limit.key_func()]
        counted = self.count([(str(limit.scope), limit.limit, limit.key_func()) for limit in limits])
        g.limits = counted
        if counted and counted[-1][2].is_breached:
            raise RateLimitExceeded(limits[len(counted) - 1])

    def count(self, wanted: Sequence[tuple[str, RateLimitItem, str]]) -> list[tuple[str, int, Window]]:
        """Count a request against limits given as name, limit and key, until one is breached.

        :returns: name, length in seconds and window of each that was counted.
        """
        storage = cast("WindowStorage | SteadyRedisStorage", self.storage)
        windows = storage.hit_all(
            [Hit(item.key_for(key, name), item.get_expiry(), item.amount) for name, item, key in wanted]
        )
        return [
            (name, item.get_expiry(), window)
            for (name, item, _), window in zip(wanted, windows, strict=False)
        ]

    def _limits_of(self, callable_name: str) -> list[RuntimeLimit]:
        """The limits of a view, the shortest window first; they are settings, and stay."""
        kept: dict[str, list[RuntimeLimit]] = self.__dict__.setdefault("_kept", {})
        if callable_name not in kept:
            found = self.limit_manager.decorated_limits(callable_name)
            kept[callable_name] = sorted(found, key=lambda each: each.limit)
        return kept[callable_name]


_KEYS: dict[str, Callable[[], str]] = {
    "staff": _actor_key,
    "votes_per_voter": voter_key,
    "comments_per_voter": voter_key,
}


def limited(*names: str) -> Callable[[View], View]:
    """Count a route against named limits; routes that share a name share its budget."""

    def decorate(view: View) -> View:
        mark(view, "limits", names)
        return view

    return decorate


def spend(name: str) -> bool:
    """Count this request against one more limit, by its network; False where that is used up.

    For a form that asks for two things, of which the first must not be refused for the second.
    """
    return not _count(name, network_key())[-1][2].is_breached


def spend_of(name: str, caller: bytes) -> None:
    """Count this request against a limit of its sender's, where only the view finds out who that is.

    :param caller: what tells them from all others.
    :raises TooManyRequests: if that is used up.
    """
    counted = _count(name, _caller_key(caller))
    g.limits = [*g.get("limits", ()), *counted]
    if counted[-1][2].is_breached:
        raise TooManyRequests


def _count(name: str, key: str) -> Sequence[tuple[str, int, Window]]:
    limiter: OneTripLimiter = next(iter(current_app.extensions["limiter"]))
    return limiter.count([(name, item, key) for item in parse_many(settings().limits[name])])


def open_limits(app: Flask, given: Settings) -> Limiter:
    """Count in Redis where one is set, in memory otherwise."""
    app.config["RATELIMIT_STORAGE_URI"] = f"steady-{given.redis_url}" if given.redis_url else "windows://"
    if given.redis_url:
        # Without time-outs a hanging Redis would hold every request for ever.
        app.config["RATELIMIT_STORAGE_OPTIONS"] = {"socket_timeout": 0.25, "socket_connect_timeout": 0.25}
    limiter = OneTripLimiter(network_key, app=app, headers_enabled=False, strategy="fixed-window")
    app.after_request(_tell)
    return limiter


def apply_limits(app: Flask, limiter: Limiter) -> None:
    """Put the limits that :func:`limited` wrote on the views around them, outside of what reads their bodies."""
    given: Settings = app.extensions["pollsvc"].settings
    for endpoint, view in app.view_functions.items():
        counted: Callable[..., Any] = view
        for name in marked_on(view, "limits") or ():
            key = _KEYS.get(name, network_key)
            counted = limiter.shared_limit(given.limits[name], scope=name, key_func=key)(counted)
        app.view_functions[endpoint] = counted


def _tell(response: Response) -> Response:
    """Tell the caller what is left: IETF RateLimit and RateLimit-Policy fields."""
    counted: Sequence[tuple[str, int, Window]] = g.get("limits", ())
    if not counted:
        return response
    moment = time.time()
    policies, states = [], []
    for name, seconds, window in counted:
        wait = max(0, round(window.ends_at - moment))
        policies.append(f'"{name}";q={window.most};w={seconds}')
        states.append(f'"{name}";r={window.remaining};t={wait}')
        if window.is_breached:
            response.headers["Retry-After"] = str(max(1, wait))
    response.headers["RateLimit-Policy"] = ", ".join(policies)
    response.headers["RateLimit"] = ", ".join(states)
    return response
