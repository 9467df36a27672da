"""What nginx keeps away from the service, and what it answers when the service does not."""

import http.client
import json
import re
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from itertools import count
from pathlib import Path

import pytest

from pollsvc.keys import Keys
from tests.databases import SqliteDatabase
from tests.deploy.asking import Answer, ask, ask_over, poll_path, vote
from tests.deploy.conftest import SETTINGS, THREADS
from tests.factories import make_voter_token
from tests.live_server import LiveServer
from tests.nginx import Nginx
from tests.processes import wait_until
from tests.web.problems import MEMBERS

#: Apart from those of the other modules, which vote in the same database.
_numbers = count(1_000_000)


def new_token(keys: Keys) -> str:
    """Give a reader's who has not voted."""
    return make_voter_token(keys, number=next(_numbers))


def read_problem(answer: Answer, status: int, code: str) -> None:
    """Expect a failure in the shape that programs know."""
    assert (answer.status, answer.headers["Content-Type"]) == (status, "application/problem+json")
    document = answer.json()
    assert document.keys() >= MEMBERS
    assert (document["status"], document["code"]) == (status, code)
    assert document["request_id"] == answer.headers["X-Request-ID"] != ""
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert "nginx" not in answer.body.decode()


def read_page(answer: Answer, status: int) -> None:
    """Expect a failure as a page for a person."""
    assert (answer.status, answer.headers["Content-Type"]) == (status, "text/html; charset=utf-8")
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert b"<h1>" in answer.body
    assert b"nginx" not in answer.body


@pytest.fixture
def stoppable(
    nginx_program: str, installation: SqliteDatabase, tmp_path: Path
) -> Iterator[tuple[LiveServer, Nginx]]:
    """Another service on the same database, which may be stopped, and an nginx before it."""
    settings = SETTINGS | {"POLLSVC_DATABASE_URL": installation.url}
    with LiveServer(settings, tmp_path) as service, Nginx(nginx_program, service.port) as nginx:
        yield service, nginx


class SlowVote:
    """A vote whose body comes byte by byte, whenever `drip` is called."""

    def __init__(self, proxy: Nginx, poll_id: uuid.UUID, token: str) -> None:
        self._body = json.dumps({"choices": [1], "voter_token": token}).encode()
        self._sent = 0
        self._socket = socket.create_connection(("127.0.0.1", proxy.port), 30)
        head = (
            f"POST {poll_path(poll_id)}/votes HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(self._body)}\r\n\r\n"
        )
        self._socket.sendall(head.encode())

    def drip(self) -> None:
        """Send the next byte."""
        self._socket.sendall(self._body[self._sent : self._sent + 1])
        self._sent += 1

    def finish(self) -> int:
        """Send the rest, and give the status of the answer."""
        self._socket.sendall(self._body[self._sent :])
        response = http.client.HTTPResponse(self._socket)
        response.begin()
        response.read()
        return response.status

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


class TestSlowClients:
    def test_bodies_that_come_byte_by_byte_hold_no_thread_of_the_service(
        self, proxy: Nginx, poll_id: uuid.UUID, keys: Keys
    ) -> None:
        with ExitStack() as stack:
            slow = [
                stack.enter_context(closing(SlowVote(proxy, poll_id, new_token(keys))))
                for _ in range(10 * THREADS)
            ]
            statuses = []
            for _ in range(20):
                for each in slow:
                    each.drip()
                statuses.append(vote(proxy.address, poll_id, new_token(keys)).status)
            late = [each.finish() for each in slow]

        assert statuses == [201] * 20
        assert late == [201] * len(slow)

    def test_idle_connections_hold_nobody_up(self, proxy: Nginx, poll_id: uuid.UUID, keys: Keys) -> None:
        with ExitStack() as stack:
            for _ in range(400):
                stack.enter_context(socket.create_connection(("127.0.0.1", proxy.port), 30))

            assert vote(proxy.address, poll_id, new_token(keys)).status == 201

    @pytest.mark.slow
    @pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: poll"], ids=["nothing", "half a head"])
    def test_who_never_ends_a_request_is_hung_up_on(self, proxy: Nginx, sent: bytes) -> None:
        with socket.create_connection(("127.0.0.1", proxy.port), 60) as opened:
            opened.sendall(sent)
            try:
                received = opened.recv(1000)
            except ConnectionResetError:
                received = b""

        assert received == b""


