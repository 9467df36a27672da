"""``pollsvc serve``: one parent, its web workers as direct children, replaced when they die, drained when asked to stop.

The server is granian (WSGI). The watch over its workers is ours: granian's ends the whole service when a worker dies
twice within seconds, and a reader's vote must not depend on why the last worker died.
"""

from __future__ import annotations

import gc
import os
import secrets
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.mp import MPServer

from pollsvc.companion import Companion, Deaths
from pollsvc.config import PREFIX, ConfigError, Settings
from pollsvc.metrics_port import MetricsPort
from pollsvc.patience import ASIDE

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

    #: Makes the application of one worker, which works on so many requests at once.
    AppFactory = Callable[[Settings, int], WSGIApplication]

#: Seconds for requests under way when the service is told to stop; the whole stop stays below 10, on a busy machine too.
DRAIN = 7
#: Threads of each worker beside those that work: for what may be asked at any time, and to turn others away.
SPARE_THREADS = 8
#: Seconds between two looks at the workers: a dead one is noticed, and a signal heeded, this fast.
WATCH = 0.1
#: New objects after which the garbage collector looks at them: those of some hundred requests and more.
YOUNG_OBJECTS = 50_000
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 (mkdtemp makes a folder that only we can read)


class Server(MPServer):
    """granian with a watch that replaces every dead worker, however often they die."""

    #: The outbox worker beside the web workers, where it runs here.
    companion: Companion | None = None
    port_for_metrics: MetricsPort | None = None

    def signal_handler_interrupt(self, *args: Any, **kwargs: Any) -> None:
        """Stop. A terminal and systemd signal the workers too: one that ends before we told it has not failed."""
        for worker in self.wrks:
            worker.interrupt_by_parent = True
        self.interrupt_signal = True

    def signal_handler_reload(self, *args: Any, **kwargs: Any) -> None:
        """Stop at SIGHUP as well: new workers would be forks of the old release."""
        self.signal_handler_interrupt()

    def _spawn_worker(self, idx: int, target: Any, callback_loader: Any, *rest: Any) -> Any:
        """Make a worker that knows its place among the others."""
        worker = super()._spawn_worker(idx, target, partial(callback_loader, idx), *rest)
        # The watch is ours: granian's is one more thread for each, which the system may refuse when the fork was done.
        worker._watch = lambda: None  # type: ignore[method-assign]  # noqa: SLF001
        return worker

    def _serve_loop(self, spawn_target: Any, target_loader: Any) -> None:
        deaths = [Deaths() for _ in range(self.workers)]
        if self.companion:
            self.companion.start()
        if self.port_for_metrics:
            self.port_for_metrics.start()
        # Not by granian's event: its lock is not re-entrant, and the signal handler that sets it runs in this thread.
        while True:
            time.sleep(WATCH)
            if self.interrupt_signal:
                break
            now = time.monotonic()
            if self.companion:
                self.companion.look(now)
            for index in range(self.workers):
                replace = partial(self._respawn_workers, [index], spawn_target, target_loader)
                self._look(index, deaths[index], replace, now)
        if self.companion:
            self.companion.stop()

    def _look(self, index: int, deaths: Deaths, replace: Callable[[], None], now: float) -> None:
        """Notice that a worker died; replace it when the pause is over."""
        worker = self.wrks[index]
        if deaths.due is None and not worker.inner.is_alive():
            told = f"Worker {index + 1} ({worker.inner.pid}) ended with {worker.inner.exitcode}."
            deaths.note(told, born=worker.birth, now=now)
        if deaths.due is None or now < deaths.due:
            return
        try:
            with self.port_for_metrics.silent() if self.port_for_metrics else nullcontext():
                replace()
        except OSError as error:
            # No room for another process. granian has taken the dead one out, and each is known by its place.
            self.wrks.insert(index, worker)
            deaths.note(f"Worker {index + 1} could not begin: {error.strerror}.", born=now, now=now)
        else:
            deaths.due = None


