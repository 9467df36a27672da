"""What is written down of a request: its route pattern, and nothing that tells who asked for what."""

import io
import json
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, suppress
from pathlib import Path

import pytest
import structlog
from flask import Flask
from flask.testing import FlaskClient

from pollsvc.web import logs
from tests.factories import ARTICLE_URL
from tests.web.addresses import ID

ADDRESS = "198.51.100.7"
EMAIL = "ada@reader.example"


@pytest.fixture(autouse=True)
def configured() -> Iterator[None]:
    """Leave the logging of the process as it was found."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    logs.configure("info")


def entries(written: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in written.splitlines()]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
class TestRequest:
    def test_is_one_line_of_json(self, client: FlaskClient, stderr: Callable[[], str]) -> None:
        client.get("/v1/form-token", headers={"X-Request-ID": "the-one"})

        (entry,) = entries(stderr())
        assert entry.keys() == {
            "event",
            "level",
            "timestamp",
            "request_id",
            "method",
            "route",
            "status",
            "ms",
        }
        assert entry["event"] == "request"
        assert entry["request_id"] == "the-one"
        assert (entry["method"], entry["route"], entry["status"]) == ("GET", "/v1/form-token", 200)
        assert isinstance(entry["ms"], float)

    def test_is_written_to_stderr_alone(
        self, client: FlaskClient, capsys: pytest.CaptureFixture[str]
    ) -> None:
        client.get("/v1/form-token")

        assert capsys.readouterr().out == ""

    def test_that_cannot_be_written_is_answered_all_the_same(
        self, make_app: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        client = make_app().test_client()
        with Path("/dev/full").open("w") as full:
            monkeypatch.setattr(sys, "stderr", full)

            status = client.get("/v1/form-token").status_code

            monkeypatch.undo()
            with suppress(OSError):  # what is left in its buffer is not written either
                full.close()
        assert status == 200

    @pytest.mark.parametrize(
        ("path", "route"),
        [
            (f"/v1/polls/{ID}?email={EMAIL}", "/v1/polls/<uuid:poll_id>"),
            (f"/v1/articles/polls?article_url={ARTICLE_URL}", "/v1/articles/polls"),
            (f"/v1/{EMAIL}", "unknown"),
            (f"/{EMAIL}?{EMAIL}={EMAIL}", "unknown"),
        ],
    )
    def test_is_named_by_its_pattern_never_by_path_or_query(
        self, client: FlaskClient, stderr: Callable[[], str], path: str, route: str
    ) -> None:
        client.get(path)

        written = stderr()
        assert [entry["route"] for entry in entries(written)] == [route]
        for word in (EMAIL, "ada%40", ID, ARTICLE_URL, "?"):
            assert word not in written

    @pytest.mark.parametrize(
        ("method", "written"),
        [("GET", "GET"), ("HEAD", "HEAD"), ("OPTIONS", "OPTIONS"), ("PROPFIND", "other"), (EMAIL, "other")],
    )
    def test_has_a_method_of_those_we_know(
        self, client: FlaskClient, stderr: Callable[[], str], method: str, written: str
    ) -> None:
        client.open("/v1/form-token", method=method)

        assert [entry["method"] for entry in entries(stderr())] == [written]

    def test_has_the_status_that_was_sent(
        self, client: FlaskClient, poll_url: str, stderr: Callable[[], str]
    ) -> None:
        tag = client.get(poll_url).headers["ETag"]
        stderr()

        client.get(poll_url, headers={"If-None-Match": tag})

        assert [entry["status"] for entry in entries(stderr())] == [304]

    def test_tells_nothing_of_who_asked(
        self, client: FlaskClient, poll_url: str, stderr: Callable[[], str]
    ) -> None:
        client.post(
            "/v1/corrections",
            json={
                "article_url": ARTICLE_URL,
                "name": "Ada Reader",
                "email": EMAIL,
                "message": "The ferry has two decks.",
            },
            headers={
                "X-Forwarded-For": ADDRESS,
                "User-Agent": "Firefox of Ada",
                "Referer": ARTICLE_URL,
                "Cookie": "voter=secret",
                "Authorization": "Bearer secret",
            },
            environ_base={"REMOTE_ADDR": ADDRESS},
        )

        written = stderr()
        assert '"status":201' in written
        for word in (ADDRESS, "198.51", EMAIL, "Ada", "ferry", "Firefox", "secret", "harbour"):
            assert word not in written

    def test_of_a_refused_body_quotes_none_of_it(
        self, client: FlaskClient, stderr: Callable[[], str]
    ) -> None:
        client.post("/v1/corrections", json={EMAIL: EMAIL, "email": f"{EMAIL} and more"})
        client.post("/v1/corrections", data=EMAIL, content_type="application/json")

        assert EMAIL not in stderr()

    def test_over_a_limit_is_told_without_a_key(
        self, make_app: Callable[..., Flask], stderr: Callable[[], str]
    ) -> None:
        client = make_app(limit_voters="1/minute").test_client()
        for _ in range(2):
            client.post("/v1/voters", environ_base={"REMOTE_ADDR": ADDRESS})

        found = entries(stderr())
        assert [entry["status"] for entry in found] == [201, 429]


class TestConfigure:
    @pytest.mark.parametrize(
        ("level", "written"),
        [("debug", ["debug", "info", "error"]), ("info", ["info", "error"]), ("error", ["error"])],
    )
    def test_what_lies_below_the_level_is_left_out(
        self, stderr: Callable[[], str], level: str, written: list[str]
    ) -> None:
        logs.configure(level)
        log = structlog.get_logger("pollsvc")

        for name in ("debug", "info", "error"):
            getattr(log, name)("said")

        assert [entry["level"] for entry in entries(stderr())] == written

    def test_stderr_is_looked_for_at_each_line(self, stderr: Callable[[], str]) -> None:
        with io.StringIO() as gone, redirect_stderr(gone):
            logs.configure("info")

        structlog.get_logger("pollsvc").info("said")

        assert "said" in stderr()

    @pytest.mark.parametrize("name", ["sqlalchemy.engine", "alembic", "flask-limiter", "_granian"])
    def test_chatty_libraries_are_heard_from_warnings_on(self, name: str) -> None:
        logs.configure("info")

        assert logging.getLogger(name).getEffectiveLevel() == logging.WARNING


class TestDiscreetFormatter:
    def test_shows_kind_and_place_of_an_exception_without_its_text(self) -> None:
        try:
            int(EMAIL)
        except ValueError:
            record = logging.LogRecord("x", logging.ERROR, __file__, 1, "it failed", None, sys.exc_info())

        written = logs.DiscreetFormatter("%(levelname)s %(message)s").format(record)

        assert written.startswith("ERROR it failed\n")
        assert written.endswith("ValueError")
        assert "test_shows_kind_and_place" in written
        assert EMAIL not in written

    def test_an_exception_that_is_none_is_no_matter(self) -> None:
        record = logging.LogRecord("x", logging.ERROR, __file__, 1, "it failed", None, (None, None, None))

        assert logs.DiscreetFormatter().format(record).startswith("it failed")
