"""Each channel has a few places, and one whose thread the system refused is free again."""

import threading

import pytest

from pollsvc.outbox.places import AT_ONCE, Places


class TestBegin:
    def test_each_channel_has_its_own(self) -> None:
        places, over = Places(["mail", "webhook"]), threading.Event()

        def wait() -> None:
            over.wait()

        begun = [places.begin("mail", wait) for _ in range(AT_ONCE + 1)]
        other = places.begin("webhook", wait)
        over.set()

        assert [thread is not None for thread in begun] == [True] * AT_ONCE + [False]
        assert other is not None

    @pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
    def test_a_place_is_free_again_however_its_thread_ends(self) -> None:
        places = Places(["mail"])

        def fail() -> None:
            raise RuntimeError

        for _ in range(AT_ONCE + 1):
            thread = places.begin("mail", fail)
            assert thread is not None
            thread.join()

    def test_a_thread_that_the_system_refuses_keeps_no_place(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(_thread: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        places = Places(["mail"])
        with monkeypatch.context() as full:
            full.setattr(threading.Thread, "start", refuse)
            refused = [places.begin("mail", lambda: None) for _ in range(AT_ONCE + 1)]

        assert refused == [None] * (AT_ONCE + 1)
        assert places.begin("mail", lambda: None) is not None
