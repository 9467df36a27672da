"""Limits counted in a real Redis: shared by processes, and no reason to fail when it does."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
from flask import Flask, Response
from flask.testing import FlaskClient

from pollsvc.web.limits import spend
from tests.redis_server import RedisServer
from tests.web.test_limits import ask_for_voters

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

App = Callable[..., Flask]
PATIENCE = 1.0  # seconds that a hanging Redis may cost a request


def counted(server: RedisServer) -> int:
    """Give what Redis has counted against all limits."""
    with redis.Redis.from_url(server.url, socket_timeout=5) as client:
        return sum(int(client.get(key) or 0) for key in client.keys())  # noqa: SIM118 (a client is no dictionary)


def wait_until_counted(client: FlaskClient, server: RedisServer, expected: Callable[[int], bool]) -> None:
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        assert client.post("/v1/voters").status_code in (201, 429)
        if expected(counted(server)):
            return
        time.sleep(0.1)
    raise AssertionError("Redis was not counted in again")


class TestShared:
    def test_by_all_applications(self, make_app: App, redis_url: str) -> None:
        apps = [make_app(redis_url=redis_url, limit_voters="3/minute") for _ in range(2)]
        first, second = (app.test_client() for app in apps)

        answers = [client.post("/v1/voters").status_code for client in (first, second, first, second, first)]

        assert answers == [201, 201, 201, 429, 429]

    def test_tells_what_is_left_for_all(self, make_app: App, redis_url: str) -> None:
        apps = [make_app(redis_url=redis_url, limit_voters="9/minute") for _ in range(2)]
        apps[0].test_client().post("/v1/voters")

        headers = apps[1].test_client().post("/v1/voters").headers

        assert headers["RateLimit-Policy"] == '"voters";q=9;w=60'
        assert headers["RateLimit"].startswith('"voters";r=7;t=')

    def test_by_threads_without_losing_a_count(self, make_app: App, redis_url: str) -> None:
        apps = [make_app(redis_url=redis_url, limit_voters="20/hour") for _ in range(2)]

        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda n: ask_for_voters(apps[n % 2].test_client(), 5), range(8)))

        assert sorted(status for each in answers for status in each) == [201] * 20 + [429] * 20

    def test_keys_hold_no_address_and_end(self, make_app: App, redis_server: RedisServer) -> None:
        client = make_app(redis_url=redis_server.url).test_client()
        client.post("/v1/voters", environ_base={"REMOTE_ADDR": "198.51.100.7"})

        with redis.Redis.from_url(redis_server.url, decode_responses=True) as store:
            (key,) = store.keys()
            assert 0 < store.ttl(key) <= 61
        assert "voters" in key
        assert "198.51" not in key


class TestKilled:
    def test_the_service_goes_on_with_a_quarter_of_each_limit(
        self, make_app: App, redis_server: RedisServer
    ) -> None:
        client = make_app(redis_url=redis_server.url, limit_voters="8/minute").test_client()
        redis_server.stop()

        assert ask_for_voters(client, 4) == [201, 201, 429, 429]

    def test_at_least_one_request_is_let_through(self, make_app: App, redis_server: RedisServer) -> None:
        client = make_app(redis_url=redis_server.url, limit_voters="2/minute").test_client()
        redis_server.stop()

        assert ask_for_voters(client, 2) == [201, 429]

    def test_the_stricter_limit_is_told(self, make_app: App, redis_server: RedisServer) -> None:
        client = make_app(redis_url=redis_server.url, limit_voters="8/2 minutes").test_client()
        redis_server.stop()

        headers = client.post("/v1/voters").headers

        assert headers["RateLimit-Policy"] == '"voters";q=2;w=120'
        assert headers["RateLimit"].startswith('"voters";r=1;t=')

    def test_a_start_without_it_serves(self, make_app: App, redis_server: RedisServer) -> None:
        redis_server.stop()

        client = make_app(redis_url=redis_server.url).test_client()

        assert client.post("/v1/voters").status_code == 201

    def test_between_counting_and_telling_nothing_is_missed(
        self, make_app: App, redis_server: RedisServer
    ) -> None:
        app = make_app(redis_url=redis_server.url)

        # What is registered last runs first: after the count, before the telling.
        @app.after_request
        def kill(response: Response) -> Response:
            redis_server.stop()
            return response

        response = app.test_client().post("/v1/voters")

        assert response.status_code == 201
        assert response.headers["RateLimit"].startswith('"voters";r=599;t=')

    @pytest.mark.slow
    def test_and_back_again_it_counts_again(self, make_app: App, redis_server: RedisServer) -> None:
        client = make_app(redis_url=redis_server.url).test_client()
        redis_server.stop()
        assert client.post("/v1/voters").status_code == 201
        redis_server.start()

        wait_until_counted(client, redis_server, lambda count: count > 0)


class TestHanging:
    def test_a_request_is_answered_all_the_same_and_soon(
        self, make_app: App, redis_server: RedisServer
    ) -> None:
        client = make_app(redis_url=redis_server.url).test_client()
        client.post("/v1/voters")
        redis_server.pause()
        began = time.monotonic()

        response = client.post("/v1/voters")

        assert response.status_code == 201
        assert response.headers["RateLimit-Policy"] == '"voters";q=150;w=60'
        assert time.monotonic() - began < PATIENCE

    def test_every_thread_that_waited_is_answered(self, make_app: App, redis_server: RedisServer) -> None:
        app = make_app(redis_url=redis_server.url)
        ask_for_voters(app.test_client(), 1)
        redis_server.pause()

        with ThreadPoolExecutor(12) as pool:
            answers = list(pool.map(lambda _: ask_for_voters(app.test_client(), 1), range(12)))

        assert answers == [[201]] * 12

    @pytest.mark.slow
    def test_and_resumed_it_counts_again(self, make_app: App, redis_server: RedisServer) -> None:
        client = make_app(redis_url=redis_server.url).test_client()
        client.post("/v1/voters")
        redis_server.pause()
        assert client.post("/v1/voters").status_code == 201
        redis_server.resume()
        before = counted(redis_server)

        wait_until_counted(client, redis_server, lambda count: count > before)


class TestReady:
    def test_says_that_redis_answers(self, make_app: App, redis_url: str, staff_client: FlaskClient) -> None:
        client = make_app(redis_url=redis_url).test_client()

        response = client.get("/readyz", headers=staff_headers(staff_client))

        assert response.json == {"status": "ready", "parts": {"database": "up", "redis": "up"}}

    @pytest.mark.parametrize("fault", ["stop", "pause"])
    def test_stays_ready_without_it_and_says_so(
        self, make_app: App, redis_server: RedisServer, staff_client: FlaskClient, fault: str
    ) -> None:
        client = make_app(redis_url=redis_server.url).test_client()
        getattr(redis_server, fault)()

        response = client.get("/readyz", headers=staff_headers(staff_client))

        assert response.status_code == 200
        assert response.json == {"status": "ready", "parts": {"database": "up", "redis": "down"}}

    def test_tells_a_stranger_nothing_of_it(self, make_app: App, redis_server: RedisServer) -> None:
        client = make_app(redis_url=redis_server.url).test_client()
        redis_server.stop()

        assert client.get("/readyz").json == {"status": "ready"}


def staff_headers(client: FlaskClient) -> dict[str, str]:
    return {"Authorization": client.environ_base["HTTP_AUTHORIZATION"]}


class TestSpend:
    @pytest.mark.parametrize("fault", ["stop", "pause"])
    def test_lets_through_what_it_cannot_count(
        self, make_app: App, redis_server: RedisServer, stderr: Callable[[], str], fault: str
    ) -> None:
        app = make_app(redis_url=redis_server.url, limit_consents="1/minute")
        getattr(redis_server, fault)()
        began = time.monotonic()

        with app.test_request_context("/", environ_base={"REMOTE_ADDR": "198.51.100.7"}):
            assert spend("consents")

        assert time.monotonic() - began < PATIENCE
        assert "rate limit storage is away" in stderr()

    def test_counts_in_memory_once_that_is_known(self, make_app: App, redis_server: RedisServer) -> None:
        app = make_app(redis_url=redis_server.url, limit_consents="4/minute")
        redis_server.stop()
        app.test_client().post("/v1/voters", environ_base={"REMOTE_ADDR": "198.51.100.7"})

        with app.test_request_context("/", environ_base={"REMOTE_ADDR": "198.51.100.7"}):
            assert [spend("consents") for _ in range(2)] == [True, False]
