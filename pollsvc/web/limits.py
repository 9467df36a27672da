"""Rate limits: named, each a setting, counted under keyed hashes (flask-limiter).

They are counted before a body is read: what a route refuses has cost us work too.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import structlog
from flask import Flask, Response, current_app, g, request
from flask_limiter import Limiter
from limits import RateLimitItem, parse_many
from limits.storage import MemoryStorage
from redis.exceptions import RedisError

from pollsvc.config import Settings
from pollsvc.network import client_address, network_of
from pollsvc.web import guards
from pollsvc.web.marks import mark, marked_on
from pollsvc.web.state import keys, now, settings, state

log = structlog.get_logger("pollsvc")

View = TypeVar("View", bound=Callable[..., Any])

#: While Redis is away each process counts for itself; a quarter each keeps several processes below the whole.
FALLBACK_SHARE = 4


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
        g.voter_key = keys().digest("voter limit", found).hex()[:32] if found else ""
    return str(g.voter_key)


def _actor_key() -> str:
    return guards.actor().reference


class SteadyLimiter(Limiter):
    """flask-limiter, whose fallback also serves the threads that were waiting for the storage when it died."""

    def _check_request_limit(self, callable_name: str | None = None, in_middleware: bool = True) -> None:
        try:
            super()._check_request_limit(callable_name, in_middleware)
        except RedisError:
            # It falls back for the thread that notices first and fails the others: count those again, in memory.
            super()._check_request_limit(callable_name, in_middleware)


_KEYS: dict[str, Callable[[], str]] = {"staff": _actor_key, "votes_per_voter": voter_key}


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
    limiter: Limiter = next(iter(current_app.extensions["limiter"]))
    limits = parse_many(_limit_text(limiter, name))
    try:
        return all(limiter.limiter.hit(limit, network_key(), name) for limit in limits)
    except RedisError:
        # The next request counts in memory; this one's other limits let it through a moment ago.
        log.warning("rate limit storage is away")
        return True


def _has_no_key(key: Callable[[], str]) -> bool:
    return not key()


def _limit_text(limiter: Limiter, name: str) -> str:
    text = settings().limits[name]
    if settings().redis_url and isinstance(limiter.limiter.storage, MemoryStorage):
        return ";".join(_stricter(item) for item in parse_many(text))
    return text


def _stricter(item: RateLimitItem) -> str:
    amount = max(1, item.amount // FALLBACK_SHARE)
    return f"{amount} per {item.multiples} {item.GRANULARITY.name}"


def open_limits(app: Flask, given: Settings) -> Limiter:
    """Count in Redis where one is set, in memory otherwise."""
    app.config["RATELIMIT_STORAGE_URI"] = given.redis_url or "memory://"
    if given.redis_url:
        # Without time-outs a hanging Redis would hold every request for ever.
        app.config["RATELIMIT_STORAGE_OPTIONS"] = {"socket_timeout": 0.25, "socket_connect_timeout": 0.25}
    limiter = SteadyLimiter(
        network_key, app=app, headers_enabled=False, strategy="fixed-window", in_memory_fallback_enabled=True
    )
    app.after_request(partial(_tell, limiter))
    return limiter


def apply_limits(app: Flask, limiter: Limiter) -> None:
    """Put the limits that :func:`limited` wrote on the views around them, outside of what reads their bodies."""
    for endpoint, view in app.view_functions.items():
        counted: Callable[..., Any] = view
        for name in marked_on(view, "limits") or ():
            key = _KEYS.get(name, network_key)
            counted = limiter.shared_limit(
                partial(_limit_text, limiter, name),
                scope=name,
                key_func=key,
                exempt_when=partial(_has_no_key, key),
            )(counted)
        app.view_functions[endpoint] = counted


def _tell(limiter: Limiter, response: Response) -> Response:
    """Tell the caller what is left: IETF RateLimit and RateLimit-Policy fields."""
    policies, states = [], []
    try:
        for limit in limiter.current_limits:
            name = limit.request_args[-1]
            reset_at, remaining = limit.window
            wait = max(0, round(reset_at - now().timestamp()))
            policies.append(f'"{name}";q={limit.limit.amount};w={limit.limit.get_expiry()}')
            states.append(f'"{name}";r={remaining};t={wait}')
            if limit.breached:
                response.headers["Retry-After"] = str(max(1, wait))
    except RedisError:
        # The storage went away between counting and telling; the answer itself stands.
        log.warning("rate limit storage is away")
        return response
    if policies:
        response.headers["RateLimit-Policy"] = ", ".join(policies)
        response.headers["RateLimit"] = ", ".join(states)
    return response
