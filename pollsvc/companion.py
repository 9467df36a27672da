"""The outbox worker beside the web workers of `pollsvc serve`, and how soon whoever died is replaced."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping

import click

#: Seconds for the outbox worker to end. It takes a second less by itself.
COMPANION_DRAIN = 8
#: A process that lived for so many seconds was well; its death is no reason to wait before the next one.
HEALTHY = 5.0
LONGEST_PAUSE = 10.0


class Deaths:
    """Those of one process and its successors.

    :ivar due: when a successor may begin, by the monotonic clock; None while there is nobody to replace.
    """

    def __init__(self) -> None:
        self._in_a_row = 0
        self.due: float | None = None

    def note(self, told: str, *, born: float, now: float) -> None:
        """Tell of one. There is no pause after one or two, then twice as long each time."""
        self._in_a_row = 1 if now - born > HEALTHY else self._in_a_row + 1
        pause = 0.0 if self._in_a_row <= 2 else min(LONGEST_PAUSE, 2.0 ** (self._in_a_row - 3))
        self.due = now + pause
        click.echo(f"{told} It is replaced in {pause:.0f} s.", err=True)


class Companion:
    """The outbox worker as a child of `serve`: begun again whenever it dies, told to stop with the others.

    A program of its own rather than a fork: its threads and connections are no affair of the web workers.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = dict(environ)
        self._process: subprocess.Popen[bytes] | None = None
        self._birth = 0.0
        self._deaths = Deaths()
        self._last = 0.0

    def start(self) -> None:
        """Begin it. Where the system has no room for it, that is one more death."""
        self._birth = time.monotonic()
        # It ends with us, whichever way we end.
        command = [sys.executable, "-m", "pollsvc.cli", "worker", "--parent", str(os.getpid())]
        self._deaths.due = None
        try:
            self._process = subprocess.Popen(command, env=self._environ)  # noqa: S603 (our own words)
        except OSError as error:
            told = f"The outbox worker could not begin: {error.strerror}."
            self._deaths.note(told, born=self._birth, now=self._birth)

    def look(self, now: float) -> None:
        """Replace it if it died, after a pause that grows with each death."""
        if self._process is not None and self._process.poll() is not None:
            told = f"The outbox worker ({self._process.pid}) ended with {self._process.returncode}."
            self._process = None
            self._deaths.note(told, born=self._birth, now=now)
        if self._deaths.due is not None and now >= self._deaths.due:
            self.start()

    def stop(self) -> None:
        """Tell it to end, while the web workers finish what they are at."""
        self._last = time.monotonic() + COMPANION_DRAIN
        if self._process is not None:
            self._process.terminate()

    def end(self) -> None:
        """Wait until it has ended, in time for all to end within 10 s: systemd would kill what outlives its parent."""
        if self._process is None:
            return
        if not self._last:  # the service failed to start
            self.stop()
        try:
            self._process.wait(max(0.0, self._last - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None
