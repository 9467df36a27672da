"""What every answer carries: caching, CORS and security headers."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, Response, g
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from pollsvc.keys import Keys
from pollsvc.web.guards import public
from pollsvc.web.headers import allow_framing, public_read, static_file
from tests.factories import ORIGIN, make_voter_token
from tests.web.addresses import ID, addresses

STRANGER = "https://stranger.example"
SHARED = "public, max-age=0, s-maxage=2, stale-while-revalidate=2"
PRIVATE = "private, no-store"


@pytest.fixture
def page_client(make_app: Callable[..., Flask]) -> FlaskClient:
    """A client of an application with pages of each kind under `/page/…` and files under `/file/…`."""
    app = make_app()

    def page(kind: str) -> Response:
        if kind == "framed":
            allow_framing(["https://b.example", "https://a.example"])
        if kind == "framed-by-none":
            allow_framing([])
        response = Response("<!doctype html>", content_type="text/html; charset=utf-8")
        if kind == "token":
            response.headers["Referrer-Policy"] = "no-referrer"
        return response

    def file(kind: str) -> Response:
        static_file(is_forever=kind == "forever")
        return Response("text", 404 if kind == "missing" else 200, content_type="text/javascript")

    app.add_url_rule("/page/<kind>", "page", public(page))
    app.add_url_rule("/file/<kind>", "file", public(file))
    return app.test_client()


class TestPublicRead:
    @pytest.mark.parametrize("path", ["", "/results"])
    def test_may_be_kept_for_two_seconds_and_read_by_any_page(
        self, client: FlaskClient, poll_url: str, path: str
    ) -> None:
        response = client.get(poll_url + path)

        assert response.headers["Cache-Control"] == SHARED
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        assert "ETag" in response.headers["Access-Control-Expose-Headers"]
        assert "Vary" not in response.headers
        assert "Set-Cookie" not in response.headers
        assert "RateLimit" not in response.headers
        assert "RateLimit-Policy" not in response.headers

    def test_is_the_same_whoever_asks(self, client: FlaskClient, poll_url: str, keys: Keys) -> None:
        bare = client.get(poll_url)

        response = client.get(
            poll_url,
            headers={
                "Origin": STRANGER,
                "Cookie": "pollsvc_voter=x",
                "Authorization": "Bearer x",
                "X-Voter-Token": make_voter_token(keys),
                "X-Forwarded-For": "203.0.113.5",
            },
        )

        own = {"Date", "X-Request-ID"}
        assert response.data == bare.data
        assert [h for h in response.headers if h[0] not in own] == [
            h for h in bare.headers if h[0] not in own
        ]

    def test_has_a_tag_that_stays_while_nothing_changes(self, client: FlaskClient, poll_url: str) -> None:
        first, second = client.get(poll_url), client.get(poll_url)

        assert first.headers["ETag"] == second.headers["ETag"]

    def test_has_another_tag_after_a_vote(self, client: FlaskClient, poll_url: str, keys: Keys) -> None:
        before = client.get(poll_url).headers["ETag"]
        client.post(f"{poll_url}/votes", json={"choices": [1], "voter_token": make_voter_token(keys)})

        assert client.get(poll_url).headers["ETag"] != before

    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    @pytest.mark.parametrize("condition", ["{}", '"other", {}', "W/{}", "*"])
    def test_is_304_to_who_has_it(
        self, client: FlaskClient, poll_url: str, method: str, condition: str
    ) -> None:
        tag = client.get(poll_url).headers["ETag"]

        response = client.open(
            poll_url, method=method, headers={"If-None-Match": condition.format(tag), "Origin": STRANGER}
        )

        assert (response.status_code, response.data) == (304, b"")
        assert response.headers["ETag"] == tag
        assert response.headers["Cache-Control"] == SHARED
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        assert "Content-Type" not in response.headers

    @pytest.mark.parametrize(
        "condition",
        ['"other"', "", "nonsense", '"' + "x" * 10_000 + '"'],
        ids=["other", "empty", "bare", "long"],
    )
    def test_is_sent_to_who_has_something_else(
        self, client: FlaskClient, poll_url: str, condition: str
    ) -> None:
        assert client.get(poll_url, headers={"If-None-Match": condition}).status_code == 200

    def test_of_an_article_has_a_tag_of_all_its_polls(
        self, client: FlaskClient, poll_url: str, keys: Keys
    ) -> None:
        path = f"/v1/articles/polls?article_url={ORIGIN}/harbour/new-ferry"
        before = client.get(path)
        client.post(f"{poll_url}/votes", json={"choices": [1], "voter_token": make_voter_token(keys)})

        after = client.get(path)

        assert before.headers["Cache-Control"] == after.headers["Cache-Control"] == SHARED
        assert before.headers["ETag"] != after.headers["ETag"]

    def test_that_read_a_voter_token_is_for_its_voter_alone(
        self, client: FlaskClient, poll_url: str, keys: Keys
    ) -> None:
        response = client.get(f"{poll_url}/results", headers={"X-Voter-Token": make_voter_token(keys)})

        assert response.headers["Cache-Control"] == PRIVATE
        assert "ETag" not in response.headers

    @pytest.mark.parametrize(
        ("path", "status"),
        [(f"/v1/polls/{ID}", 404), (f"/v1/polls/{ID}/results", 404), ("/v1/articles/polls", 422)],
    )
    def test_that_failed_is_kept_by_nobody(self, client: FlaskClient, path: str, status: int) -> None:
        response = client.get(path)

        assert response.status_code == status
        assert response.headers["Cache-Control"] == PRIVATE
        assert "Access-Control-Allow-Origin" not in response.headers
        assert "ETag" not in response.headers


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
class TestCaching:
    def test_what_is_not_declared_public_is_private(self, app: Flask, staff_client: FlaskClient) -> None:
        shared = {"/openapi.json"}
        found = {}
        for path, methods in addresses(app):
            for method in methods & {"GET", "POST", "PATCH", "DELETE"}:
                if path.startswith(("/v1/", "/healthz", "/readyz", "/metrics", "/openapi.json")):
                    response = staff_client.open(path, method=method)
                    if response.headers["Cache-Control"] != PRIVATE:
                        found[path] = response.headers["Cache-Control"]

        # The addresses are filled with ids that lead nowhere: what is public there answers 404.
        assert found.keys() == shared

    def test_a_file_is_kept_for_five_minutes(self, page_client: FlaskClient) -> None:
        response = page_client.get("/file/plain")

        assert response.headers["Cache-Control"] == "public, max-age=300"
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        assert response.headers["Cross-Origin-Resource-Policy"] == "cross-origin"

    def test_a_file_whose_name_changes_is_kept_for_a_year(self, page_client: FlaskClient) -> None:
        cache_control = page_client.get("/file/forever").headers["Cache-Control"]

        assert cache_control == "public, max-age=31536000, immutable"

    def test_a_file_that_is_missing_is_not_kept(self, page_client: FlaskClient) -> None:
        response = page_client.get("/file/missing")

        assert response.headers["Cache-Control"] == PRIVATE
        assert "Access-Control-Allow-Origin" not in response.headers


class TestCors:
    def test_the_origin_of_a_site_may_read_what_it_wrote(self, client: FlaskClient, poll_url: str) -> None:
        response = client.post("/v1/voters", headers={"Origin": ORIGIN})

        assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert response.headers["Vary"] == "Origin"
        assert "Retry-After" in response.headers["Access-Control-Expose-Headers"]
        assert "Access-Control-Allow-Credentials" not in response.headers

    def test_so_may_our_own(self, client: FlaskClient) -> None:
        response = client.post("/v1/voters", headers={"Origin": "http://localhost"})

        assert response.headers["Access-Control-Allow-Origin"] == "http://localhost"

    def test_the_default_port_of_our_own_is_left_out(self, make_app: Callable[..., Flask]) -> None:
        client = make_app(public_url="https://polls.example").test_client()

        response = client.post("/v1/voters", headers={"Origin": "https://polls.example"})

        assert response.headers["Access-Control-Allow-Origin"] == "https://polls.example"

    @pytest.mark.parametrize(
        "origin",
        [
            STRANGER,
            "null",
            "",
            "*",
            "http://news.example",
            "https://news.example:8443",
            "https://news.example/",
            "https://NEWS.example",
            "https://news.example.evil.example",
            "https://evil.example/https://news.example",
            "https://news.example, https://stranger.example",
            "https://sub.news.example",
            "https://news.example\x00",
            "http://localhost:80",
            "x" * 10_000,
        ],
        ids=lambda origin: ascii(origin[:45]),
    )
    def test_no_other_origin_may(self, client: FlaskClient, poll_url: str, origin: str) -> None:
        response = client.post("/v1/voters", headers={"Origin": origin})

        # The request is answered all the same: a page's origin is no authority.
        assert response.status_code == 201
        assert "Access-Control-Allow-Origin" not in response.headers
        assert response.headers["Vary"] == "Origin"

    def test_without_an_origin_the_answer_still_depends_on_it(self, client: FlaskClient) -> None:
        assert client.post("/v1/voters").headers["Vary"] == "Origin"

    @pytest.mark.parametrize(
        ("path", "options", "status"),
        [
            pytest.param("{}/votes", {"data": "{", "content_type": "application/json"}, 400, id="400"),
            pytest.param("{}/votes", {"json": {"choices": [1]}}, 401, id="401"),
            pytest.param("/v1/nothing", {"json": {}}, 404, id="404"),
            pytest.param("{}/votes", {"data": b"x" * 5_000}, 413, id="413"),
            pytest.param("{}/votes", {"data": {"choices": "1"}}, 415, id="415"),
            pytest.param("{}/votes", {"json": {}}, 422, id="422"),
        ],
    )
    def test_a_page_of_a_site_may_read_why_it_was_refused(
        self, client: FlaskClient, poll_url: str, path: str, options: dict[str, Any], status: int
    ) -> None:
        response = client.post(path.format(poll_url), headers={"Origin": ORIGIN}, **options)

        assert response.status_code == status
        assert response.headers["Access-Control-Allow-Origin"] == ORIGIN

    def test_so_may_it_read_that_it_called_too_often(
        self, make_app: Callable[..., Flask], poll_url: str
    ) -> None:
        client = make_app(limit_voters="1/minute").test_client()
        client.post("/v1/voters")

        response = client.post("/v1/voters", headers={"Origin": ORIGIN})

        assert response.status_code == 429
        assert response.headers["Access-Control-Allow-Origin"] == ORIGIN

    @pytest.mark.parametrize("path", ["/healthz", "/nothing"])
    def test_what_is_not_the_api_is_read_by_no_page(
        self, client: FlaskClient, poll_url: str, path: str
    ) -> None:
        response = client.get(path, headers={"Origin": ORIGIN})

        assert "Access-Control-Allow-Origin" not in response.headers


class TestPreflight:
    @staticmethod
    def ask(client: FlaskClient, path: str, origin: str, method: str, fields: str) -> TestResponse:
        asked = {
            "Origin": origin,
            "Access-Control-Request-Method": method,
            "Access-Control-Request-Headers": fields,
        }
        return client.options(path, headers=asked)

    @pytest.mark.parametrize("path", ["/v1/voters", "{}/votes", "/v1/consents", "/v1/corrections"])
    def test_lets_a_page_of_a_site_write(self, client: FlaskClient, poll_url: str, path: str) -> None:
        response = self.ask(client, path.format(poll_url), ORIGIN, "POST", "content-type")

        assert response.status_code == 200
        assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert "POST" in response.headers["Access-Control-Allow-Methods"]
        assert response.headers["Access-Control-Allow-Headers"] == "Content-Type, X-Voter-Token"
        assert int(response.headers["Access-Control-Max-Age"]) > 0
        assert response.headers["Vary"] == "Origin"

    def test_lets_a_page_of_a_site_say_who_votes(self, client: FlaskClient, poll_url: str) -> None:
        response = self.ask(client, f"{poll_url}/results", ORIGIN, "GET", "x-voter-token")

        assert "X-Voter-Token" in response.headers["Access-Control-Allow-Headers"]
        assert "GET" in response.headers["Access-Control-Allow-Methods"]

    def test_never_lets_a_page_use_a_staff_token(self, client: FlaskClient, poll_url: str) -> None:
        response = self.ask(client, "/v1/tokens", ORIGIN, "POST", "authorization")

        assert "Authorization" not in response.headers["Access-Control-Allow-Headers"]

    @pytest.mark.parametrize("origin", [STRANGER, "null"])
    def test_lets_no_other_page(self, client: FlaskClient, poll_url: str, origin: str) -> None:
        response = self.ask(client, f"{poll_url}/votes", origin, "POST", "content-type")

        assert not [name for name, _ in response.headers if name.startswith("Access-Control-")]

    def test_counts_against_no_limit(self, make_app: Callable[..., Flask], poll_url: str) -> None:
        client = make_app(limit_voters="1/minute").test_client()
        for _ in range(3):
            self.ask(client, "/v1/voters", ORIGIN, "POST", "content-type")

        assert client.post("/v1/voters").status_code == 201


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
class TestSecurity:
    @pytest.mark.parametrize(
        "path", ["/v1/form-token", "/v1/nothing", "/healthz", "/nothing", "/openapi.json"]
    )
    def test_headers_are_on_every_answer(self, client: FlaskClient, path: str) -> None:
        headers = client.get(path).headers

        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "strict-origin-when-cross-origin"
        assert "geolocation=()" in headers["Permissions-Policy"]
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert "Set-Cookie" not in headers

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


class TestTag:
    def test_tells_different_things_apart(self, app: Flask) -> None:
        things: list[tuple[object, ...]] = [(1, [2]), (1, [2, 0]), (1, 2), ("1", [2]), ()]
        tags = set()
        for identity in things:
            with app.app_context():
                public_read(*identity)
                tags.add(g.etag)

        assert len(tags) == len(things)
