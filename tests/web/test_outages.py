"""A database that is down, locked or gone: 503 with Retry-After, nothing stored, and the same request works after."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from flask import Flask, Response
from flask.testing import FlaskClient
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session
from sqlalchemy.pool import QueuePool
from werkzeug.test import TestResponse

from pollsvc.db import db  # noqa: TID251 (its pool is looked at)
from pollsvc.keys import Keys
from pollsvc.polls.models import Ballot
from tests.databases import PostgresDatabase, open_engine
from tests.factories import ARTICLE_URL, ORIGIN, make_poll, make_site, make_token, make_voter_token
from tests.postgres import PostgresServer
from tests.web.addresses import ID
from tests.web.problems import read_problem

App = Callable[..., Flask]


def assert_unavailable(response: TestResponse) -> None:
    assert response.status_code == 503
    problem = read_problem(response)
    assert problem["code"] == "database_unavailable"
    assert problem["errors"] == []
    assert int(response.headers["Retry-After"]) > 0
    for word in ("sqlite", "postgres", "SELECT", "127.0.0.1"):
        assert word not in response.text


@pytest.fixture(params=["no server", "no file", "no folder"])
def unreachable(request: pytest.FixtureRequest, make_app: App, tmp_path: Path) -> FlaskClient:
    """A client of an application whose database is not there."""
    urls = {
        # Port 1 of loopback: nobody listens, the kernel says so at once.
        "no server": "postgresql+psycopg://postgres@127.0.0.1:1/nothing",
        "no file": f"sqlite:///{tmp_path / 'missing.db'}",
        "no folder": f"sqlite:///{tmp_path / 'nowhere' / 'missing.db'}",
    }
    return make_app(database_url=urls[request.param]).test_client()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
class TestUnreachable:
    @pytest.mark.parametrize(
        "call",
        [
            f"GET /v1/polls/{ID}",
            f"GET /v1/polls/{ID}/results",
            f"GET /v1/articles/polls?article_url={ORIGIN}/a",
            f"POST /v1/polls/{ID}/votes",
            "POST /v1/corrections",
            "GET /v1/tokens",
            "POST /v1/polls",
        ],
    )
    def test_a_call_that_needs_it_is_told_to_come_again(
        self, unreachable: FlaskClient, keys: Keys, call: str
    ) -> None:
        method, path = call.split()
        body = {
            "/votes": {"choices": [1], "voter_token": make_voter_token(keys)},
            "/v1/corrections": {
                "article_url": f"{ORIGIN}/a",
                "name": "Ada",
                "email": "ada@reader.example",
                "message": "Wrong.",
            },
        }
        sent = next((each for end, each in body.items() if path.endswith(end)), None)
        headers = {"Authorization": "Bearer pollsvc_x", "Origin": ORIGIN}

        assert_unavailable(unreachable.open(path, method=method, json=sent, headers=headers))

    @pytest.mark.parametrize("path", ["/v1/form-token", "/healthz", "/openapi.json"])
    def test_a_call_that_needs_it_not_is_answered(self, unreachable: FlaskClient, path: str) -> None:
        assert unreachable.get(path).status_code == 200

    def test_a_voter_is_made_without_it(self, unreachable: FlaskClient) -> None:
        assert unreachable.post("/v1/voters", headers={"Origin": ORIGIN}).status_code == 201

    def test_security_headers_are_on_the_refusal(self, unreachable: FlaskClient) -> None:
        headers = unreachable.get(f"/v1/polls/{ID}", headers={"Origin": ORIGIN}).headers

        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert headers["X-Request-ID"]

    def test_nothing_of_it_stands_in_the_log(
        self, unreachable: FlaskClient, stderr: Callable[[], str]
    ) -> None:
        unreachable.get("/v1/articles/polls?article_url=https://news.example/secret")

        written = stderr()
        assert '"code":"database_unavailable"' in written
        assert "news.example" not in written
        assert "SELECT" not in written


@pytest.fixture
def hold(session: Session) -> Callable[[], AbstractContextManager[None]]:
    """Keep everybody else from writing, on either database."""

    @contextmanager
    def held() -> Iterator[None]:
        is_sqlite = session.get_bind().dialect.name == "sqlite"
        connection = session.connection()
        connection.exec_driver_sql(
            "UPDATE poll SET version = version" if is_sqlite else "LOCK TABLE poll, staff_token, ballot"
        )
        yield
        session.rollback()

    return held


@pytest.fixture
def hasty_client(
    make_app: App, poll_url: str, session: Session, monkeypatch: pytest.MonkeyPatch
) -> FlaskClient:
    """A client of an application that waits for a lock for less than a second."""
    is_sqlite = session.get_bind().dialect.name == "sqlite"
    monkeypatch.setattr("pollsvc.db.PATIENCE", 0.2 if is_sqlite else 1)
    return make_app().test_client()


def ballots(session: Session) -> int:
    session.rollback()
    return session.scalar(select(func.count()).select_from(Ballot)) or 0


class TestLocked:
    def test_a_vote_is_told_to_come_again_and_counts_when_it_does(
        self,
        hasty_client: FlaskClient,
        poll_url: str,
        keys: Keys,
        session: Session,
        hold: Callable[[], AbstractContextManager[None]],
    ) -> None:
        vote = {"choices": [1], "voter_token": make_voter_token(keys)}
        with hold():
            assert_unavailable(hasty_client.post(f"{poll_url}/votes", json=vote))
        assert ballots(session) == 0

        response = hasty_client.post(f"{poll_url}/votes", json=vote)

        assert (response.status_code, ballots(session)) == (201, 1)

    def test_a_staff_change_is_told_to_come_again(
        self,
        hasty_client: FlaskClient,
        poll_url: str,
        session: Session,
        hold: Callable[[], AbstractContextManager[None]],
    ) -> None:
        headers = {"Authorization": f"Bearer {make_token(session)}"}
        session.commit()
        with hold():
            assert_unavailable(hasty_client.post(f"{poll_url}/close", headers=headers))


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
class TestWriteLock:
    def test_of_sqlite_stops_no_reader(
        self, hasty_client: FlaskClient, poll_url: str, hold: Callable[[], AbstractContextManager[None]]
    ) -> None:
        with hold():
            assert hasty_client.get(poll_url).status_code == 200

    def test_of_sqlite_stops_no_newsroom_reading_though_its_token_s_use_is_not_noted(
        self,
        hasty_client: FlaskClient,
        session: Session,
        hold: Callable[[], AbstractContextManager[None]],
    ) -> None:
        headers = {"Authorization": f"Bearer {make_token(session)}"}
        session.commit()
        with hold():
            response = hasty_client.get("/v1/tokens", headers=headers)

        assert response.status_code == 200
        assert response.json["items"][0]["last_used_at"] is None  # type: ignore[index]


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
class TestConnections:
    def test_that_were_cut_are_made_anew(
        self, make_app: App, poll_url: str, keys: Keys, session: Session
    ) -> None:
        vote = {"choices": [1], "voter_token": make_voter_token(keys)}
        open_now = text("SELECT pid FROM pg_stat_activity WHERE application_name = 'pollsvc'")
        others = session.scalars(open_now).all()
        session.rollback()
        client = make_app().test_client()
        client.get(poll_url)
        (own,) = set(session.scalars(open_now)) - set(others)
        assert session.scalar(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": own})

        answers = [client.post(f"{poll_url}/votes", json=vote) for _ in range(2)]

        assert [answer.status_code for answer in answers] == [201, 200]
        assert ballots(session) == 1

    def test_that_die_after_the_answer_was_made_do_not_change_it(
        self, make_app: App, poll_url: str, session: Session
    ) -> None:
        ours = "FROM pg_stat_activity WHERE application_name = 'pollsvc'"
        # Those of the other tests stay: they are used again.
        others = list(session.scalars(text(f"SELECT pid {ours}")))
        application = make_app()

        @application.after_request
        def _lose_connections(response: Response) -> Response:
            ended = f"SELECT pg_terminate_backend(pid, 5000) {ours} AND pid <> ALL(:others)"
            session.rollback()  # the view is a snapshot of its transaction
            assert session.scalars(text(ended), {"others": others}).all()
            return response

        client = application.test_client()

        # Each reads in a transaction that is still open when the answer is made.
        answers = [client.get(f"/v1/articles/polls?article_url={ARTICLE_URL}") for _ in range(2)]

        assert [answer.status_code for answer in answers] == [200, 200]
        with application.app_context():
            pool = db.engine.pool
            assert isinstance(pool, QueuePool)
            assert pool.checkedout() == 0


@pytest.mark.slow
@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
class TestStopped:
    def test_server_is_told_to_every_page_of_a_site_known_before(self, make_app: App, keys: Keys) -> None:
        with PostgresServer() as server:
            url = PostgresDatabase(server, "own", keys).url
            engine = open_engine(url, keys)
            with Session(engine) as session:
                make_site(session)
                path = f"/v1/polls/{make_poll(session).id}"
                session.commit()
            engine.dispose()
            client = make_app(database_url=url).test_client()
            assert client.post("/v1/voters", headers={"Origin": ORIGIN}).status_code == 201
            assert client.get(path).status_code == 200

        response = client.get(path, headers={"Origin": ORIGIN})

        assert_unavailable(response)
        assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert client.get("/readyz").json == {"status": "not_ready", "parts": {"database": "down"}}