def free_address(host: str, port: int) -> str:
    """The IP address of a host, on which nobody listens at the port yet.

    granian's own sockets would share the port with another service of ours, and its readers between two databases.

    :raises ConfigError: if the host is not ours, or the port is taken.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        # localhost is both ::1 and 127.0.0.1; what prints as http://127.0.0.1 must answer there.
        family, *_, address = min(found, key=lambda each: each[0] != socket.AF_INET)
        with socket.socket(family) as probe:
            # Connections that have just ended do not take the port; listeners do.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"Cannot listen on {host}, port {port}: {reason}. Choose another.") from error
    return str(address[0])


def serve(
    settings: Settings,
    load: Callable[[], AppFactory],
    *,
    address: str,
    port: int,
    workers: int,
    threads: int,
    is_pinned: bool = True,
    has_worker: bool = True,
) -> None:
    """Serve until SIGTERM, SIGINT or SIGHUP, then finish what is under way and end within 10 s.

    :param load: imports the application and gives its factory. Called once and here, so that a worker is a fork with
        everything imported, up within a fifth of a second; the factory is called in each worker.
    :param address: see :func:`free_address`.
    :param threads: requests that each worker works on at once.
    :param is_pinned: whether each worker stays on one processor.
    :param has_worker: whether the outbox worker runs beside them.
    """
    # In memory where there is such a folder: each worker maps these files, and a full disk under one would kill it.
    memory = SHARED_MEMORY if os.access(SHARED_MEMORY, os.W_OK) else None
    metrics_folder = tempfile.mkdtemp(prefix="pollsvc-metrics-", dir=memory)
    # Before the application imports prometheus_client, which looks for it once.
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = metrics_folder
    # Services beside each other, each in a container perhaps, begin at different processors.
    first = secrets.randbelow(1_024) if is_pinned else None
    # On SQLite nobody has a poll to himself, and threads without work would only be in the way of the others.
    aside = ASIDE * threads if settings.database_url.startswith("postgresql") else 0
    # What links it writes is the address that we serve, whatever the environment says.
    companion = Companion({**os.environ, PREFIX + "PUBLIC_URL": settings.public_url}) if has_worker else None
    try:
        make_app = load()
        # Before the workers are forked: what is never walked through stays one copy for all of them.
        _leave_what_stays()
        metrics_port = None
        if settings.metrics_port:
            free = free_address(address, settings.metrics_port)
            metrics_port = MetricsPort(settings, free, settings.metrics_port)
        server = Server(
            "pollsvc",
            address=address,
            port=port,
            interface=Interfaces.WSGI,
            workers=workers,
            blocking_threads=threads + aside + SPARE_THREADS,
            backlog=8192,
            backpressure=4000,
            # HTTP/2 would let bodies come without their length.
            http=HTTPModes.http1,
            # Without the time-out idle connections stay for ever.
            http1_settings=HTTP1Settings(header_read_timeout=5000),
            websockets=False,
            workers_kill_timeout=DRAIN,
            # Its warnings call so many threads too many on a small machine; we measured that they are not.
            log_level=LogLevels.error,
        )
        server.companion, server.port_for_metrics = companion, metrics_port
        server.serve(
            target_loader=partial(_begin_worker, partial(make_app, settings, threads), os.getpid(), first),
            wrap_loader=False,
        )
    finally:
        if companion:
            companion.end()
        shutil.rmtree(metrics_folder, ignore_errors=True)


def _begin_worker(
    make_app: Callable[[], WSGIApplication], parent: int, first: int | None, place: int, /
) -> WSGIApplication:
    if first is not None:
        _stay_on_one_processor(first + place)
    # A fork has its parent's handlers, which would only note a signal that comes before granian's own are set.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    # A closed terminal tells everybody; the parent then tells us, and we may finish what is under way.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    app = make_app()
    _leave_what_stays()
    return app


def _leave_what_stays() -> None:
    """Keep the garbage collector from what stays for a process's life: modules, classes, mapped tables, routes.

    It would walk all of that again and again, for the few cycles that requests leave behind; so it looks at those alone, and
    not after every few hundred objects.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, 10, 10)


def _stay_on_one_processor(number: int) -> None:
    """Keep this worker, with all its threads, on one of the processors it may use; see docs/adr/0011.

    Only one thread of a Python process runs at a time. On several processors they wake each other across these all the
    time, which costs more than it brings; more processors are used by more workers.
    """
    if hasattr(os, "sched_setaffinity"):  # Linux
        # Where a sandbox forbids it, the kernel decides as ever.
        with suppress(OSError):
            allowed = sorted(os.sched_getaffinity(0))
            os.sched_setaffinity(0, {allowed[number % len(allowed)]})


def _end_with(parent: int) -> None:
    """End this worker when its parent is gone: nobody would replace or stop it, and it would hold the port."""
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(DRAIN)
    os._exit(1)
