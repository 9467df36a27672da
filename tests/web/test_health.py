"""Is it alive, is it ready, what has it counted."""

import os
import re
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from pollsvc.keys import Keys
from tests.factories import make_token, make_voter_token
from tests.live_server import LiveServer
from tests.web.problems import read_problem

App = Callable[..., Flask]


def value_of(exposition: str, sample: str) -> float:
    """Give the value of a sample such as `pollsvc_votes_total{outcome="counted"}`; 0 where there is none."""
    found = re.search(rf"^{re.escape(sample)} (\S+)$", exposition, re.MULTILINE)
    return float(found[1]) if found else 0.0


class TestAlive:
    def test_answers(self, client: FlaskClient) -> None:
        response = client.get("/healthz")

        assert (response.status_code, response.json) == (200, {"status": "ok"})
        assert response.headers["Cache-Control"] == "private, no-store"

    def test_asks_no_other_part(self, make_app: App, tmp_path: Path) -> None:
        client = make_app(
            database_url=f"sqlite:///{tmp_path / 'nowhere' / 'at-all.db'}", redis_url="redis://127.0.0.1:1/0"
        ).test_client()

        assert client.get("/healthz").status_code == 200


class TestReady:
    def test_tells_a_stranger_that_it_is_and_no_more(self, client: FlaskClient) -> None:
        response = client.get("/readyz")

        assert (response.status_code, response.json) == (200, {"status": "ready"})

    @pytest.mark.parametrize("scope", ["admin", "polls:write"])
    def test_tells_a_token_of_each_part(
        self, staff_client_with: Callable[..., FlaskClient], scope: str
    ) -> None:
        response = staff_client_with(scope).get("/readyz")

        assert response.json == {"status": "ready", "parts": {"database": "up"}}

    @pytest.mark.parametrize("credential", ["Bearer pollsvc_unknown", "Basic x", "", "Bearer"])
    def test_tells_a_wrong_token_what_it_tells_a_stranger(self, client: FlaskClient, credential: str) -> None:
        response = client.get("/readyz", headers={"Authorization": credential})

        assert (response.status_code, response.json) == (200, {"status": "ready"})

    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    @pytest.mark.parametrize("folder", ["", "nowhere"])
    @pytest.mark.parametrize(
        "headers", [{}, {"Authorization": "Bearer pollsvc_x"}], ids=["stranger", "token"]
    )
    def test_is_not_without_its_database(
        self, make_app: App, tmp_path: Path, folder: str, headers: dict[str, str]
    ) -> None:
        client = make_app(database_url=f"sqlite:///{tmp_path / folder / 'missing.db'}").test_client()

        response = client.get("/readyz", headers=headers)

        assert (response.status_code, response.json) == (
            503,
            {"status": "not_ready", "parts": {"database": "down"}},
        )
        assert int(response.headers["Retry-After"]) > 0
        assert response.headers["Cache-Control"] == "private, no-store"

    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    def test_is_not_on_a_database_that_was_never_migrated(self, make_app: App, tmp_path: Path) -> None:
        path = tmp_path / "empty.db"
        with closing(sqlite3.connect(path)) as made:
            made.execute("CREATE TABLE other (id INTEGER)")

        assert make_app(database_url=f"sqlite:///{path}").test_client().get("/readyz").status_code == 503

    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    def test_is_not_on_a_file_that_is_no_database(self, make_app: App, tmp_path: Path) -> None:
        path = tmp_path / "text.db"
        path.write_text("This is no database at all. " * 100)

        assert make_app(database_url=f"sqlite:///{path}").test_client().get("/readyz").status_code == 503


