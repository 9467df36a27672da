"""The connections that a host may hold are held against what PostgreSQL gives, before it serves."""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from pollsvc.config import ConfigError
from pollsvc.connections import Room, check_room, find_room
from pollsvc.keys import Keys
from tests.cli.commands import installed
from tests.conftest import ENVIRON
from tests.databases import open_engine
from tests.live_server import LiveServer
from tests.ports import free_port
from tests.postgres import PostgresServer

ROOM = Room(97, "max_connections 100 less 3 reserved", is_pooled=False)


class TestCheckRoom:
    def test_what_leaves_room_for_another_host_is_not_worth_a_word(self) -> None:
        assert check_room(ROOM, workers=3, pool=16) is None

    def test_what_leaves_no_room_for_another_host_is_told(self) -> None:
        assert check_room(ROOM, workers=4, pool=16) == (
            "4 workers with POLLSVC_DATABASE_POOL=16 may hold 64 of the 97 connections that PostgreSQL gives "
            "(max_connections 100 less 3 reserved). No second host like this one fits beside it."
        )

    def test_all_there_are_fit(self) -> None:
        assert check_room(ROOM, workers=1, pool=97)

    def test_one_more_does_not_and_the_refusal_says_what_to_do(self) -> None:
        with pytest.raises(ConfigError) as refusal:
            check_room(ROOM, workers=7, pool=14)

        assert str(refusal.value) == (
            "7 workers with POLLSVC_DATABASE_POOL=14 may hold 98 connections, and PostgreSQL gives 97 "
            "(max_connections 100 less 3 reserved). "
            "Start fewer --workers, set POLLSVC_DATABASE_POOL to 13 or less, or raise that limit."
        )

    def test_what_is_held_beside_the_pool_counts(self) -> None:
        with pytest.raises(ConfigError) as refusal:
            check_room(ROOM, workers=5, pool=16, beside=4)

        assert (
            "5 workers with POLLSVC_DATABASE_POOL=16 and 4 more for votes and wake-ups may hold 100"
            in str(refusal.value)
        )
        assert "set POLLSVC_DATABASE_POOL to 15 or less" in str(refusal.value)

    def test_what_the_outbox_worker_holds_counts(self) -> None:
        with pytest.raises(ConfigError) as refusal:
            check_room(ROOM, workers=5, pool=14, beside=4, outbox=8)

        assert "for votes and wake-ups, with the 8 of the outbox worker, may hold 98 connections" in str(
            refusal.value
        )
        assert "set POLLSVC_DATABASE_POOL to 13 or less" in str(refusal.value)

    def test_a_pool_of_nothing_is_not_advised(self) -> None:
        with pytest.raises(ConfigError, match="Start fewer --workers, or raise that limit"):
            check_room(Room(2, "the connection limit of the database", is_pooled=False), workers=3, pool=1)

    def test_a_pooler_is_left_to_its_own_limits(self) -> None:
        room = Room(97, ROOM.limit, is_pooled=True)

        assert check_room(room, workers=10, pool=16) == (
            "10 workers with POLLSVC_DATABASE_POOL=16 may hold 160 connections, all to a pooler. "
            "See that its limits admit them."
        )


class TestFindRoom:
    def test_reserved_connections_are_not_ours(self, postgres: PostgresServer, keys: Keys) -> None:
        assert found(postgres.url(), keys) == Room(
            297, "max_connections 300 less 3 reserved", is_pooled=False
        )

    @pytest.mark.parametrize(
        ("statement", "limit"),
        [
            ("ALTER ROLE limited CONNECTION LIMIT 40", "the connection limit of the database's user"),
            ("ALTER DATABASE limited CONNECTION LIMIT 40", "the connection limit of the database"),
        ],
        ids=["user", "database"],
    )
    def test_a_lower_limit_counts(
        self, limited: PostgresServer, keys: Keys, statement: str, limit: str
    ) -> None:
        with limited.connect() as connection:
            connection.execute(statement.encode())

        room = found(limited.url("limited").replace("postgres@", "limited@"), keys)

        assert room == Room(40, limit, is_pooled=False)

    def test_sqlite_knows_no_bound(self, tmp_path: Path, keys: Keys) -> None:
        assert found(f"sqlite:///{tmp_path / 'a.db'}", keys) is None

    def test_a_pooler_is_recognised(self, postgres: PostgresServer, keys: Keys) -> None:
        with closing(pooler_before(postgres.port)) as listening:
            port = listening.getsockname()[1]
            room = found(f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres?sslmode=disable", keys)

        assert room
        assert room.is_pooled


class TestServe:
    def test_what_does_not_fit_stops_the_start(self, postgres: PostgresServer, tmp_path: Path) -> None:
        url = postgres.create_database("crowded")
        settings = {**ENVIRON, "POLLSVC_DATABASE_URL": url, "POLLSVC_DATABASE_POOL": "100"}

        done = installed(tmp_path, "serve", "--port", str(free_port()), "--workers", "3", **settings)

        postgres.drop_database("crowded")
        assert done.returncode == 1
        assert "may hold 325 connections, and PostgreSQL gives 297" in done.stderr
        assert done.stderr.startswith("Error: ") or "\nError: " in done.stderr

    def test_what_leaves_little_starts_with_a_note(self, postgres: PostgresServer, tmp_path: Path) -> None:
        url = postgres.create_database("crowded")
        settings = {**ENVIRON, "POLLSVC_DATABASE_URL": url, "POLLSVC_DATABASE_POOL": "160"}

        with LiveServer(settings, tmp_path) as server:
            told = server.stderr

        postgres.drop_database("crowded")
        assert re.search(
            r"^Note: 1 worker with POLLSVC_DATABASE_POOL=160 and 6 more for votes and wake-ups may hold 166 of the 297",
            told,
            re.MULTILINE,
        )


@pytest.fixture
def limited(postgres: PostgresServer) -> Iterator[PostgresServer]:
    """The cluster with a user and a database of the name `limited`."""
    postgres.create_database("limited")
    with postgres.connect() as connection:
        connection.execute("CREATE ROLE limited LOGIN")
    yield postgres
    postgres.drop_database("limited")
    with postgres.connect() as connection:
        connection.execute("DROP ROLE limited")


def found(url: str, keys: Keys) -> Room | None:
    engine: sa.Engine = open_engine(url, keys)
    with Session(engine) as session:
        room = find_room(session)
    engine.dispose()
    return room


def pooler_before(port: int) -> socket.socket:
    """A relay for one client that, as poolers do, gives it a process number of its own making."""
    listening = socket.create_server(("127.0.0.1", 0))
    key_data = b"K\x00\x00\x00\x0c"

    def relay() -> None:
        client, _ = listening.accept()
        server = socket.create_connection(("127.0.0.1", port))
        forth = threading.Thread(target=pump, args=(client, server, None), daemon=True)
        forth.start()
        pump(server, client, key_data)
        forth.join()
        client.close()
        server.close()

    threading.Thread(target=relay, daemon=True).start()
    return listening


def pump(source: socket.socket, target: socket.socket, key_data: bytes | None) -> None:
    with suppress(OSError):
        while received := source.recv(65_536):
            if key_data and key_data in received:
                place = received.index(key_data) + len(key_data)
                received = received[:place] + (1).to_bytes(4) + received[place + 4 :]
            target.sendall(received)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
