"""Structured logs on stderr, without addresses, e-mails, paths or queries (promise 12)."""

from __future__ import annotations

import io
import logging
import random
import re
import sys
import time
import traceback
from contextlib import suppress
from types import TracebackType
from typing import TextIO, cast

import orjson
import structlog
from flask import Flask, Response, g, request

from pollsvc.web import metrics

log = structlog.get_logger("pollsvc")

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class DiscreetFormatter(logging.Formatter):
    """For what libraries log: an exception by its kind and place, without its text, which may quote a reader."""

    def formatException(  # noqa: N802 (the name is logging's)
        self,
        ei: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None],
    ) -> str:
        kind, _, trace = ei
        return "".join(traceback.format_tb(trace)) + (kind.__name__ if kind else "")


class LossyStderr(io.TextIOBase):
    """Standard error, where a line that cannot be written is dropped: a full disk under the log is no reason to refuse a vote."""

    def write(self, text: str) -> int:
        """Write what can be written."""
        with suppress(OSError):
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        """Send what was written on its way."""
        with suppress(OSError):
            sys.stderr.flush()


def configure(level: str) -> None:
    """Write one JSON object a line to stderr; stdout belongs to what commands print."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(DiscreetFormatter("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(handlers=[handler], level=level.upper())
    for chatty in ("sqlalchemy", "alembic", "flask-limiter", "_granian"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    stream = cast(TextIO, LossyStderr())  # what the logger asks of a stream
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(serializer=_to_json),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=lambda *_: structlog.WriteLogger(stream),
        cache_logger_on_first_use=False,
    )


def _to_json(event: object, **_options: object) -> str:
    return orjson.dumps(event, default=str).decode()


def register(app: Flask) -> None:
    """Name each request, then log and count it by its route pattern, never by its path."""
    app.before_request(_begin)
    app.after_request(_end)


def _begin() -> None:
    g.began = time.perf_counter()
    # An id given by the proxy in front is kept, so that one line of its log finds ours.
    given = request.headers.get("X-Request-ID", "")
    g.request_id = given if _REQUEST_ID.fullmatch(given) else f"{random.getrandbits(64):016x}"
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=g.request_id)


def _end(response: Response) -> Response:
    seconds = time.perf_counter() - g.began
    route = str(request.url_rule) if request.url_rule else "unknown"
    # The method is the client's word; only known ones become a label.
    method = (
        request.method
        if request.method in ("GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS")
        else "other"
    )
    metrics.count_request(method, route, response.status_code, seconds)
    log.info("request", method=method, route=route, status=response.status_code, ms=round(seconds * 1000, 1))
    return response
