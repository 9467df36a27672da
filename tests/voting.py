"""Readers who keep voting at a real server while something else is done to it."""

import http.client
import json
import threading
import uuid
from contextlib import closing
from typing import Self
from urllib.parse import urlsplit

from pollsvc.keys import Keys
from tests.factories import make_voter_token
from tests.processes import wait_until

#: So that a test that forgets to stop them ends.
MOST = 20_000


class Voting:
    """Several readers at once, each voting once, until the block ends. What each was told is kept.

    :param first: the number of the first reader.
    """

    def __init__(
        self, address: str, poll_id: uuid.UUID, keys: Keys, *, clients: int = 4, first: int = 1
    ) -> None:
        self.told: dict[int, int | str] = {}
        self._address = address
        self._poll_id = poll_id
        self._keys = keys
        self._numbers = iter(range(first, first + MOST))
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._vote) for _ in range(clients)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    @property
    def counted(self) -> set[int]:
        """The readers who were told that their vote counts."""
        return {number for number, told in self._copy().items() if told == 201}

    @property
    def refused(self) -> dict[int, int | str]:
        """The others, and what they were told."""
        return {number: told for number, told in self._copy().items() if told != 201}

    def _copy(self) -> dict[int, int | str]:
        with self._lock:
            return dict(self.told)

    def _note(self, number: int, told: int | str) -> None:
        with self._lock:
            self.told[number] = told

    def wait_for_more(self, number: int = 20) -> None:
        """Wait until so many more votes were counted."""
        goal = len(self.counted) + number
        wait_until(lambda: len(self.counted) >= goal, seconds=30)

    def _vote(self) -> None:
        netloc = urlsplit(self._address).netloc
        with closing(http.client.HTTPConnection(netloc, timeout=30)) as connection:
            while not self._is_over.is_set():
                with self._lock:
                    number = next(self._numbers)
                body = json.dumps(
                    {"choices": [1], "voter_token": make_voter_token(self._keys, number=number)}
                )
                path = f"/v1/polls/{self._poll_id}/votes"
                try:
                    connection.request("POST", path, body, {"Content-Type": "application/json"})
                    response = connection.getresponse()
                    response.read()
                    self._note(number, response.status)
                except (OSError, http.client.HTTPException) as error:
                    connection.close()
                    self._note(number, type(error).__name__)
