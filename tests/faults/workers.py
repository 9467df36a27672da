"""The service's own processes die or are told to end."""

import os
import signal
import time

from tests.faults.load import CLIENTS, Load
from tests.faults.scene import WORKERS, Scene
from tests.live_server import STOP_SECONDS
from tests.processes import children_of, wait_until


def kill_worker(scene: Scene, _load: Load) -> None:
    """Kill one of the web processes, with the requests that it works on."""
    parent = scene.server.process.pid
    killed = min(children_of(parent))
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: len(children_of(parent) - {killed}) == WORKERS)


def terminate(scene: Scene, load: Load) -> None:
    """Tell the service to end: it finishes what is under way, and loses nothing that it answered."""
    began = time.monotonic()
    status = scene.server.stop()
    took = time.monotonic() - began
    assert status == 0, f"the service ended with status {status}"
    assert took < STOP_SECONDS, f"the service took {took:.1f} s to end"
    load.wait_for(
        lambda tries: sum(tried.status is None for tried in tries) >= CLIENTS, "the end of every client"
    )
