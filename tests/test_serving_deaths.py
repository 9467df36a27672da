"""A web worker that the system has no room for is one more death, and none of the service."""

import errno
from types import SimpleNamespace
from typing import Any

import pytest
from granian.constants import Interfaces
from granian.server.mp import MPServer

from pollsvc.serving import Server


def worker_that(*, is_alive: bool, on_start: Any = lambda: None) -> Any:
    inner = SimpleNamespace(is_alive=lambda: is_alive, pid=4711, exitcode=-9)
    nothing = {name: lambda *_: None for name in ("terminate", "join", "kill")}
    return SimpleNamespace(inner=inner, birth=0.0, start=on_start, is_alive=lambda: False, **nothing)


def test_a_fork_that_fails_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server = Server("pollsvc", workers=2, interface=Interfaces.WSGI)
    well = worker_that(is_alive=True)
    server.wrks = [worker_that(is_alive=False), well]
    refusals = [BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")]

    def fork() -> None:
        if refusals:
            raise refusals.pop()
        server.interrupt_signal = True

    successor = worker_that(is_alive=True, on_start=fork)
    monkeypatch.setattr(MPServer, "_spawn_worker", lambda *_, **__: successor)

    server._serve_loop(None, lambda: None)

    assert server.wrks == [successor, well]
    told = capsys.readouterr().err
    assert "Worker 1 could not begin: Resource temporarily unavailable. It is replaced in 0 s." in told
