"""A worker that is killed at any point loses nothing, and workers that are well deliver nothing twice.

Real processes, a real SMTP server that also answers 4xx and 5xx and hangs, an endpoint of webhooks, and both databases.
"""

import itertools
import logging
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
import sqlalchemy as sa
from aiosmtpd.smtp import Envelope
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pollsvc.outbox.models import OutboxAttempt, OutboxEvent, OutboxMessage
from tests.outbox.endpoints import make_endpoint, tell
from tests.outbox.hasty_worker import hasty_now
from tests.outbox.hasty_workers import starting
from tests.outbox.mail_servers import HANG, Postbox, parsed, serving
from tests.outbox.messages import make_mail
from tests.outbox.receiver import receiving
from tests.processes import wait_until

TAKEN, REFUSED = "250 2.0.0 Taken", "550 5.7.1 No"
#: What the server answers to a mail's first attempts; what comes after is the last of them.
MOODS = [
    *[(TAKEN,)] * 12,
    *[("451 4.7.1 Later", TAKEN)] * 3,
    ("451 4.7.1 Later", "421 4.3.2 Closing", TAKEN),
    (HANG, TAKEN),
    (REFUSED,),
]


class MoodyServer:
    """Answers each mail by a mood that hangs on the mail alone."""

    def __init__(self) -> None:
        self._tries: Counter[str] = Counter()
        self.refused: set[str] = set()

    def __call__(self, envelope: Envelope) -> str:
        message_id = str(parsed(envelope)["Message-ID"])
        answers = MOODS[int(message_id[1:9], 16) % len(MOODS)]
        answer = answers[min(self._tries[message_id], len(answers) - 1)]
        self._tries[message_id] += 1
        if answer == REFUSED:
            self.refused.add(message_id)
        return answer


@pytest.fixture(autouse=True)
def _quiet() -> None:
    # It reports each client that is cut off.
    logging.getLogger("mail.log").setLevel(logging.CRITICAL)


@pytest.fixture
def began() -> float:
    return time.time()


def write_mails(engine: sa.Engine, numbers: Sequence[int], began: float, rest: float) -> None:
    """Write mails, each in a transaction of its own, three to a subject."""
    for number in numbers:
        with Session(engine.execution_options(sqlite_write=True)) as session:
            make_mail(session, number, subject=f"subscriber:{number // 3}", now=hasty_now(began))
            session.commit()
        time.sleep(rest)


def write_mails_and_events(engine: sa.Engine, numbers: Sequence[int], began: float, rest: float) -> None:
    """Write an event beside each mail, to be told to whatever endpoints there are."""
    for number in numbers:
        with Session(engine.execution_options(sqlite_write=True)) as session:
            tell(session, subject=f"poll:{number // 3}", now=hasty_now(began))
        write_mails(engine, [number], began, rest)


def left(engine: sa.Engine) -> int:
    with Session(engine) as session:
        events = session.scalars(select(func.count()).where(~OutboxEvent.is_fanned_out)).one()
        return events + session.scalars(select(func.count()).where(OutboxMessage.state == "pending")).one()


class TestKilledWorkers:
    @pytest.mark.slow
    def test_nothing_is_lost_and_only_what_a_killed_one_held_comes_twice(
        self, engine: sa.Engine, database_url: str, tmp_path: Path, began: float
    ) -> None:
        mood = MoodyServer()
        postbox = Postbox(mood)
        numbers = range(120)
        writing = threading.Thread(target=write_mails_and_events, args=(engine, numbers, began, 0.07))
        killed = 0

        with (
            serving(postbox) as port,
            receiving() as receiver,
            starting(database_url, tmp_path, port, began) as start,
        ):
            with Session(engine.execution_options(sqlite_write=True)) as session:
                make_endpoint(session, receiver.url)
                session.commit()
            running = [start(), start()]
            writing.start()
            until = time.monotonic() + 14
            while time.monotonic() < until:
                # Some of them before they have begun, most in the midst of it.
                time.sleep(random.uniform(0.1, 1.6))
                victim = random.randrange(2)
                os.kill(running[victim].pid, signal.SIGKILL)
                running[victim].wait()
                killed += 1
                running[victim] = start()
            writing.join()
            wait_until(lambda: left(engine) == 0, 60)

        with Session(engine) as session:
            kept = select(OutboxMessage).order_by(OutboxMessage.id)
            messages = session.scalars(kept.where(OutboxMessage.channel == "mail")).all()
            webhooks = session.scalars(kept.where(OutboxMessage.channel == "webhook")).all()
            keys = dict(session.execute(select(OutboxEvent.id, OutboxEvent.key)).all())
            lost = set(
                session.scalars(select(OutboxAttempt.message_id).where(OutboxAttempt.outcome == "lost"))
            )
        assert killed >= 5
        assert len(messages) == len(numbers)
        names = {each.message_id for each in messages}
        assert {each.message_id for each in messages if each.state == "dead"} == mood.refused & names
        assert {each.reason for each in messages if each.state == "dead"} == {
            "The mail server answered 550 5.7.1."
        }
        mails = [str(mail["Message-ID"]) for mail in postbox.mails()]
        check([(each, str(each.message_id)) for each in messages], mails, lost)
        assert [each.state for each in webhooks] == ["delivered"] * len(numbers)
        told = [(each, str(keys[each.event_id or 0])) for each in webhooks]
        check(told, [each.id for each in receiver.received], lost)


def check(named: Sequence[tuple[OutboxMessage, str]], arrived: Sequence[str], lost: set[int]) -> None:
    """What was delivered arrived, twice only what a killed worker held, and in its subject's order, a repetition aside.

    :param named: the messages, and by which names they arrive.
    """
    assert {name for each, name in named if each.state == "delivered"} == set(arrived)
    twice = {name for name, times in Counter(arrived).items() if times > 1}
    assert twice <= {name for each, name in named if each.id in lost}
    order = {name: place for place, name in enumerate(dict.fromkeys(arrived))}
    for (first, name), (second, next_name) in itertools.pairwise(named):
        if first.subject == second.subject and {name, next_name} <= order.keys():
            assert order[name] < order[next_name]


class TestHealthyWorkers:
    def test_three_at_once_deliver_nothing_twice(
        self, engine: sa.Engine, database_url: str, tmp_path: Path, began: float
    ) -> None:
        postbox = Postbox()

        with serving(postbox) as port, starting(database_url, tmp_path, port, began) as start:
            running = [start() for _ in range(3)]
            wait_until(lambda: (tmp_path / "log").read_text().count("worker began") == len(running))
            write_mails(engine, range(200), began, 0)
            wait_until(lambda: left(engine) == 0, 60)

            assert [process.poll() for process in running] == [None] * 3
        arrived = postbox.by_message_id()
        assert len(arrived) == 200
        assert set(arrived.values()) == {1}
        with Session(engine) as session:
            outcomes = session.scalars(select(OutboxAttempt.outcome)).all()
        assert Counter(outcomes) == {"delivered": 200}
