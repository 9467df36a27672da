"""One shape for every failure: RFC 9457 problem documents under ``/v1``, pages with the same status elsewhere."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import orjson
import structlog
from flask import Flask, Response, current_app, g, request
from marshmallow import ValidationError
from sqlalchemy.exc import DBAPIError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException

from pollsvc.errors import (
    Conflict,
    Gone,
    Invalid,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    PollsvcError,
    TooMany,
    Unavailable,
)

log = structlog.get_logger("pollsvc")

#: The one table that gives a kind of error its status.
STATUSES: dict[type[PollsvcError], int] = {
    Invalid: 422,
    NotAuthenticated: 401,
    NotAllowed: 403,
    NotFound: 404,
    Conflict: 409,
    Gone: 410,
    TooMany: 429,
    Unavailable: 503,
}

#: Codes of what the web layer refuses by itself, by status.
HTTP_CODES = {
    400: "malformed",
    404: "not_found",
    405: "method_not_allowed",
    411: "length_required",
    413: "too_large",
    414: "uri_too_long",
    415: "unsupported_media_type",
    422: "invalid",
    429: "rate_limited",
    431: "headers_too_large",
    500: "internal",
    503: "unavailable",
}

_DETAILS = {
    400: "The request is malformed: send a JSON object.",
    404: "There is nothing at this address.",
    405: "This address does not take this method; the Allow field names those it takes.",
    411: "Send a Content-Length: a body of unknown length is not read.",
    413: "The body is larger than this address takes.",
    415: "This address does not take this Content-Type: the API takes application/json, forms are sent as forms.",
    429: "Too many requests. Wait a moment, then send the same request again.",
    500: "Something failed on our side. It has been noted, and nothing was stored.",
}

INVALID = "Some fields break a rule; each is named under errors."

#: Seconds to wait where nothing better is known; of a limit, the storage tells (:mod:`pollsvc.web.limits`).
_WAITS = {429: "60", 503: "2"}

#: Addresses that answer programs; every other one answers people with a page.
_MACHINE = ("/v1/", "/healthz", "/readyz", "/metrics", "/openapi.json")


class DatabaseUnavailable(Unavailable):
    """The database is down, locked for longer than we wait, or out of room."""

    code = "database_unavailable"
    detail = "The service is busy and nothing was stored. Send the same request again in a moment."


class DatabaseCut(DatabaseUnavailable):
    """The connection broke while something was under way: what became of it is not known."""

    detail = (
        "The connection to the database broke, and it is not known whether this was stored. "
        "Send the same request again in a moment: a vote is counted once."
    )


@dataclass(frozen=True)
class Problem:
    """What went wrong with a request, in the members of RFC 9457 and ours."""

    status: int
    code: str
    detail: str
    errors: list[dict[str, str]] = field(default_factory=list)
    extra: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The status in words."""
        return HTTPStatus(self.status).phrase

    def document(self) -> dict[str, Any]:
        """The body of the answer."""
        return {
            **self.extra,
            "type": f"urn:pollsvc:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "errors": self.errors,
            "request_id": g.get("request_id", ""),
        }


def register(app: Flask) -> None:
    """Answer every exception of an application as a problem."""
    app.register_error_handler(Exception, answer)


def answer(error: Exception) -> Response:
    """The answer to any exception that reached the edge."""
    if isinstance(error, HTTPException) and error.response is not None:
        return error.get_response()  # type: ignore[return-value]
    # What fails after the view reaches us inside a 500 of Flask's.
    error = getattr(error, "original_exception", None) or error
    found = problem_of(error)
    if found.status >= 500:
        note(error, found)
    return respond(found)


def problem_of(error: Exception) -> Problem:
    """Tell what an exception means for the caller."""
    if isinstance(error, PollsvcError):
        return _of_rule(error)
    if isinstance(error, ValidationError):
        return Problem(422, "invalid", INVALID, list(flatten(error.messages)))
    if isinstance(error, HTTPException):
        return _of_http(error)
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return _of_rule(DatabaseCut())
    if isinstance(error, OperationalError | InternalError | PoolTimeout):
        return _of_rule(DatabaseUnavailable())
    return Problem(500, "internal", _DETAILS[500])


def respond(problem: Problem) -> Response:
    """Send a problem to a program, or a page to a person."""
    if request.path.startswith(_MACHINE):
        body, kind = orjson.dumps(problem.document()), "application/problem+json"
    else:
        body, kind = (
            current_app.extensions["pollsvc.error_page"](problem).encode(),
            "text/html; charset=utf-8",
        )
    response = current_app.response_class(body, problem.status, content_type=kind)
    response.headers.update(problem.headers)
    return response


def note(error: Exception, problem: Problem) -> None:
    """Log a failure of ours with where it happened.

    The exception's own text is left out: it may quote what a reader typed.
    """
    origin = getattr(error, "orig", None)
    log.error(
        "request failed",
        code=problem.code,
        error=type(error).__name__,
        cause=type(origin).__name__ if origin else None,
        route=str(request.url_rule) if request.url_rule else None,
        # A busy or absent database fails every request in the same known place; a full disk needs no longer log.
        trace="" if problem.status == 503 else "".join(traceback.format_tb(error.__traceback__)),
    )


def flatten(messages: Any, path: tuple[str, ...] = ()) -> Iterator[dict[str, str]]:
    """Turn marshmallow's nested messages into one entry a field: ``choices.0``."""
    if isinstance(messages, Mapping):
        for key, inner in messages.items():
            step = () if not path and key in ("json", "query", "_schema") else (str(key),)
            yield from flatten(inner, path + step)
    elif isinstance(messages, list | tuple):
        for inner in messages:
            yield from flatten(inner, path)
    else:
        yield {"field": _sendable(".".join(path)), "detail": _sendable(str(messages))}


def _sendable(text: str) -> str:
    """A text that may quote a field's name as it was sent, which may hold what UTF-8 cannot."""
    return text.encode("utf-8", "replace").decode()


def _of_rule(error: PollsvcError) -> Problem:
    status = next((status for kind, status in STATUSES.items() if isinstance(error, kind)), 500)
    headers = {}
    if isinstance(error, TooMany | Unavailable):
        headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, NotAuthenticated):
        headers["WWW-Authenticate"] = 'Bearer realm="pollsvc"'
    fields = [{"field": name, "detail": sentence} for name, sentence in error.fields.items()]
    return Problem(status, error.code, error.detail, fields, error.extra, headers)


def _of_http(error: HTTPException) -> Problem:
    status = error.code or 500
    data = getattr(error, "data", None) or {}
    errors = list(flatten(data.get("messages", {})))
    headers = {"Retry-After": _WAITS[status]} if status in _WAITS else {}
    headers |= {name: value for name, value in error.get_headers() if name in ("Allow", "Retry-After")}
    code = HTTP_CODES.get(status, "malformed" if status < 500 else "internal")
    detail = INVALID if errors and status == 422 else _DETAILS.get(status, HTTPStatus(status).phrase + ".")
    return Problem(status, code, detail, errors, headers=headers)
