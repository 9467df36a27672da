"""HEAD and OPTIONS on every address, and methods that none takes."""

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.factories import ARTICLE_URL
from tests.web.addresses import addresses


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
class TestEveryAddress:
    def test_head_answers_as_get_without_a_body(self, app: Flask, staff_client: FlaskClient) -> None:
        differing = []
        for path, methods in addresses(app):
            if "GET" in methods:
                query = {"article_url": ARTICLE_URL} if "articles" in path else {}
                get, head = (
                    staff_client.open(path, method=m, query_string=query, buffered=True)
                    for m in ("GET", "HEAD")
                )
                if head.status_code != get.status_code or head.data or head.content_type != get.content_type:
                    differing.append(f"{path}: {get.status_code} {head.status_code}")

        assert differing == []

    def test_options_names_the_methods_and_needs_no_credential(self, app: Flask, client: FlaskClient) -> None:
        differing = []
        for path, methods in addresses(app):
            response = client.options(path)
            allowed = {method.strip() for method in response.headers["Allow"].split(",")}
            if response.status_code != 200 or response.data or allowed != methods:
                differing.append(f"{path}: {response.status_code} {allowed}")

        assert differing == []

    def test_a_method_that_is_not_taken_is_405_and_names_those_that_are(
        self, app: Flask, client: FlaskClient
    ) -> None:
        differing = []
        for path, methods in addresses(app):
            for method in ("TRACE", "CONNECT", "PROPFIND", "PUT"):
                if method not in methods:
                    response = client.open(path, method=method)
                    if response.status_code != 405 or "OPTIONS" not in response.headers["Allow"]:
                        differing.append(f"{method} {path}: {response.status_code}")

        assert differing == []


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
class TestAddress:
    @pytest.mark.parametrize(
        "path",
        [
            "//v1//voters",
            "/v1//voters",
            "/v1/voters/",
            "/v1/%2e/voters",
            "/v1/VOTERS",
            "/v1/voters%00",
            "/v1/voters;x",
        ],
    )
    def test_is_never_guessed_nor_redirected(self, client: FlaskClient, path: str) -> None:
        response = client.open(environ_overrides={"PATH_INFO": path}, headers={"Host": "evil.example"})

        assert response.status_code == 404
        assert "Location" not in response.headers
