"""The outbox worker beside `pollsvc serve`, and by itself: begun, replaced, told to stop, and stopped in time."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import select
from sqlalchemy.orm import Session

from pollsvc.outbox.models import OutboxMessage
from tests.conftest import ENVIRON
from tests.factories import ARTICLE_URL, make_site
from tests.live_server import STOP_SECONDS, LiveServer, clean_environ, command
from tests.outbox.mail_servers import behaving
from tests.outbox.messages import make_mail
from tests.processes import children_of, is_running, wait_until

pytestmark = pytest.mark.live

on_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


#: A worker whose thread that looks ends.
BLIND = """
import os
from pathlib import Path
from pollsvc.config import Settings
from pollsvc.worker import Worker, keep_working

class Blind(Worker):
    def attend(self):
        raise MemoryError

settings = Settings.from_environ(os.environ, Path.cwd())
keep_working(Blind(settings), settings)
"""


def companions(parent: int) -> set[int]:
    """Give the outbox workers among the children of a process."""
    found = set()
    for pid in children_of(parent):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except FileNotFoundError:
            continue
        if b"pollsvc.cli" in words and b"worker" in words:
            found.add(pid)
    return found


def states(engine: sa.Engine) -> list[str]:
    with Session(engine) as session:
        return list(session.scalars(select(OutboxMessage.state)))


@contextmanager
def hanging() -> Iterator[tuple[int, threading.Event]]:
    """An SMTP server that says nothing, and whether somebody waits for it."""
    waited_for = threading.Event()

    def act(connection: socket.socket, over: threading.Event) -> None:
        waited_for.set()
        over.wait()

    with behaving(act) as port:
        yield port, waited_for


@contextmanager
def alone(database_url: str, folder: Path, **settings: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run `pollsvc worker`."""
    environ = {**ENVIRON, "POLLSVC_DATABASE_URL": database_url, **settings}
    process = subprocess.Popen(
        command("worker"), cwd=folder, env=clean_environ(environ), stderr=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


class TestBesideServe:
    @on_sqlite
    def test_runs_unless_told_not_to(self, database_url: str, tmp_path: Path) -> None:
        settings = {**ENVIRON, "POLLSVC_DATABASE_URL": database_url, "POLLSVC_PUBLIC_URL": ""}

        with LiveServer(settings, tmp_path, program=command("serve")) as server:
            assert len(companions(server.process.pid)) == 1
        with LiveServer(settings, tmp_path, "--no-worker", program=command("serve")) as server:
            assert companions(server.process.pid) == set()

    def test_what_a_request_wrote_is_delivered(
        self, live_server: Callable[..., LiveServer], session: Session, engine: sa.Engine, tmp_path: Path
    ) -> None:
        make_site(session)
        session.commit()
        server = live_server("--worker")
        body = {"article_url": ARTICLE_URL, "name": "Ada", "email": "a@reader.example", "message": "No."}

        request = urllib.request.Request(
            f"{server.address}/v1/corrections",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            reference = json.load(answer)["reference"]

        wait_until(lambda: states(engine) == ["delivered"])
        (path,) = (tmp_path / "instance" / "mail").iterdir()
        assert reference in path.read_text()
        # The link leads to the address that is served, which no setting named.
        assert f"{server.address}/v1/corrections/" in path.read_text()

    @on_sqlite
    def test_a_killed_one_is_replaced(self, live_server: Callable[..., LiveServer]) -> None:
        server = live_server("--worker")
        (killed,) = companions(server.process.pid)

        os.kill(killed, signal.SIGKILL)

        wait_until(lambda: companions(server.process.pid) - {killed})
        wait_until(lambda: f"The outbox worker ({killed}) ended with -9." in server.stderr)
        assert server.answers("/readyz")

    @on_sqlite
    def test_it_ends_when_its_parent_was_killed(self, live_server: Callable[..., LiveServer]) -> None:
        server = live_server("--worker")
        (orphan,) = companions(server.process.pid)

        server.process.kill()

        wait_until(lambda: not is_running(orphan))

    @pytest.mark.slow
    def test_a_mail_server_that_hangs_does_not_hold_the_stop(
        self, live_server: Callable[..., LiveServer], session: Session, engine: sa.Engine
    ) -> None:
        for number in range(8):
            make_mail(session, number)
        session.commit()
        with hanging() as (port, waited_for):
            server = live_server("--worker", POLLSVC_SMTP_URL=f"smtp://127.0.0.1:{port}?starttls=never")
            assert waited_for.wait(30)
            (worker,) = companions(server.process.pid)
            began = time.monotonic()

            status = server.stop()

            assert time.monotonic() - began < STOP_SECONDS
        assert status == 0
        assert not is_running(worker)
        assert states(engine) == ["pending"] * 8

    @on_sqlite
    @pytest.mark.parametrize(
        "number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda each: each.name
    )
    def test_a_signal_to_the_whole_group_is_no_failure(
        self, live_server: Callable[..., LiveServer], number: signal.Signals
    ) -> None:
        server = live_server("--worker")
        (worker,) = companions(server.process.pid)
        process = server.process

        os.killpg(process.pid, number)

        assert process.wait(STOP_SECONDS) == 0
        assert not is_running(worker)
        assert "replaced" not in server.stderr


class TestAlone:
    def test_delivers_and_ends_when_told(
        self, database_url: str, session: Session, engine: sa.Engine, tmp_path: Path
    ) -> None:
        for number in range(10):
            make_mail(session, number)
        session.commit()

        with alone(database_url, tmp_path) as process:
            wait_until(lambda: states(engine) == ["delivered"] * 10)
            process.terminate()

            assert process.wait(STOP_SECONDS) == 0
        assert len(list((tmp_path / "instance" / "mail").iterdir())) == 10

    @on_sqlite
    def test_two_share_the_work(
        self, database_url: str, session: Session, engine: sa.Engine, tmp_path: Path
    ) -> None:
        for number in range(40):
            make_mail(session, number)
        session.commit()

        with alone(database_url, tmp_path), alone(database_url, tmp_path):
            wait_until(lambda: states(engine) == ["delivered"] * 40)

        assert len(list((tmp_path / "instance" / "mail").iterdir())) == 40

    @on_sqlite
    def test_a_queue_that_is_away_is_no_reason_not_to_work(
        self, database_url: str, session: Session, engine: sa.Engine, tmp_path: Path
    ) -> None:
        make_mail(session)
        session.commit()

        with alone(database_url, tmp_path, POLLSVC_QUEUE_URL="postgresql://127.0.0.1:1/none"):
            wait_until(lambda: states(engine) == ["delivered"])

    @on_sqlite
    def test_it_ends_when_nobody_looks_any_more(self, database_url: str, tmp_path: Path) -> None:
        """Whoever began it begins another; one that lives and does nothing would be replaced by nobody."""
        done = subprocess.run(
            [sys.executable, "-c", BLIND],
            cwd=tmp_path,
            env=clean_environ({**ENVIRON, "POLLSVC_DATABASE_URL": database_url}),
            timeout=60,
            check=False,
        )

        assert done.returncode == 1

    def test_an_empty_database_is_refused_with_what_to_do(self, tmp_path: Path) -> None:
        done = subprocess.run(
            command("worker"),
            cwd=tmp_path,
            env=clean_environ(ENVIRON),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

        assert done.returncode == 1
        assert "is empty. Run: pollsvc db upgrade" in done.stderr
