"""The load: clients who vote, send the same vote again where it got no answer, and read the results meanwhile."""

import http.client
import itertools
import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit
from uuid import UUID

from pollsvc.keys import Keys
from tests.factories import make_voter_token
from tests.faults.record import Record, Try

CLIENTS = 64
#: Every so many votes a client sends one again that has been answered, or reads the results.
AGAIN_EVERY, READ_EVERY = 5, 3
#: Seconds that a client waits for an answer; the verdict calls it a hang long before.
PATIENCE = 60.0
#: Seconds in which a test of the load waits for what must come.
BOUND = 45.0


class Stuck(Exception):
    """What a scenario waited for did not come."""


class Load:
    """Clients at work from `with` until its end, when each has sent its last vote until it was answered.

    :param address: of the service.
    :param ends: whether the service ends in the scenario: a client then stops at its first dropped connection.
    """

    def __init__(self, address: str, poll_id: UUID, keys: Keys, *, ends: bool = False) -> None:
        self.record = Record()
        self._netloc = urlsplit(address).netloc
        self._path = f"/v1/polls/{poll_id}"
        self._keys = keys
        self._ends = ends
        self._numbers = itertools.count(1)  # its next() is atomic
        self._stopping = threading.Event()
        self._given_up = threading.Event()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(CLIENTS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        deadline = time.monotonic() + BOUND
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._given_up.set()

    def wait_for_votes(self, count: int) -> None:
        """Wait until so many votes more have been counted."""
        goal = self.record.statuses()[201] + count
        self.wait_for(
            lambda tries: sum(tried.status == 201 for tried in tries) >= goal, f"{count} more votes"
        )

    def wait_for_refusals(self, count: int) -> None:
        """Wait until so many requests more were refused or dropped."""
        before = len([tried for tried in self.record.tries if tried.status in (503, None)])
        self.wait_for(
            lambda tries: sum(tried.status in (503, None) for tried in tries) >= before + count,
            f"{count} refusals",
        )

    def wait_for_counted_since(self, began: float) -> None:
        """Wait until a vote is counted that was sent after this moment."""
        self.wait_for(
            lambda tries: any(tried.status == 201 and tried.began >= began for tried in tries),
            "a vote counted after the fault",
        )

    def wait_for(self, condition: Callable[[list[Try]], bool], what: str) -> None:
        """Wait for a condition of the record.

        :raises Stuck: if it does not come.
        """
        if not self.record.wait_for(condition, BOUND):
            raise Stuck(f"{what}: waited {BOUND:.0f} s in vain, after {dict(self.record.statuses())}")

    def _work(self) -> None:
        client = Client(self._netloc, self._path, self._keys, self.record)
        while not self._stopping.is_set():
            number = next(self._numbers)
            if not self._send_until_answered(client, number):
                break
            if number % AGAIN_EVERY == 0:
                client.vote(number)
            if number % READ_EVERY == 0:
                client.read()
        client.close()

    def _send_until_answered(self, client: "Client", number: int) -> bool:
        self.record.send(number)
        while not self._given_up.is_set():
            tried, wait = client.vote(number)
            if tried.is_answered_vote:
                return True
            if self._ends and tried.status is None:
                return False
            self._given_up.wait(wait)
        return False


class Client:
    """One reader's browser after the other, on one connection as long as it lasts."""

    def __init__(self, netloc: str, path: str, keys: Keys, record: Record) -> None:
        self._connection = http.client.HTTPConnection(netloc, timeout=PATIENCE)
        self._path, self._keys, self._record = path, keys, record

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def vote(self, number: int) -> tuple[Try, float]:
        """Send the vote of the reader of this number, and tell how long to wait before it is sent again."""
        token = make_voter_token(self._keys, number=number)
        body = json.dumps({"choices": [choice_of(number)], "voter_token": token})
        return self._send("POST", "/votes", body, number, flaw_of_vote)

    def read(self) -> None:
        """Read the results; they hold what was answered before, and their time does not go back."""
        votes, as_of = self._record.seen

        def flaw_of_read(answer: dict[str, object], _status: int) -> str:
            found, at = answer["total_voters"], str(answer["as_of"])
            self._record.see(at)
            if not isinstance(found, int) or found < votes:
                return f"a read showed {found} votes when {votes} had been answered"
            return f"as_of went back from {as_of} to {at}" if at < as_of else ""

        self._send("GET", "/results", None, None, flaw_of_read)

    def _send(
        self,
        method: str,
        path: str,
        body: str | None,
        vote: int | None,
        flaw_of: Callable[[dict[str, object], int], str],
    ) -> tuple[Try, float]:
        began = time.monotonic()
        status, flaw, wait = None, "", 0.25
        try:
            headers = {"Content-Type": "application/json"} if body else {}
            self._connection.request(method, self._path + path, body, headers)
            response = self._connection.getresponse()
            content = response.read()
            status = response.status
            if status == 503:
                wait, flaw = wait_of(response.headers), flaw_of_refusal(response.headers, content)
                # A kept connection is closed by the server while we wait: that would look like a dropped request.
                self._connection.close()
            else:
                flaw = flaw_of(json.loads(content), status) if status in (200, 201) else f"status {status}"
        except TimeoutError:
            flaw = f"no answer within {PATIENCE:.0f} s"
            self._connection.close()
        except (OSError, http.client.HTTPException):
            status = None
            self._connection.close()
        tried = Try(vote, began, time.monotonic(), status, flaw)
        self._record.add(tried)
        return tried, wait


def choice_of(number: int) -> int:
    """What the reader of this number votes for."""
    return 1 + number % 2


def flaw_of_vote(answer: dict[str, object], status: int) -> str:
    """Tell what is wrong with the answer to a vote that was taken."""
    expected = {201: "counted", 200: "already_counted"}[status]
    return "" if answer.get("status") == expected else f"status {status} says {answer.get('status')!r}"


def flaw_of_refusal(headers: http.client.HTTPMessage, content: bytes) -> str:
    """Tell what is wrong with a 503."""
    if not headers.get("Retry-After", "").isdigit():
        return "503 without Retry-After"
    if headers.get_content_type() != "application/problem+json":
        return f"503 as {headers.get_content_type()}"
    with suppress(ValueError):
        return "" if json.loads(content).get("code") else "503 without a code"
    return "503 without JSON"


def wait_of(headers: http.client.HTTPMessage) -> float:
    """Give the seconds to wait that a refusal names."""
    named = headers.get("Retry-After", "")
    return float(named) if named.isdigit() else 1.0
