"""Migrations are numbered, linear and reversible, and lead to what the models say, on both databases."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

import pollsvc.app  # noqa: F401 (loads every model)
from pollsvc.comments.models import Comment
from pollsvc.comments.service import withdraw_comment
from pollsvc.keys import Keys
from pollsvc.migrating import is_behind, is_empty, migrating, migrations_folder, upgrade
from tests.databases import SuiteDatabase, open_engine
from tests.factories import THEN, decide_comment, make_comment, make_site, make_writer

FILES = sorted((Path(__file__).parent.parent / "migrations").glob("**/[0-9a-z]*.py"))


def assigned(path: Path, name: str) -> object:
    """Read a module-level constant without running the module."""
    for node in ast.parse(path.read_text()).body:
        targets = (
            node.targets
            if isinstance(node, ast.Assign)
            else [node.target]
            if isinstance(node, ast.AnnAssign)
            else []
        )
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            assert isinstance(node, ast.Assign | ast.AnnAssign)
            assert node.value is not None
            return ast.literal_eval(node.value)
    raise AssertionError(f"{path.name} does not set {name}")


@pytest.fixture
def empty_url(request: pytest.FixtureRequest, database: SuiteDatabase, tmp_path: Path) -> Iterator[str]:
    """A database that was never migrated, of the kind that the test runs on."""
    if database.url.startswith("sqlite"):
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    server = request.getfixturevalue("postgres")
    name = re.sub(r"\W", "_", request.node.name).lower()[:60]
    yield server.create_database(name)
    server.drop_database(name)


class TestFiles:
    def test_they_are_where_the_package_looks(self) -> None:
        assert FILES
        assert all(path.is_relative_to(migrations_folder()) for path in FILES)

    def test_names_begin_with_their_number(self) -> None:
        expected = [f"{number:04}" for number in range(1, len(FILES) + 1)]

        assert [path.name.partition("_")[0] for path in FILES] == expected

    def test_each_follows_the_one_before(self) -> None:
        revisions = [assigned(path, "revision") for path in FILES]

        assert [assigned(path, "down_revision") for path in FILES] == [None, *revisions[:-1]]

    @pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
    def test_they_import_nothing_of_the_package(self, path: Path) -> None:
        """A migration must do tomorrow what it did on the day it was written."""
        imported = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add((node.module or "").partition(".")[0])

        assert "pollsvc" not in imported


class TestUpgrade:
    def test_there_is_one_head(self, empty_url: str) -> None:
        with migrating(empty_url) as alembic:
            assert len(alembic.heads()) == 1

    def test_an_empty_database_comes_up_to_the_models(self, empty_url: str) -> None:
        assert is_empty(empty_url)

        upgrade(empty_url)

        assert not is_empty(empty_url)
        assert not is_behind(empty_url)
        assert differences(empty_url) == []

    def test_a_second_one_changes_nothing(self, empty_url: str) -> None:
        upgrade(empty_url)

        upgrade(empty_url)

        assert differences(empty_url) == []

    def test_each_step_can_be_taken_back_and_again(self, empty_url: str) -> None:
        for path in FILES:
            with migrating(empty_url) as alembic:
                alembic.upgrade(str(assigned(path, "revision")))
            with migrating(empty_url) as alembic:
                alembic.downgrade()
            with migrating(empty_url) as alembic:
                alembic.upgrade(str(assigned(path, "revision")))

        assert differences(empty_url) == []

    def test_everything_can_be_taken_back(self, empty_url: str) -> None:
        upgrade(empty_url)

        with migrating(empty_url) as alembic:
            alembic.downgrade("base")

        assert is_empty(empty_url)
        upgrade(empty_url)
        assert differences(empty_url) == []

    def test_what_was_turned_down_is_known_again_by_the_log(self, empty_url: str, keys: Keys) -> None:
        upgrade(empty_url)
        engine = open_engine(empty_url, keys).execution_options(sqlite_write=True)
        with Session(engine) as session:
            make_site(session)
            made = [make_comment(session, keys=keys, body=f"Word {number}.") for number in range(5)]
            for seen, action in zip(made, ("approve", "reject", "spam", "remove"), strict=False):
                decide_comment(session, seen, action, now=THEN + timedelta(hours=1))
            withdraw_comment(session, made[2].id, writer=make_writer(keys), now=THEN + timedelta(hours=2))
            withdraw_comment(session, made[4].id, writer=make_writer(keys), now=THEN)
            session.commit()
        known = sa.select(Comment.turned_down_at).order_by(Comment.id)
        with engine.connect() as connection:
            before = connection.scalars(known).all()
        engine.dispose()
        assert [each is not None for each in before] == [False, True, True, True, False]

        with migrating(empty_url) as alembic:
            alembic.downgrade("0004")
        upgrade(empty_url)

        with engine.connect() as connection:
            assert connection.scalars(known).all() == before
        engine.dispose()

    def test_several_at_once_wait_for_each_other(self, empty_url: str) -> None:
        # Processes, as on a roll-out; within one process Alembic's `op` belongs to one thread.
        program = "import sys; from pollsvc.migrating import upgrade; upgrade(sys.argv[1])"
        started = [
            subprocess.Popen([sys.executable, "-c", program, empty_url], stderr=subprocess.PIPE, text=True)
            for _ in range(3)
        ]

        told = [process.communicate(timeout=60)[1] for process in started]

        assert [process.returncode for process in started] == [0, 0, 0], told
        assert differences(empty_url) == []


def differences(url: str) -> list[object]:
    """Give what autogenerate would write to make the database like the models."""
    with migrating(url) as alembic:
        return list(alembic.compare_metadata())
