"""The clock of the service's host steps back an hour (libfaketime)."""

import json
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pollsvc.polls.tallies import recount
from pollsvc.voters.service import LIFETIME
from tests.faults.load import CLIENTS, Load
from tests.faults.scene import Scene, on_postgresql, opened
from tests.processes import wait_until

#: Where distributions keep the variant for programs with threads.
PLACES = ("usr/lib/*/faketime/libfaketimeMT.so.1", "usr/lib*/faketime/libfaketimeMT.so.1")
ROOT = Path(__file__).parent.parent.parent
STEP = timedelta(hours=1)


def library() -> Path | None:
    """Find the installed libfaketime."""
    return next((found for place in PLACES for found in Path("/").glob(place)), None)


@contextmanager
def on_false_clock() -> Iterator[Scene]:
    """Serve with a clock that a file sets; the monotonic clock stays true, as it does where a clock is set."""
    found = library()
    assert found is not None, "libfaketime is not installed (Debian: apt-get install libfaketime)"
    with tempfile.TemporaryDirectory(prefix="pollsvc-faults-clock-") as name:
        clock = Path(name) / "clock"
        clock.write_text("+0")
        environ = {
            "LD_PRELOAD": str(found),
            "FAKETIME_TIMESTAMP_FILE": str(clock),
            "FAKETIME_CACHE_DURATION": "1",  # seconds after which the file is read anew
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            # A workaround for an old C library: with it, waits for Python's lock end at once and its threads spin.
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",
            "PYTHONPATH": str(ROOT),
        }
        program = [sys.executable, "-m", "tests.faults.clocked", "serve"]
        with on_postgresql(environ=environ, program=program) as scene:
            yield replace(scene, clock=clock)


def step_back(scene: Scene, load: Load) -> None:
    """Set the clock back by an hour, for good, and recount under the votes that come in then."""
    assert _lag(scene) < STEP / 2, "the clock was wrong before"
    clock = scene.clock
    assert clock is not None, "this scenario needs a clock of its own"
    new = clock.with_name("new")
    new.write_text(f"-{STEP.total_seconds():.0f}")
    new.replace(clock)  # nobody reads half a file
    wait_until(lambda: STEP / 2 < _lag(scene) < STEP * 2)
    load.wait_for_votes(2 * CLIENTS)
    with opened(scene.settings) as session:
        assert recount(session, scene.poll_id, datetime.now(UTC)) == [], (
            "the tally was not what the ballots say"
        )
        session.commit()


def _lag(scene: Scene) -> timedelta:
    """Tell how far the service's clock is behind ours, by the end of the life of a token that it makes."""
    headers = {"Content-Type": "application/json"}
    sent = urllib.request.Request(f"{scene.server.address}/v1/voters", b"{}", headers)
    with urllib.request.urlopen(sent, timeout=20) as response:
        expires_at = datetime.fromisoformat(json.load(response)["expires_at"])
    return datetime.now(UTC) + LIFETIME - expires_at
