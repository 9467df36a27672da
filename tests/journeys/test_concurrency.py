"""Many readers vote at once, each several times, through two servers: each is counted once, and nobody is turned away."""

import http.client
import json
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pollsvc.keys import Keys
from pollsvc.polls.models import Ballot, TallySlot
from pollsvc.polls.tallies import find_differences, read_tally
from tests.factories import make_poll, make_site, make_voter_token
from tests.live_server import LiveServer

# A reader's presses of the button, in three patterns: the same choice again, another choice, and both.
PRESSES = ((1, 1), (1, 2), (2, 2, 1))


@dataclass(frozen=True)
class Press:
    """One vote of one reader, and where it is sent."""

    reader: int
    choice: int
    address: str


@dataclass(frozen=True)
class Told:
    """What a reader was told about one press."""

    press: Press
    status: int
    word: str


def vote(poll_id: uuid.UUID, press: Press, token: str) -> Told:
    """Send one vote over a connection of its own; one that is dropped is an error, not an answer."""
    body = json.dumps({"choices": [press.choice], "voter_token": token})
    with closing(http.client.HTTPConnection(urlsplit(press.address).netloc, timeout=30)) as connection:
        connection.request("POST", f"/v1/polls/{poll_id}/votes", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        answer = json.loads(response.read())
    return Told(press, response.status, answer["code"] if response.status >= 400 else answer["status"])


@pytest.fixture
def addresses(live_server: Callable[..., LiveServer], redis_url: str) -> list[str]:
    """Two servers on one database, which count limits together; all readers here come from one network."""
    settings = {
        "POLLSVC_REDIS_URL": redis_url,
        "POLLSVC_LIMIT_VOTES": "1000000/minute",
        "POLLSVC_LOG_LEVEL": "warning",
    }
    return [live_server(**settings).address for _ in range(2)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("database", "readers", "threads"),
    [("postgresql", 2_000, 64), ("sqlite", 200, 16)],
    indirect=["database"],
)
class TestManyVotesAtOnce:
    def test_each_reader_is_counted_once_and_told_so(
        self, addresses: list[str], session: Session, keys: Keys, readers: int, threads: int
    ) -> None:
        make_site(session)
        poll = make_poll(session)
        session.commit()
        tokens = [make_voter_token(keys, number=number) for number in range(readers)]
        # A reader's presses stand side by side, and in turn at either server: they are under way at the same time.
        presses = [
            Press(reader, choice, addresses[(reader + place) % 2])
            for reader in range(readers)
            for place, choice in enumerate(PRESSES[reader % len(PRESSES)])
        ]

        with ThreadPoolExecutor(threads) as pool:
            told = list(pool.map(lambda press: vote(poll.id, press, tokens[press.reader]), presses))

        counted = {each.press.reader: each.press.choice for each in told if each.status == 201}
        assert Counter(each.press.reader for each in told if each.status == 201) == Counter(range(readers))
        assert [each for each in told if (each.status, each.word) != expected(each, counted)] == []
        votes = Counter(counted.values())
        assert session.scalar(select(func.count()).select_from(Ballot)) == readers
        assert session.scalar(select(func.sum(TallySlot.n))) == readers
        assert session.scalar(select(func.sum(TallySlot.voters))) == readers
        assert find_differences(session) == []
        assert {count.id: count.votes for count in read_tally(session, poll.id).choices} == dict(votes)


def expected(told: Told, counted: dict[int, int]) -> tuple[int, str]:
    """Give what the contract says to a press, where the reader's counted ballot is known."""
    if told.status == 201:
        return 201, "counted"
    is_same = told.press.choice == counted[told.press.reader]
    return (200, "already_counted") if is_same else (409, "already_voted")
