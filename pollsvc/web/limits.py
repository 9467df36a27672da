"""Rate limits: named, each a setting, counted under keyed hashes (flask-limiter)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import structlog
from flask import Flask, Response, g, request
from flask_limiter import Limiter
from limits import RateLimitItem, parse_many
from limits.storage import MemoryStorage
from redis.exceptions import RedisError

from pollsvc.config import Settings
from pollsvc.network import client_address, network_of
from pollsvc.web import guards
from pollsvc.web.marks import mark
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


limiter = Limiter(
    key_func=network_key, headers_enabled=False, strategy="fixed-window", in_memory_fallback_enabled=True
)

_KEYS: dict[str, Callable[[], str]] = {"staff": _actor_key, "votes_per_voter": voter_key}


def limited(*names: str) -> Callable[[View], View]:
    """Count a route against named limits; routes that share a name share its budget."""

    def decorate(view: View) -> View:
        wrapped: View = view
        for name in names:
            key = _KEYS.get(name, network_key)
            wrapped = limiter.shared_limit(  # type: ignore[assignment]
                partial(_limit_text, name), scope=name, key_func=key, exempt_when=partial(_has_no_key, key)
            )(wrapped)
        mark(wrapped, "limits", names)
        return wrapped

    return decorate


def _has_no_key(key: Callable[[], str]) -> bool:
    return not key()


def _limit_text(name: str) -> str:
    text = settings().limits[name]
    if settings().redis_url and isinstance(limiter.limiter.storage, MemoryStorage):
        return ";".join(_stricter(item) for item in parse_many(text))
    return text


def _stricter(item: RateLimitItem) -> str:
    amount = max(1, item.amount // FALLBACK_SHARE)
    return f"{amount} per {item.multiples} {item.GRANULARITY.name}"


def open_limits(app: Flask, given: Settings) -> None:
    """Count in Redis where one is set, in memory otherwise."""
    app.config["RATELIMIT_STORAGE_URI"] = given.redis_url or "memory://"
    if given.redis_url:
        # Without time-outs a hanging Redis would hold every request for ever.
        app.config["RATELIMIT_STORAGE_OPTIONS"] = {"socket_timeout": 0.25, "socket_connect_timeout": 0.25}
    limiter.init_app(app)
    app.after_request(_tell)


def _tell(response: Response) -> Response:
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
