"""Who may keep an answer, and for how long."""

import pytest
from flask import Flask, g
from flask.testing import FlaskClient

from pollsvc.keys import Keys
from pollsvc.web.headers import public_read
from tests.factories import ORIGIN, make_voter_token
from tests.web.addresses import ID, addresses

STRANGER = "https://stranger.example"
SHARED = "public, max-age=0, s-maxage=2, stale-while-revalidate=2"
PRIVATE = "private, no-store"


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
                    response = staff_client.open(path, method=method, buffered=True)
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


class TestTag:
    def test_tells_different_things_apart(self, app: Flask) -> None:
        things: list[tuple[object, ...]] = [(1, [2]), (1, [2, 0]), (1, 2), ("1", [2]), ()]
        tags = set()
        for identity in things:
            with app.app_context():
                public_read(*identity)
                tags.add(g.etag)

        assert len(tags) == len(things)
