"""Structured logs on stderr, without addresses, e-mails, paths or queries (promise 12)."""

from __future__ import annotations

import logging
import sys
import time

import structlog
from flask import Flask, Response, g, request

from pollsvc.web import metrics

log = structlog.get_logger("pollsvc")


def configure(level: str) -> None:
    """Write one JSON object a line to stderr; stdout belongs to what commands print."""
    logging.basicConfig(stream=sys.stderr, level=level.upper(), format="%(levelname)s %(name)s: %(message)s")
    for chatty in ("sqlalchemy", "alembic", "flask-limiter", "_granian"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )


def register(app: Flask) -> None:
    """Log and count each request by its route pattern, never by its path."""
    app.before_request(_begin)
    app.after_request(_end)


def _begin() -> None:
    g.began = time.perf_counter()
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=g.get("request_id", ""))


def _end(response: Response) -> Response:
    seconds = time.perf_counter() - g.get("began", time.perf_counter())
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
