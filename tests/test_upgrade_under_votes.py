"""A migration is made while the release before it serves: nobody who votes is refused, and no vote is lost.

0002 makes indexes and nothing else, so that the code of this release stands for that of the one before. `pollsvc serve` would
refuse the older schema; the benchmark's server asks nothing of the kind.
"""

import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from pollsvc.keys import Keys
from pollsvc.migrating import is_behind, migrating
from pollsvc.polls.tallies import find_differences, read_tally
from tests.cli.commands import installed
from tests.conftest import ENVIRON
from tests.databases import SuiteDatabase, open_engine
from tests.factories import make_poll, make_site
from tests.live_server import LiveServer
from tests.voting import Voting

pytestmark = [pytest.mark.live, pytest.mark.slow]

ROOT = Path(__file__).parent.parent
OF_BEFORE = [sys.executable, "-m", "tests.bench.server", "--workers", "2", "--threads", "4"]


@pytest.fixture
def older_url(request: pytest.FixtureRequest, database: SuiteDatabase, tmp_path: Path) -> Iterator[str]:
    """A database as the release before left it."""
    server = None if database.url.startswith("sqlite") else request.getfixturevalue("postgres")
    url = f"sqlite:///{tmp_path / 'older.db'}" if server is None else server.create_database("older")
    with migrating(url) as alembic:
        alembic.upgrade("0001")
    yield url
    if server is not None:
        server.drop_database("older")


def test_votes_go_on_while_the_database_is_upgraded(older_url: str, keys: Keys, tmp_path: Path) -> None:
    poll_id = begin(older_url, keys)
    settings = {name: value for name, value in ENVIRON.items() if name != "POLLSVC_PUBLIC_URL"}
    settings |= {"POLLSVC_DATABASE_URL": older_url, "POLLSVC_LIMIT_VOTES": "1000000/minute"}
    served = settings | {"PYTHONPATH": str(ROOT)}

    with (
        LiveServer(served, tmp_path, program=OF_BEFORE) as server,
        Voting(server.address, poll_id, keys) as voting,
    ):
        voting.wait_for_more()
        done = installed(tmp_path, "db", "upgrade", **settings)
        voting.wait_for_more()

    assert done.returncode == 0, done.stderr
    assert not is_behind(older_url)
    assert voting.refused == {}
    assert counted(older_url, keys, poll_id) == len(voting.counted)


def begin(url: str, keys: Keys) -> uuid.UUID:
    engine = open_engine(url, keys)
    with Session(engine.execution_options(sqlite_write=True)) as session:
        make_site(session)
        poll_id = make_poll(session).id
        session.commit()
    engine.dispose()
    return poll_id


def counted(url: str, keys: Keys, poll_id: uuid.UUID) -> int:
    engine = open_engine(url, keys)
    with Session(engine) as session:
        assert find_differences(session) == []
        voters = read_tally(session, poll_id).total_voters
    engine.dispose()
    return voters