class TestMetrics:
    def test_needs_an_administrator(
        self, client: FlaskClient, staff_client_with: Callable[..., FlaskClient]
    ) -> None:
        assert client.get("/metrics").status_code == 401
        refused = staff_client_with("polls:write").get("/metrics")
        assert (refused.status_code, read_problem(refused)["code"]) == (403, "scope_missing")

    def test_is_what_prometheus_reads(self, staff_client: FlaskClient) -> None:
        response = staff_client.get("/metrics")

        assert response.status_code == 200
        assert response.content_type == "text/plain; version=0.0.4; charset=utf-8"
        assert "# TYPE pollsvc_requests_total counter" in response.text
        assert "# TYPE pollsvc_request_seconds histogram" in response.text

    def test_counts_requests_by_pattern_and_status(self, staff_client: FlaskClient, poll_url: str) -> None:
        sample = 'pollsvc_requests_total{method="GET",route="/v1/polls/<uuid:poll_id>",status="200"}'
        before = value_of(staff_client.get("/metrics").text, sample)
        for _ in range(3):
            staff_client.get(poll_url)

        after = staff_client.get("/metrics").text

        assert value_of(after, sample) == before + 3
        assert poll_url not in after

    def test_counts_what_has_no_route_as_one(self, staff_client: FlaskClient) -> None:
        for path in ("/v1/ada@reader.example", "/x/y/z"):
            staff_client.get(path)

        text = staff_client.get("/metrics").text

        assert 'route="unknown",status="404"' in text
        assert "ada@" not in text

    def test_counts_votes_by_outcome(self, staff_client: FlaskClient, poll_url: str, keys: Keys) -> None:
        samples = [
            f'pollsvc_votes_total{{outcome="{outcome}"}}' for outcome in ("counted", "already_counted")
        ]
        before = [value_of(staff_client.get("/metrics").text, sample) for sample in samples]
        for _ in range(3):
            staff_client.post(
                f"{poll_url}/votes", json={"choices": [1], "voter_token": make_voter_token(keys)}
            )

        text = staff_client.get("/metrics").text

        assert [value_of(text, s) - b for s, b in zip(samples, before, strict=True)] == [1, 2]

    def test_names_no_reader(self, staff_client: FlaskClient, poll_url: str, keys: Keys) -> None:
        token = make_voter_token(keys)
        staff_client.post(
            f"{poll_url}/votes",
            json={"choices": [1], "voter_token": token},
            environ_base={**staff_client.environ_base, "REMOTE_ADDR": "198.51.100.7"},
        )

        text = staff_client.get("/metrics").text

        assert token not in text
        assert "198.51" not in text


COUNTING = """
from pollsvc.web import metrics
for _ in range(5):
    metrics.count_request("GET", "/v1/x", 200, 0.003)
print(metrics.exposition(lambda: None).decode())
"""


class TestSeveralProcesses:
    def test_are_added_up_over_the_dead_too(self, tmp_path: Path) -> None:
        environ = os.environ | {
            "PROMETHEUS_MULTIPROC_DIR": str(tmp_path),
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        }

        texts = [
            subprocess.run(
                [sys.executable, "-c", COUNTING], env=environ, capture_output=True, text=True, check=True
            ).stdout
            for _ in range(3)
        ]

        sample = 'pollsvc_requests_total{method="GET",route="/v1/x",status="200"}'
        assert [value_of(text, sample) for text in texts] == [5, 10, 15]
        assert value_of(texts[-1], 'pollsvc_request_seconds_bucket{le="0.005",route="/v1/x"}') == 15


@pytest.mark.slow
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
class TestServed:
    def test_by_two_workers_each_tells_of_both(
        self, live_server: Callable[..., LiveServer], session: Session
    ) -> None:
        secret = make_token(session)
        session.commit()
        server = live_server("--workers", "2")
        sample = 'pollsvc_requests_total{method="GET",route="/v1/form-token",status="200"}'
        for _ in range(40):
            assert server.answers("/v1/form-token")

        # Whichever worker answers: each time on a connection of its own.
        told = {value_of(read_metrics(server, secret), sample) for _ in range(8)}

        assert told == {40}


def read_metrics(server: LiveServer, secret: str) -> str:
    request = urllib.request.Request(
        server.address + "/metrics", headers={"Authorization": f"Bearer {secret}"}
    )
    with urllib.request.urlopen(request, timeout=10) as response:
        return str(response.read().decode())
