"""The real `pollsvc serve`, as a process of its own."""

import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from tests.ports import free_port

START_SECONDS = 30.0
STOP_SECONDS = 10.0  # what `serve` promises


def command(*arguments: str) -> list[str]:
    """Give the command line of the installed `pollsvc`."""
    return [str(Path(sys.executable).with_name("pollsvc")), *arguments]


def clean_environ(settings: Mapping[str, str]) -> dict[str, str]:
    """Give this process's environment with these `POLLSVC_*` settings and no others, and without coverage."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("POLLSVC_", "COVERAGE_", "COV_CORE_"))
    }
    return inherited | dict(settings)


class LiveServer:
    """`pollsvc serve` on a port from the kernel, ready when the constructor's `start` returns.

    :param settings: `POLLSVC_*` by their full names.
    :param directory: the working directory; `instance/` lies in it.
    :param arguments: further arguments of `serve`, such as `--workers 2`. The outbox worker runs beside it only with
        `--worker`: most tests have nothing for it to do.
    :param program: another command that takes the arguments of `serve`; which is up to the caller.
    """

    def __init__(
        self,
        settings: Mapping[str, str],
        directory: Path,
        *arguments: str,
        port: int | None = None,
        program: Sequence[str] | None = None,
    ) -> None:
        self.port = port or free_port()
        self.url = settings.get("POLLSVC_PUBLIC_URL") or f"http://127.0.0.1:{self.port}"
        self.address = f"http://127.0.0.1:{self.port}"
        self._settings = {"POLLSVC_PUBLIC_URL": self.url, **settings}
        is_asked = program or "--worker" in arguments
        self._arguments = arguments if is_asked else (*arguments, "--no-worker")
        self._program = program or command("serve")
        self.directory = directory
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 (read until the object goes; a pipe would fill and block)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._output.close()

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The parent process of the server."""
        assert self._process is not None, "the server is not running"
        return self._process

    @property
    def stderr(self) -> str:
        """Everything that the server wrote until now."""
        self._output.seek(0)
        return self._output.read().decode(errors="replace")

    def start(self) -> None:
        """Start the server and wait until it says that it is ready."""
        self._process = subprocess.Popen(
            [*self._program, "--host", "127.0.0.1", "--port", str(self.port), *self._arguments],
            cwd=self.directory,
            env=clean_environ(self._settings),
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._output,
            start_new_session=True,  # so that kill() reaches its workers too
        )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            if self.answers("/readyz"):
                return
            time.sleep(0.05)
        self.kill()
        raise RuntimeError(f"the server did not become ready:\n{self.stderr}")

    def answers(self, path: str) -> bool:
        """Say whether a GET of the path is answered with 2xx."""
        try:
            with urllib.request.urlopen(self.address + path, timeout=2) as response:
                return bool(200 <= response.status < 300)
        except (urllib.error.URLError, OSError):
            return False

    def header(self, path: str, name: str) -> str:
        """Give a header of the answer to a GET of the path."""
        with urllib.request.urlopen(self.address + path, timeout=5) as response:
            return str(response.headers[name])

    def stop(self) -> int:
        """End the server by SIGTERM, as an operator does, and give its exit status.

        :raises subprocess.TimeoutExpired: if it takes longer than promised.
        """
        process = self.process
        process.send_signal(signal.SIGTERM)
        status = process.wait(STOP_SECONDS + 2)
        self._process = None
        return status

    def kill(self) -> None:
        """End the server and its workers, gently first."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_SECONDS)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(5)
        self._process = None
