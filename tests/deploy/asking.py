"""What readers ask through nginx, and what the service noticed of it."""

import http.client
import json
import time
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tests.live_server import LiveServer

POLL = "/v1/polls/<uuid:poll_id>"
RESULTS = "/v1/polls/<uuid:poll_id>/results"
#: What the shield files its answers under.
WINDOW = 2.0
#: nginx reads the clock once in each turn of its loop, so that it may be late by one.
LATE = 0.1


@dataclass(frozen=True)
class Answer:
    """One answer, and when it was asked for."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes
    asked_at: float

    def json(self) -> Any:
        """Give the document."""
        return json.loads(self.body)


def ask(address: str, path: str, body: object = None, *, method: str | None = None, **headers: str) -> Answer:
    """Send one request over a connection of its own; a name's underscores stand for hyphens."""
    with closing(http.client.HTTPConnection(urlsplit(address).netloc, timeout=30)) as connection:
        return ask_over(connection, path, body, method, headers)


def ask_again_and_again(address: str, path: str, times: int) -> list[Answer]:
    """Read a path over one kept connection."""
    with closing(http.client.HTTPConnection(urlsplit(address).netloc, timeout=30)) as connection:
        return [ask_over(connection, path) for _ in range(times)]


def burst(address: str, path: str, *, readers: int, times: int) -> list[Answer]:
    """Let so many readers read a path at once, so many times each."""
    with ThreadPoolExecutor(readers) as pool:
        told = pool.map(lambda _: ask_again_and_again(address, path, times), range(readers))
        return [answer for each in told for answer in each]


def ask_over(
    connection: http.client.HTTPConnection,
    path: str,
    body: object = None,
    method: str | None = None,
    headers: Mapping[str, str] = {},
) -> Answer:
    """Send one request over a connection that may be kept."""
    sent = {name.replace("_", "-"): text for name, text in headers.items()}
    data = json.dumps(body).encode() if isinstance(body, dict) else body
    if data is not None:
        sent.setdefault("Content-Type", "application/json")
    asked_at = time.time()
    connection.request(method or ("GET" if data is None else "POST"), path, data, sent)  # type: ignore[arg-type]
    response = connection.getresponse()
    return Answer(response.status, response.headers, response.read(), asked_at)


@dataclass
class Noticed:
    """Requests that reached the service, by the pattern of their route, and how many two-second windows that took."""

    routes: list[str] = field(default_factory=list)
    windows: int = 0

    def count(self, route: str) -> int:
        """Give how many were of this route."""
        return self.routes.count(route)


@contextmanager
def noticed_by(server: LiveServer) -> Iterator[Noticed]:
    """Note what reaches the service meanwhile; ready when the block ends."""
    noticed, began, before = Noticed(), time.time(), len(_requests(server))
    yield noticed
    noticed.routes = [each["route"] for each in _requests(server)[before:]]
    noticed.windows = int(time.time() // WINDOW) - int((began - LATE) // WINDOW) + 1


def _requests(server: LiveServer) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in server.stderr.splitlines() if line.startswith("{")]
    return [each for each in lines if each["event"] == "request"]


def poll_path(poll_id: uuid.UUID) -> str:
    """Where a poll is read."""
    return f"/v1/polls/{poll_id}"


def vote(address: str, poll_id: uuid.UUID, token: str, **headers: str) -> Answer:
    """Vote for the first choice."""
    body = {"choices": [1], "voter_token": token}
    return ask(address, f"{poll_path(poll_id)}/votes", body, **headers)
