"""Bringing a database to the schema of this release."""

import stat
from pathlib import Path

from pollsvc.migrating import is_behind, is_empty, upgrade


def test_a_new_database_is_ours_alone_to_read(tmp_path: Path) -> None:
    path = tmp_path / "instance" / "pollsvc.db"

    upgrade(f"sqlite:///{path}")

    assert [stat.S_IMODE(each.stat().st_mode) for each in (path.parent, path)] == [0o700, 0o600]


def test_it_is_empty_until_it_is_upgraded(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'pollsvc.db'}"
    before = is_empty(url), is_behind(url)

    upgrade(url)

    assert (before, (is_empty(url), is_behind(url))) == ((True, True), (False, False))
