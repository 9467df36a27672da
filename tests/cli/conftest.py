"""Commands, run in this process, on a database of their own or the suite's."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pollsvc import migrating
from pollsvc.cli import main
from tests.cli.commands import NextRelease, Run
from tests.conftest import ENVIRON

NEXT_MIGRATION = '''"""The next release's."""
revision = "9999"
down_revision = "{down_revision}"
def upgrade(): pass
def downgrade(): pass
'''


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(here: Path) -> Run:
    """Run a command on a new database of its own, an SQLite file in the working directory, or on the one that is named."""

    def run(*arguments: str, **settings: str | None) -> Result:
        return CliRunner().invoke(main, arguments, env={**ENVIRON, **settings})

    return run


@pytest.fixture
def run_on(run: Run, database_url: str) -> Run:
    """Run a command on the migrated, empty database of the suite: SQLite, then PostgreSQL."""

    def run_on(*arguments: str, **settings: str | None) -> Result:
        return run(*arguments, **{"POLLSVC_DATABASE_URL": database_url, **settings})

    return run_on


@pytest.fixture
def next_release(here: Path, monkeypatch: pytest.MonkeyPatch) -> NextRelease:
    """Be, for a while, a release with one migration more."""
    folder = here / "migrations"
    shutil.copytree(migrating.migrations_folder(), folder, ignore=shutil.ignore_patterns("__pycache__"))
    latest = max(folder.glob("[0-9]*.py"))
    revision = re.search(r'^revision = "(.+)"', latest.read_text(), re.MULTILINE)
    assert revision is not None
    (folder / "9999_next.py").write_text(NEXT_MIGRATION.format(down_revision=revision[1]))

    @contextmanager
    def become() -> Iterator[None]:
        with monkeypatch.context() as patch:
            patch.setattr(migrating, "migrations_folder", lambda: folder)
            yield

    return become
