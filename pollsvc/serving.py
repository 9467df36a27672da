"""``pollsvc serve``: one parent, its web workers as direct children, replaced when they die, drained when asked to stop.

The server is granian (WSGI). Its own watch ends the whole service when a worker dies twice within seconds; ours goes
on, with a growing pause, because a reader's vote must not depend on why the last worker died.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from typing import Any

import click
from granian.constants import Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.mp import MPServer

from pollsvc.config import PREFIX, Settings

#: Seconds for requests under way when the service is told to stop; the whole stop stays below 10.
DRAIN = 8
#: A worker that lived this long was well; its death is no reason to wait before the next one.
HEALTHY = 5.0
LONGEST_PAUSE = 10.0


class Server(MPServer):
    """granian with a watch that replaces every dead worker, however often they die."""

    def _serve_loop(self, spawn_target: Any, target_loader: Any) -> None:
        failures = dict.fromkeys(range(self.workers), 0)
        due: dict[int, float] = {}
        while not self.interrupt_signal:
            self.main_loop_interrupt.wait(timeout=0.2)
            self.main_loop_interrupt.clear()
            now = time.monotonic()
            for index, worker in enumerate(self.wrks):
                if worker.inner.is_alive() or index in due:
                    continue
                failures[index] = 0 if now - worker.birth > HEALTHY else failures[index] + 1
                due[index] = now + min(
                    LONGEST_PAUSE, 0.0 if failures[index] < 2 else 2.0 ** (failures[index] - 2)
                )
            for index in [index for index, at in due.items() if at <= now]:
                del due[index]
                click.echo(f"Worker {index + 1} died and is replaced.", err=True)
                self._respawn_workers([index], spawn_target, target_loader)
            # granian would take a death for the end of the service.
            self.interrupt_children.clear()


def serve(settings: Settings, *, host: str, port: int, workers: int, threads: int) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is under way and end within 10 s.

    Workers read the environment again, so that what is decided here is put into it.
    """
    os.environ.setdefault(PREFIX + "PUBLIC_URL", settings.public_url)
    # A newsroom call may read and write at once: two connections a thread.
    os.environ.setdefault(PREFIX + "DATABASE_POOL", str(2 * threads))
    metrics_folder = tempfile.mkdtemp(prefix="pollsvc-metrics-")
    # Before any worker imports prometheus_client, which looks for it once.
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = metrics_folder
    try:
        if settings.metrics_port:
            _serve_metrics(host, settings.metrics_port)
        Server(
            "pollsvc.app:create_app",
            factory=True,
            address=host,
            port=port,
            interface=Interfaces.WSGI,
            workers=workers,
            blocking_threads=threads,
            backlog=8192,
            backpressure=4000,
            # Without the time-out idle connections stay for ever; HTTP/2 would let bodies come without their length.
            http="1",  # type: ignore[arg-type]
            http1_settings=HTTP1Settings(header_read_timeout=5000),
            websockets=False,
            respawn_failed_workers=True,
            workers_kill_timeout=DRAIN,
            log_level=LogLevels.warning,
        ).serve()
    finally:
        shutil.rmtree(metrics_folder, ignore_errors=True)


def _serve_metrics(host: str, port: int) -> None:
    # Imported here because prometheus_client looks for its folder when it is imported.
    from prometheus_client import start_http_server  # noqa: PLC0415

    from pollsvc.web.metrics import registry  # noqa: PLC0415

    start_http_server(port, addr=host, registry=registry())
