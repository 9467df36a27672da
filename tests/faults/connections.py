"""Clients that take connections and give little: bodies of one byte a second, and silence."""

import resource
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tests.faults.load import CLIENTS, Load
from tests.faults.scene import THREADS, Scene, on_postgresql

IDLE = 2_000
#: One below the threads of one process: wherever the kernel puts the connections, one thread is left.
SLOW = THREADS - 1
BODY = 1_000


@contextmanager
def on_many_files() -> Iterator[Scene]:
    """Serve where a process may open more files than there are idle connections, here and in the service."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 2 * IDLE
    assert hard == resource.RLIM_INFINITY or hard >= needed, f"the hard limit of open files is below {needed}"
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, needed), hard))
    try:
        with on_postgresql() as scene:
            yield scene
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def stay_idle(scene: Scene, load: Load) -> None:
    """Open connections and send nothing in them, while votes go on."""
    with ExitStack() as stack:
        for _ in range(IDLE):
            stack.enter_context(_connect(scene))
        load.wait_for_votes(4 * CLIENTS)


def send_slowly(scene: Scene, load: Load) -> None:
    """Send bodies a byte a second in fewer connections than a process has threads, while votes go on in the others."""
    head = f"POST /v1/polls/{scene.poll_id}/votes HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    head += f"Content-Length: {BODY}\r\nExpect: 100-continue\r\n\r\n"
    with ExitStack() as stack:
        slow = [stack.enter_context(_connect(scene)) for _ in range(SLOW)]
        done = threading.Event()
        for connection in slow:
            connection.sendall(head.encode())
        for connection in slow:
            # Sent when a thread begins to read the body.
            answer = connection.recv(100)
            assert answer.startswith(b"HTTP/1.1 100 "), f"a slow body was answered {answer!r}"
        drip = threading.Thread(target=_drip, args=(slow, done))
        drip.start()
        try:
            load.wait_for_votes(4 * CLIENTS)
        finally:
            done.set()
            drip.join()


def _drip(connections: list[socket.socket], done: threading.Event) -> None:
    while not done.wait(1):
        for connection in connections:
            connection.sendall(b" ")


def _connect(scene: Scene) -> socket.socket:
    return socket.create_connection(("127.0.0.1", scene.server.port), timeout=20)
