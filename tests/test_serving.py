"""The real `pollsvc serve`: its workers, how it stops, and what it counts over all of them."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from pollsvc.db import Installation
from pollsvc.keys import Keys
from pollsvc.serving import _stay_on_one_processor
from tests.conftest import ENVIRON
from tests.databases import SqliteDatabase, SuiteDatabase, open_engine
from tests.factories import ARTICLE_URL, make_poll, make_site, make_token, make_voter_token
from tests.live_server import STOP_SECONDS, LiveServer, clean_environ, command
from tests.ports import free_port
from tests.processes import children_of, is_running, refuses, wait_until

pytestmark = pytest.mark.live

# What a server asks of its database is another module's matter; most of this one is the same on both.
on_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
on_postgresql = pytest.mark.parametrize("database", ["postgresql"], indirect=True)

METRICS_PORT = free_port()


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory, keys: Keys) -> str:
    """The URL of a migrated database of this module's own."""
    return SqliteDatabase(tmp_path_factory.mktemp("serving"), keys).url


@pytest.fixture(scope="module")
def server(installation: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """Two workers that the tests may kill, on an address of their own choice."""
    settings = {
        **ENVIRON,
        "POLLSVC_PUBLIC_URL": "",
        "POLLSVC_DATABASE_URL": installation,
        "POLLSVC_METRICS_PORT": str(METRICS_PORT),
    }
    with LiveServer(settings, tmp_path_factory.mktemp("served"), "--workers", "2") as started:
        yield started


@pytest.fixture(scope="module")
def token(installation: str, keys: Keys) -> str:
    """An administrator's, beside a site."""
    engine = open_engine(installation, keys)
    with Session(engine) as session:
        make_site(session)
        secret = make_token(session)
        session.commit()
    engine.dispose()
    return secret


@pytest.fixture
def empty_url(request: pytest.FixtureRequest, database: SuiteDatabase, tmp_path: Path) -> Iterator[str]:
    """A database that was never migrated, of the kind that the test runs on."""
    if database.url.startswith("sqlite"):
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    postgres = request.getfixturevalue("postgres")
    yield postgres.create_database("served_empty")
    postgres.drop_database("served_empty")


def call(url: str, body: object = None, **headers: str) -> tuple[int, Any]:
    """Send one request over a connection of its own, and give status and JSON."""
    data = None if body is None else json.dumps(body).encode()
    sent = urllib.request.Request(url, data, {"Content-Type": "application/json", **headers})
    with urllib.request.urlopen(sent, timeout=20) as response:
        return response.status, json.load(response)


class TestWorkers:
    def test_they_are_direct_children(self, server: LiveServer) -> None:
        assert len(children_of(server.process.pid)) == 2

    def test_each_stays_on_one_processor_and_not_on_the_same(self, server: LiveServer) -> None:
        allowed = os.sched_getaffinity(0)

        bound = [os.sched_getaffinity(pid) for pid in children_of(server.process.pid)]

        assert [len(each) for each in bound] == [1, 1]
        assert len(set.union(*bound)) == min(2, len(allowed))
        assert os.sched_getaffinity(server.process.pid) == allowed

    @on_sqlite
    def test_the_kernel_decides_where_they_are_not_pinned(
        self, live_server: Callable[..., LiveServer]
    ) -> None:
        free = live_server("--no-pin")

        assert [os.sched_getaffinity(pid) for pid in children_of(free.process.pid)] == [
            os.sched_getaffinity(0)
        ]

    def test_a_sandbox_that_forbids_it_is_no_reason_to_fail(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def forbid(*_: object) -> None:
            raise PermissionError

        monkeypatch.setattr(os, "sched_setaffinity", forbid)

        _stay_on_one_processor(0)

        assert os.sched_getaffinity(0)

    def test_the_garbage_collector_leaves_what_stays_in_them_alone(self) -> None:
        # In a process of its own: it would hold for all tests to come.
        program = (
            "import gc; from pollsvc.serving import YOUNG_OBJECTS, _leave_what_stays; _leave_what_stays();"
            "print(gc.get_freeze_count() > 10_000, gc.get_threshold()[0] == YOUNG_OBJECTS)"
        )

        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

        assert done.stdout.split() == ["True", "True"]

    def test_a_killed_one_is_replaced(self, server: LiveServer) -> None:
        before = children_of(server.process.pid)
        killed = min(before)

        os.kill(killed, signal.SIGKILL)

        wait_until(lambda: len(children_of(server.process.pid) - {killed}) == 2)
        assert before - {killed} < children_of(server.process.pid)
        wait_until(lambda: server.answers("/healthz"))

    def test_all_killed_at_once_and_again_are_replaced(self, server: LiveServer) -> None:
        first = kill_workers(server)
        wait_until(lambda: len(children_of(server.process.pid) - first) == 2)

        second = kill_workers(server)

        wait_until(lambda: len(children_of(server.process.pid) - first - second) == 2)
        wait_until(lambda: server.answers("/readyz"))
        assert server.process.poll() is None

    @on_sqlite
    def test_they_end_when_their_parent_was_killed(self, live_server: Callable[..., LiveServer]) -> None:
        orphaned = live_server("--workers", "2")
        workers = children_of(orphaned.process.pid)

        orphaned.process.kill()

        wait_until(lambda: not any(is_running(pid) for pid in workers))
        assert refuses(orphaned.port)


def kill_workers(server: LiveServer) -> set[int]:
    """Kill all workers at once, and give who they were."""
    workers = children_of(server.process.pid)
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    return workers


class TestAddress:
    def test_links_name_it_whatever_the_request_says(self, server: LiveServer, token: str) -> None:
        poll = {"article_urls": [ARTICLE_URL], "question": "Bell?", "choices": ["Yes", "No"]}

        _, made = call(
            f"{server.address}/v1/polls",
            poll,
            Authorization=f"Bearer {token}",
            Host="evil.example",
            **{"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"},
        )

        assert f"{server.address}/embed.js" in made["embed_html"]
        assert "evil.example" not in made["embed_html"]

    def test_a_port_that_another_service_listens_at_is_refused(
        self, server: LiveServer, tmp_path: Path
    ) -> None:
        done = subprocess.run(
            command("serve", "--port", str(server.port)),
            cwd=tmp_path,
            env=clean_environ({}),
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )

        assert done.returncode == 1
        assert done.stderr == (
            f"Error: Cannot listen on 127.0.0.1, port {server.port}: Address already in use. Choose another.\n"
        )
        assert server.answers("/healthz")


class TestMetrics:
    def test_they_count_all_processes(self, server: LiveServer, token: str) -> None:
        before = answered(server, token)

        for _ in range(30):
            assert server.answers("/healthz")

        assert answered(server, token) == before + 30

    def test_a_port_of_their_own_needs_no_token(self, server: LiveServer) -> None:
        with urllib.request.urlopen(f"http://127.0.0.1:{METRICS_PORT}/metrics", timeout=5) as response:
            assert b"pollsvc_requests_total" in response.read()


def answered(server: LiveServer, token: str) -> int:
    """Read how often /healthz was answered, by whichever worker."""
    asked = urllib.request.Request(f"{server.address}/metrics", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(asked, timeout=5) as response:
        text = response.read().decode()
    found = re.findall(r'^pollsvc_requests_total\{.*route="/healthz".*\} ([\d.]+)$', text, re.MULTILINE)
    return sum(int(float(number)) for number in found)


class TestStop:
    @on_postgresql
    def test_what_is_under_way_is_finished(
        self, live_server: Callable[..., LiveServer], session: Session, keys: Keys, database_url: str
    ) -> None:
        make_site(session)
        poll = make_poll(session)
        session.commit()
        server = live_server()
        ballot = {"choices": [1], "voter_token": make_voter_token(keys)}
        session.execute(sa.text("SELECT 1 FROM poll FOR UPDATE"))
        with ThreadPoolExecutor(1) as pool:
            vote = pool.submit(call, f"{server.address}/v1/polls/{poll.id}/votes", ballot)
            wait_until(lambda: waits_for_a_lock(database_url))

            server.process.send_signal(signal.SIGTERM)

            wait_until(lambda: refuses(server.port))
            session.rollback()
            assert vote.result()[0] == 201
        assert server.process.wait(STOP_SECONDS) == 0

    @pytest.mark.slow
    @on_sqlite
    def test_a_hanging_client_does_not_hold_it(self, live_server: Callable[..., LiveServer]) -> None:
        server = live_server()
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as client:
            client.sendall(
                b"POST /v1/voters HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                b"Content-Length: 100\r\nExpect: 100-continue\r\n\r\n"
            )
            # Sent when the application begins to read the body, which never comes.
            assert client.recv(100).startswith(b"HTTP/1.1 100 ")
            began = time.monotonic()

            status = server.stop()

        assert status == 0
        assert time.monotonic() - began < STOP_SECONDS

    @pytest.mark.parametrize(
        "number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda each: each.name
    )
    @on_sqlite
    def test_a_signal_to_the_whole_group_is_no_failure(
        self, live_server: Callable[..., LiveServer], tmp_path: Path, number: signal.Signals
    ) -> None:
        """systemd and a terminal tell the workers as well as their parent."""
        server = live_server("--workers", "2", TMPDIR=str(tmp_path))
        process = server.process

        os.killpg(process.pid, number)

        assert process.wait(STOP_SECONDS) == 0
        assert "replaced" not in server.stderr
        assert list(tmp_path.glob("pollsvc-metrics-*")) == []


def waits_for_a_lock(database_url: str) -> bool:
    """Say whether a statement in this PostgreSQL waits for another transaction."""
    with psycopg.connect(database_url.replace("+psycopg", ""), autocommit=True) as connection:
        waiting = connection.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        return bool(waiting.fetchone() != (0,))


class TestFirstStart:
    def test_two_at_once_on_an_empty_database_both_come_up(
        self, empty_url: str, tmp_path: Path, keys: Keys
    ) -> None:
        settings = {**ENVIRON, "POLLSVC_DATABASE_URL": empty_url, "POLLSVC_PUBLIC_URL": ""}
        servers = [LiveServer(settings, tmp_path) for _ in range(2)]
        gate = threading.Barrier(len(servers))

        def start(server: LiveServer) -> bool:
            gate.wait()
            server.start()
            return server.answers("/readyz")

        try:
            with ThreadPoolExecutor(len(servers)) as pool:
                assert list(pool.map(start, servers)) == [True, True]
        finally:
            for server in servers:
                server.__exit__()
        engine = open_engine(empty_url, keys)
        with Session(engine) as session:
            assert session.get_one(Installation, "hash_key").value == keys.fingerprint()
        engine.dispose()
