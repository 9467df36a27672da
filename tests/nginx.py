"""A real nginx for the tests, with the configuration that operators get: `deploy/nginx.conf` as it is, and its `site/` with other
addresses and folders."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

import pytest

from tests.chromium import is_required
from tests.ports import free_port
from tests.processes import refuses

SHIPPED = Path(__file__).parent.parent / "deploy"
START_SECONDS = 10.0


def program() -> str | None:
    """Find the installed nginx, which on Debian lies where only root's PATH leads."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def require_program() -> str:
    """Give the installed nginx, or skip the test where there is none and none is required."""
    found = program()
    if found is None:
        reason = "no nginx is installed (Debian: apt-get install nginx-light)"
        if is_required():
            pytest.fail(reason)
        pytest.skip(reason)
    return found


class Nginx:
    """nginx in front of the service that listens at a port of loopback. Use it as a context manager.

    :param app_port: where the service listens, now or later.
    :param further: lines for the public server, as an operator may write them into `site/public.conf`.
    """

    def __init__(self, nginx: str, app_port: int, *, further: str = "") -> None:
        self.port, self.shield_port = free_port(), free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self._nginx, self._app_port, self._further = nginx, app_port, further
        self.directory = Path()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        # Not pytest's own folder, which is private: the workers of nginx run as nobody where we are root.
        self.directory = Path(tempfile.mkdtemp(prefix="pollsvc-nginx-"))
        self.directory.chmod(0o755)
        self._write_site()
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(10)
        shutil.rmtree(self.directory)

    @property
    def pid(self) -> int:
        """The parent of nginx's processes."""
        assert self._process is not None, "nginx is not running"
        return self._process.pid

    @property
    def log(self) -> str:
        """What the access log holds until now; a line may come a second late."""
        return (self.directory / "pollsvc.log").read_text()

    @property
    def complaints(self) -> str:
        """What nginx wrote to its error log."""
        return (self.directory / "stderr").read_text()

    def check(self) -> subprocess.CompletedProcess[str]:
        """Let nginx read its configuration, and do no more."""
        return subprocess.run([*self._command(), "-t"], capture_output=True, text=True, check=False)

    def cached(self) -> dict[Path, bytes]:
        """Give every file of every cache."""
        return {
            path: path.read_bytes() for path in self.directory.glob("pollsvc-nginx-*/**/*") if path.is_file()
        }

    def _command(self) -> list[str]:
        # Whose folder the configuration lies in is where its `site/` is looked for.
        settings = f"pid {self.directory / 'pid'};"
        return [self._nginx, "-c", str(self.directory / "nginx.conf"), "-g", settings]

    def _write_site(self) -> None:
        shutil.copy(SHIPPED / "nginx.conf", self.directory)
        (self.directory / "site").mkdir()
        names = {
            "/var/cache/": f"{self.directory}/",
            "/var/log/nginx/": f"{self.directory}/",
            "127.0.0.1:8000": f"127.0.0.1:{self._app_port}",
            "127.0.0.1:8001": f"127.0.0.1:{self.shield_port}",
            "listen 80;": f"listen 127.0.0.1:{self.port};",
        }
        missing = set(names)
        for path in (SHIPPED / "site").iterdir():
            text = path.read_text()
            for shipped, ours in names.items():
                if shipped in text:
                    missing.discard(shipped)
                    text = text.replace(shipped, ours)
            (self.directory / "site" / path.name).write_text(text)
        assert not missing, f"deploy/site no longer holds {missing}"
        with (self.directory / "site" / "public.conf").open("a") as file:
            file.write(self._further)

    def _start(self) -> None:
        with (self.directory / "stderr").open("wb") as errors:
            self._process = subprocess.Popen(
                [*self._command()[:-1], f"{self._command()[-1]} daemon off;"], stdout=errors, stderr=errors
            )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            if not refuses(self.port):
                return
            time.sleep(0.02)
        raise RuntimeError(f"nginx did not start:\n{self.complaints}")
