"""`/openapi.json` is valid, complete, and says what is answered."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from openapi_spec_validator import validate
from werkzeug.routing import Rule

from pollsvc import __version__
from pollsvc.web.marks import marked_on

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

Operation = tuple[str, str, dict[str, Any]]


@pytest.fixture
def document(client: FlaskClient) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/openapi.json").json  # type: ignore[assignment]
    return found


def api_rules(app: Flask) -> Iterator[tuple[str, str, Rule]]:
    """Give method, documented path and rule of all that answers programs."""
    for rule in app.url_map.iter_rules():
        if rule.rule.startswith(("/v1/", "/healthz", "/readyz", "/metrics")):
            path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
            for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
                yield method.lower(), path, rule


def operations(document: dict[str, Any]) -> Iterator[Operation]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method != "parameters":
                yield method, path, operation


def problems(operation: dict[str, Any]) -> set[int]:
    return {int(status) for status in operation["responses"] if int(status) >= 400}


class TestDocument:
    def test_is_valid_openapi_3_1(self, document: dict[str, Any]) -> None:
        validate(document)

        assert document["openapi"] == "3.1.0"
        assert (document["info"]["title"], document["info"]["version"]) == ("pollsvc", __version__)

    def test_describes_each_call_and_no_other(self, app: Flask, document: dict[str, Any]) -> None:
        described = {(method, path) for method, path, _ in operations(document)}

        assert described == {(method, path) for method, path, _ in api_rules(app)}

    def test_leaves_the_pages_out(self, document: dict[str, Any]) -> None:
        assert [path for path in document["paths"] if path.startswith(("/embed", "/oembed", "/demo"))] == []
        assert "/" not in document["paths"]

    def test_may_be_read_by_any_page_and_kept_for_minutes(self, client: FlaskClient) -> None:
        headers = client.get("/openapi.json").headers

        assert headers["Access-Control-Allow-Origin"] == "*"
        assert headers["Cache-Control"] == "public, max-age=300"
        assert headers["Content-Type"] == "application/json"


class TestOperations:
    def test_each_says_what_it_does(self, document: dict[str, Any]) -> None:
        assert [path for _, path, operation in operations(document) if not operation.get("summary")] == []

    def test_each_failure_is_a_problem(self, document: dict[str, Any]) -> None:
        wrong = [
            f"{method} {path} {status}"
            for method, path, operation in operations(document)
            for status in problems(operation)
            if operation["responses"][str(status)].get("content")
            != {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
        ]

        # Not a failure of the request: it says which part is down.
        assert wrong == ["get /readyz 503"]

    def test_readyz_describes_its_503(self, document: dict[str, Any]) -> None:
        responses = document["paths"]["/readyz"]["get"]["responses"]

        assert responses["503"]["content"] == responses["200"]["content"]

    def test_each_with_a_body_tells_how_bodies_are_refused(
        self, app: Flask, document: dict[str, Any]
    ) -> None:
        for method, path, rule in api_rules(app):
            operation = document["paths"][path][method]
            has_body = marked_on(app.view_functions[rule.endpoint], "body_schema") is not None
            assert ("requestBody" in operation) == has_body, (method, path)
            assert ({400, 411, 413, 415, 422} <= problems(operation)) == has_body, (method, path)

    def test_each_that_is_guarded_names_its_credential_and_scope(
        self, app: Flask, document: dict[str, Any]
    ) -> None:
        for method, path, rule in api_rules(app):
            operation = document["paths"][path][method]
            scope = marked_on(app.view_functions[rule.endpoint], "guard").scope
            assert operation.get("x-scope") == scope, (method, path)
            assert operation.get("security") == ([{"apiToken": []}] if scope else None), (method, path)
            assert ({401, 403} <= problems(operation)) >= bool(scope), (method, path)
        assert document["components"]["securitySchemes"]["apiToken"] == {"type": "http", "scheme": "bearer"}

    def test_each_that_is_limited_tells_its_429(self, app: Flask, document: dict[str, Any]) -> None:
        for method, path, rule in api_rules(app):
            is_limited = bool(marked_on(app.view_functions[rule.endpoint], "limits"))
            assert (429 in problems(document["paths"][path][method])) == is_limited, (method, path)

    def test_each_with_an_id_tells_its_404(self, document: dict[str, Any]) -> None:
        silent = [path for _, path, op in operations(document) if "{" in path and 404 not in problems(op)]

        assert silent == []

    def test_each_may_find_the_database_away(self, document: dict[str, Any]) -> None:
        assert [path for _, path, operation in operations(document) if 503 not in problems(operation)] == []


class TestSchemas:
    def test_what_is_read_refuses_unknown_fields(self, document: dict[str, Any]) -> None:
        lenient = []
        for _, path, operation in operations(document):
            content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
            if name and document["components"]["schemas"][name].get("additionalProperties") is not False:
                lenient.append(f"{path} {name}")

        assert lenient == []

    def test_a_problem_has_the_members_that_are_sent(
        self, client: FlaskClient, document: dict[str, Any]
    ) -> None:
        sent: dict[str, Any] = client.get("/v1/tokens").get_json(force=True)

        schema = document["components"]["schemas"]["Problem"]
        assert set(schema["required"]) == sent.keys() <= set(schema["properties"])