class TestTooLarge:
    @pytest.mark.parametrize(
        "size", [5_000, 90_000, 200_000], ids=["by the service", "by it too", "by nginx"]
    )
    def test_a_vote_is_refused_as_a_problem(self, proxy: Nginx, poll_id: uuid.UUID, size: int) -> None:
        answer = ask(proxy.address, f"{poll_path(poll_id)}/votes", b" " * size)

        read_problem(answer, 413, "too_large")

    def test_a_form_is_refused_by_a_page(self, proxy: Nginx, poll_id: uuid.UUID) -> None:
        kind = "application/x-www-form-urlencoded"

        answer = ask(proxy.address, f"/embed/polls/{poll_id}", b"x=" + b"y" * 200_000, Content_Type=kind)

        read_page(answer, 413)

    def test_a_body_in_chunks_arrives_with_its_length(
        self, proxy: Nginx, poll_id: uuid.UUID, keys: Keys
    ) -> None:
        body = json.dumps({"choices": [1], "voter_token": new_token(keys)}).encode()
        with closing(http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=30)) as connection:
            headers = {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}
            connection.request(
                "POST",
                f"{poll_path(poll_id)}/votes",
                iter([body[:10], body[10:]]),
                headers,
                encode_chunked=True,
            )

            assert connection.getresponse().status == 201

    def test_no_body_is_written_to_a_disk(self, proxy: Nginx) -> None:
        message = {"article_url": "https://news.example/a", "name": "Ada", "email": "a@b.example"}

        ask(proxy.address, "/v1/corrections", {**message, "message": "x" * 60_000})

        assert list((proxy.directory / "pollsvc-nginx-unused").rglob("*.*")) == []
        assert proxy.complaints.count("buffered to a temporary file") == 0


class TestAddress:
    def test_one_that_the_client_made_up_is_not_believed(self, proxy: Nginx) -> None:
        answers = [
            ask(
                proxy.address,
                "/v1/voters",
                {},
                X_Forwarded_For=f"198.51.100.{number}",
                X_Real_IP=f"198.51.100.{number}",
                Forwarded=f"for=198.51.100.{number}",
            )
            for number in range(7)
        ]

        assert [each.status for each in answers] == [201] * 5 + [429] * 2
        assert answers[-1].json()["code"] == "rate_limited"
        assert int(answers[-1].headers["Retry-After"]) > 0

    def test_behind_a_cdn_the_one_that_it_saw_counts(self, nginx_program: str, service: LiveServer) -> None:
        # The lines of site/public.conf, with this machine as the CDN.
        further = "set_real_ip_from 127.0.0.1; real_ip_header X-Forwarded-For; real_ip_recursive on;"
        with Nginx(nginx_program, service.port, further=further) as nginx:
            answers = [
                ask(nginx.address, "/v1/voters", {}, X_Forwarded_For=f"198.51.100.{number}, {seen}").status
                for seen in ("203.0.113.1", "203.0.113.2")
                for number in range(6)
            ]

        assert answers == [*[201] * 5, 429, *[201] * 5, 429]


class TestOutage:
    def test_a_stopped_service_is_told_of_and_comes_back_by_itself(
        self,
        stoppable: tuple[LiveServer, Nginx],
        new_poll: Callable[..., uuid.UUID],
        poll_id: uuid.UUID,
        keys: Keys,
    ) -> None:
        service, nginx = stoppable
        token = new_token(keys)
        known_path = poll_path(new_poll())
        assert ask(nginx.address, known_path).status == 200
        service.stop()

        for answer in (
            vote(nginx.address, poll_id, token),
            ask(nginx.address, poll_path(poll_id)),
            ask(nginx.address, "/readyz"),
        ):
            read_problem(answer, 503, "unavailable")
            assert answer.headers["Retry-After"] == "2"
            assert answer.headers["Access-Control-Allow-Origin"] == "*"
        page = ask(nginx.address, f"/embed/polls/{poll_id}")
        read_page(page, 503)
        assert page.headers["Retry-After"] == "2"

        # What was cached is not given out for longer than ever.
        wait_until(lambda: ask(nginx.address, known_path).status == 503)

        service.start()
        wait_until(lambda: vote(nginx.address, poll_id, token).status in (200, 201))
        wait_until(lambda: ask(nginx.address, poll_path(poll_id)).status == 200)
        assert re.search(r"127\.0\.0\.1|client|/v1/", nginx.complaints) is None

    def test_what_a_broken_connection_took_is_sent_again_only_if_it_is_a_read(
        self, nginx_program: str
    ) -> None:
        with (
            fickle_service() as (port, seen),
            Nginx(nginx_program, port) as nginx,
            closing(http.client.HTTPConnection("127.0.0.1", nginx.port, timeout=30)) as connection,
        ):
            # The first request over each connection is answered, so that it is kept; the second ends it. One connection of
            # a client stays with one process of nginx, and so with the connections that this one keeps.
            reads = [ask_over(connection, "/v1/form-token").status for _ in range(2)]
            assert (reads, seen) == ([200] * 2, ["GET"] * 3)
            sign_up = ask_over(connection, "/v1/consents", {})

        assert seen == ["GET"] * 3 + ["POST"]
        read_problem(sign_up, 503, "unavailable")


@contextmanager
def fickle_service() -> Iterator[tuple[int, list[str]]]:
    """A service that hangs up at the second request of each connection; gives its port, and the methods it has seen."""
    seen: list[str] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer_once, args=(connection,), daemon=True).start()

    def answer_once(connection: socket.socket) -> None:
        with connection, connection.makefile("rwb") as stream:
            for is_second in (False, True):
                head = list(iter(stream.readline, b"\r\n"))
                seen.append(head[0].split()[0].decode())
                if not is_second:
                    stream.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
                    stream.flush()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1], seen
        listener.shutdown(socket.SHUT_RDWR)
