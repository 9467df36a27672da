"""What every answer carries: security headers, and the id of its request."""

from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
class TestSecurity:
    @pytest.mark.parametrize(
        "path", ["/v1/form-token", "/v1/nothing", "/healthz", "/nothing", "/openapi.json"]
    )
    def test_headers_are_on_every_answer(self, client: FlaskClient, path: str) -> None:
        headers = client.get(path).headers

        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert "Set-Cookie" not in headers

    @pytest.mark.parametrize("path", ["/", "/nothing"])
    def test_a_page_has_no_powers_and_tells_others_its_origin_at_the_most(
        self, client: FlaskClient, path: str
    ) -> None:
        headers = client.get(path).headers

        assert headers["Referrer-Policy"] == "strict-origin-when-cross-origin"
        assert "geolocation=()" in headers["Permissions-Policy"]

    def test_data_may_load_nothing(self, client: FlaskClient) -> None:
        policy = client.get("/v1/form-token").headers["Content-Security-Policy"]

        assert policy == "default-src 'none'; frame-ancestors 'none'"

    def test_a_page_loads_from_us_alone_and_nothing_inline(self, page_client: FlaskClient) -> None:
        policy = page_client.get("/page/plain").headers["Content-Security-Policy"]
        directives = dict(part.strip().split(" ", 1) for part in policy.split(";"))

        assert directives == {
            "default-src": "'none'",
            "script-src": "'self'",
            "style-src": "'self'",
            "img-src": "'self'",
            "connect-src": "'self'",
            "form-action": "'self'",
            "base-uri": "'none'",
            "frame-ancestors": "'none'",
        }

    @pytest.mark.parametrize(
        ("path", "ancestors"),
        [("/page/framed", "https://a.example https://b.example"), ("/page/framed-by-none", "'none'")],
    )
    def test_a_page_is_framed_by_whom_it_names(
        self, page_client: FlaskClient, path: str, ancestors: str
    ) -> None:
        policy = page_client.get(path).headers["Content-Security-Policy"]

        assert policy.endswith(f"; frame-ancestors {ancestors}")

    def test_a_page_may_tell_less_of_where_the_reader_came_from(self, page_client: FlaskClient) -> None:
        assert page_client.get("/page/token").headers["Referrer-Policy"] == "no-referrer"

    @pytest.mark.parametrize(
        ("public_url", "strict"),
        [("https://polls.example", "max-age=31536000; includeSubDomains"), ("http://polls.example", None)],
    )
    def test_https_is_demanded_where_we_are_reached_by_it(
        self, make_app: Callable[..., Flask], public_url: str, strict: str | None
    ) -> None:
        headers = make_app(public_url=public_url).test_client().get("/healthz").headers

        assert headers.get("Strict-Transport-Security") == strict


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
class TestRequestId:
    def test_is_made_for_each_request(self, client: FlaskClient) -> None:
        ids = {client.get("/healthz").headers["X-Request-ID"] for _ in range(20)}

        assert len(ids) == 20

    @pytest.mark.parametrize("given", ["a", "0123456789abcdef", "A.b_c-1", "x" * 64])
    def test_of_the_proxy_in_front_is_kept(self, client: FlaskClient, given: str) -> None:
        assert client.get("/healthz", headers={"X-Request-ID": given}).headers["X-Request-ID"] == given

    @pytest.mark.parametrize(
        "given", ["", "a b", "x" * 65, "a\tb", '"', "ada@reader.example", "\xfc", "{}", "a,b"]
    )
    def test_that_is_no_plain_word_is_replaced(self, client: FlaskClient, given: str) -> None:
        found = client.get("/healthz", headers={"X-Request-ID": given}).headers["X-Request-ID"]

        assert found != given
        assert len(found) == 16
