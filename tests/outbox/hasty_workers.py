"""Real worker processes, to be killed, on a clock that runs thirty times as fast."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import ENVIRON
from tests.live_server import clean_environ

ROOT = Path(__file__).parent.parent.parent

Start = Callable[[], subprocess.Popen[bytes]]


@contextmanager
def starting(database_url: str, folder: Path, port: int, began: float) -> Iterator[Start]:
    """Start workers, and end those that are left.

    :param port: of the mail server.
    """
    environ = {
        **ENVIRON,
        "POLLSVC_DATABASE_URL": database_url,
        "POLLSVC_SMTP_URL": f"smtp://127.0.0.1:{port}?starttls=never",
        "POLLSVC_PRIVATE_HOSTS": "127.0.0.1",
        "PYTHONPATH": str(ROOT),
    }
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.outbox.hasty_worker", str(began)]
        with (folder / "log").open("ab") as log:
            started.append(subprocess.Popen(command, cwd=folder, env=clean_environ(environ), stderr=log))
        return started[-1]

    try:
        yield start
    finally:
        for process in started:
            process.kill()
            process.wait()
