"""The documented backup and restore, run as they are documented, while readers vote."""

import os
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from pollsvc.keys import Keys
from pollsvc.polls.models import Ballot
from pollsvc.polls.tallies import find_differences, read_tally
from pollsvc.voters.service import voter_key
from tests.conftest import ENVIRON
from tests.databases import SuiteDatabase, migrate, open_engine
from tests.documented import blocks, run
from tests.factories import make_poll, make_site, make_voter
from tests.live_server import LiveServer, clean_environ
from tests.postgres import PostgresServer
from tests.voting import Voting

pytestmark = [pytest.mark.live, pytest.mark.slow]

UNLIMITED = {"POLLSVC_LIMIT_VOTES": "1000000/minute"}


@dataclass
class Installation:
    """An installation with the names of the documentation, and how its operator works with it."""

    directory: Path
    environ: dict[str, str]
    heading: str
    url: str
    restored_url: str
    poll_id: uuid.UUID


@pytest.fixture
def installation(
    request: pytest.FixtureRequest, database: SuiteDatabase, keys: Keys, tmp_path: Path
) -> Iterator[Installation]:
    environ = clean_environ(ENVIRON)
    programs = [str(Path(sys.executable).parent), environ["PATH"]]
    if database.url.startswith("sqlite"):
        environ["PATH"] = os.pathsep.join(programs)
        (tmp_path / "instance").mkdir()
        url = f"sqlite:///{tmp_path / 'instance' / 'pollsvc.db'}"
        yield Installation(tmp_path, environ, "SQLite", url, url, _begin(url, keys))
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    environ["PATH"] = os.pathsep.join([str(server.program("pg_dump").parent), *programs])
    environ |= {"PGHOST": "127.0.0.1", "PGPORT": str(server.port), "PGUSER": "postgres"}
    url = server.create_database("pollsvc")
    yield Installation(tmp_path, environ, "PostgreSQL", url, server.url("restored"), _begin(url, keys))
    server.drop_database("restored")
    server.drop_database("pollsvc")


class TestBackup:
    def test_made_while_readers_vote_it_holds_every_vote_from_before_and_agrees_with_itself(
        self, installation: Installation, keys: Keys
    ) -> None:
        backup, restore = blocks(installation.heading, "sh")
        settings = {**ENVIRON, **UNLIMITED, "POLLSVC_DATABASE_URL": installation.url}
        settings.pop("POLLSVC_PUBLIC_URL")
        with (
            LiveServer(settings, installation.directory) as server,
            Voting(server.address, installation.poll_id, keys) as voting,
        ):
            voting.wait_for_more()
            before = voting.counted
            run(backup, installation.directory, installation.environ)
            voting.wait_for_more()

        told = run(restore, installation.directory, installation.environ)

        assert "Every tally equals its ballots." in told
        assert voting.refused == {}
        restored = _voters(installation.restored_url, installation.poll_id, keys, voting.counted)
        assert before <= restored
        # What came after the backup is not in it: otherwise the database itself was looked at.
        assert restored < voting.counted

    def test_restored_it_knows_who_has_voted(self, installation: Installation, keys: Keys) -> None:
        backup, restore = blocks(installation.heading, "sh")
        settings = {**ENVIRON, **UNLIMITED, "POLLSVC_DATABASE_URL": installation.url}
        settings.pop("POLLSVC_PUBLIC_URL")
        with LiveServer(settings, installation.directory) as server:
            with Voting(server.address, installation.poll_id, keys) as voting:
                voting.wait_for_more()
            run(backup, installation.directory, installation.environ)
        run(restore, installation.directory, installation.environ)

        settings["POLLSVC_DATABASE_URL"] = installation.restored_url
        with (
            LiveServer(settings, installation.directory) as server,
            Voting(server.address, installation.poll_id, keys) as again,
        ):
            again.wait_for_more(1)

        # 200: the same ballot, already counted.
        assert {number for number, status in again.refused.items() if status == 200} == voting.counted
        assert set(again.refused.values()) == {200}


def _begin(url: str, keys: Keys) -> uuid.UUID:
    """Migrate a database and make a poll in it."""
    migrate(url, keys)
    engine = open_engine(url, keys)
    with Session(engine.execution_options(sqlite_write=True)) as session:
        make_site(session)
        poll_id = make_poll(session).id
        session.commit()
    engine.dispose()
    return poll_id


def _voters(url: str, poll_id: uuid.UUID, keys: Keys, numbers: set[int]) -> set[int]:
    """Give those of these readers who have a ballot, after a look at the tally."""
    engine = open_engine(url, keys)
    with Session(engine) as session:
        cast = set(session.scalars(select(Ballot.voter_key).where(Ballot.poll_id == poll_id)))
        assert find_differences(session) == []
        assert read_tally(session, poll_id).total_voters == len(cast)
    engine.dispose()
    return {number for number in numbers if voter_key(keys, poll_id, make_voter(number=number)) in cast}
