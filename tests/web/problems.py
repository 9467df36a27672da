"""The shape that every failure has for programs (RFC 9457 and ours)."""

from http import HTTPStatus
from typing import Any

from werkzeug.test import TestResponse

MEMBERS = {"type", "title", "status", "detail", "code", "errors", "request_id"}


def read_problem(response: TestResponse) -> dict[str, Any]:
    """Give a failure's document, after a look at its shape."""
    assert response.content_type == "application/problem+json"
    document: dict[str, Any] = response.get_json(force=True)
    assert document.keys() >= MEMBERS
    assert document["status"] == response.status_code
    assert document["title"] == HTTPStatus(response.status_code).phrase
    assert document["type"] == f"urn:pollsvc:problem:{document['code']}"
    assert document["detail"].endswith((".", "?"))
    assert document["request_id"] == response.headers["X-Request-ID"] != ""
    for entry in document["errors"]:
        assert entry.keys() == {"field", "detail"}
        assert isinstance(entry["field"], str)
        assert entry["detail"]
    assert response.headers["Cache-Control"] == "private, no-store"
    assert "Set-Cookie" not in response.headers
    if response.status_code in (429, 503):
        assert int(response.headers["Retry-After"]) > 0
    return document


def fields_of(response: TestResponse) -> list[str]:
    """Give the fields that a failure names."""
    return [entry["field"] for entry in read_problem(response)["errors"]]
