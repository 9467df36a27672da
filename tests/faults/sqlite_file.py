"""The SQLite file cannot grow, or another process holds its lock."""

import os
import resource
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tests.faults.load import CLIENTS, Load
from tests.faults.scene import Scene, on_sqlite
from tests.processes import children_of, wait_until

#: The small disk; ballots of a scenario take a tenth of it.
DISK = "8m"
#: Less than the write-ahead log of a few dozen votes, and more than the service's metrics and log.
GROWN = 131_072


def can_mount() -> bool:
    """Say whether we may make a small disk."""
    return os.geteuid() == 0


@contextmanager
def on_small_disk() -> Iterator[Scene]:
    """Serve from a SQLite file on a disk of its own, in memory."""
    with tempfile.TemporaryDirectory(prefix="pollsvc-faults-disk-") as name:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", name], check=True)
        try:
            with on_sqlite(folder=Path(name)) as scene:
                yield scene
        finally:
            subprocess.run(["umount", name], check=True)


def fill_disk(scene: Scene, load: Load) -> None:
    """Fill the disk to its last byte, and make room again when every client was refused."""
    filler = scene.database_file.with_name("filler")
    try:
        with filler.open("wb", buffering=0) as file:
            wait_until(lambda: _fill(file.fileno()))
            load.wait_for_refusals(CLIENTS)
            _read(scene)
    finally:
        filler.unlink()


def _fill(descriptor: int) -> bool:
    try:
        while True:
            os.write(descriptor, bytes(4096))
    except OSError:
        return True


def forbid_growth(scene: Scene, load: Load) -> None:
    """Let no file of the service grow past a limit, and lift it when every client was refused.

    What a full disk does, without a disk: the kernel refuses to write past the limit of a process (setrlimit(2)).
    """
    workers = children_of(scene.server.process.pid)
    before = {pid: resource.prlimit(pid, resource.RLIMIT_FSIZE) for pid in workers}
    for pid, (_, hard) in before.items():
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (GROWN, hard))
    load.wait_for_refusals(CLIENTS)
    _read(scene)
    for pid, limits in before.items():
        resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)


def _read(scene: Scene) -> None:
    assert scene.server.answers(f"/v1/polls/{scene.poll_id}/results"), "a read was refused as well"


def hold_lock(scene: Scene, load: Load, *, seconds: float) -> None:
    """Hold the write lock from another process, for less than a vote waits: all are counted, late."""
    _hold(scene, seconds)
    assert load.record.statuses()[503] == 0, "a vote was refused that should have waited"


def hold_lock_for_long(scene: Scene, load: Load, *, seconds: float) -> None:
    """Hold the write lock for longer than a vote waits: readers are told to come again, and are counted when they do."""
    _hold(scene, seconds)
    load.wait_for(lambda tries: any(tried.status == 503 for tried in tries), "a refusal")


def _hold(scene: Scene, seconds: float) -> None:
    with closing(sqlite3.connect(scene.database_file, timeout=15, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        # The time is the fault: there is no other condition to wait for.
        end = time.monotonic() + seconds
        wait_until(lambda: time.monotonic() >= end, seconds + 1)
        connection.execute("ROLLBACK")
