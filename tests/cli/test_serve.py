"""What ``pollsvc serve`` refuses before it serves, and what the command tells of itself."""

import re
from pathlib import Path

import pytest

from pollsvc.cli import main
from tests.cli.commands import NextRelease, Run
from tests.ports import free_port

# Every one of them ends before it listens; the port is for the day when one does not.
SERVE = ("serve", "--port", str(free_port()))


class TestServe:
    def test_another_hash_key_is_refused(self, run_on: Run) -> None:
        done = run_on(*SERVE, POLLSVC_HASH_KEY="quite another key of thirty-two characters")

        assert done.exit_code == 1
        assert "POLLSVC_HASH_KEY is not the one" in done.stderr

    def test_an_older_database_is_refused_with_what_to_do(self, run: Run, next_release: NextRelease) -> None:
        assert run("db", "upgrade").exit_code == 0

        with next_release():
            done = run(*SERVE)

        assert done.exit_code == 1
        assert "older release. Back it up, then run: pollsvc db upgrade" in done.stderr

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("POLLSVC_DATABASE_URL", "mysql://localhost/x"),
            ("POLLSVC_PUBLIC_URL", "polls.example"),
            ("POLLSVC_SECRET_KEY", "short"),
            ("POLLSVC_LIMIT_VOTES", "many"),
            ("POLLSVC_TRUSTED_PROXIES", "10.0.0.0/99"),
        ],
    )
    def test_a_wrong_setting_is_named(self, run: Run, name: str, value: str) -> None:
        done = run(*SERVE, **{name: value})

        assert done.exit_code == 1
        assert done.stderr.startswith(f"Error: {name}")

    @pytest.mark.parametrize("missing", ["SECRET_KEY", "HASH_KEY", "ENCRYPTION_KEYS"])
    def test_production_without_a_key_is_refused_with_what_to_do(
        self, run: Run, here: Path, missing: str
    ) -> None:
        production = {"POLLSVC_PUBLIC_URL": "https://polls.example", f"POLLSVC_{missing}": None}

        done = run(*SERVE, **production)

        assert done.exit_code == 1
        assert f"needs POLLSVC_{missing}: `pollsvc keys` prints fresh ones" in done.stderr
        assert not (here / "instance").exists()

    def test_an_unknown_setting_is_worth_a_note(self, run: Run) -> None:
        done = run("db", "upgrade", POLLSVC_DATABSE_URL="sqlite:///x.db")

        assert done.exit_code == 0
        assert "POLLSVC_DATABSE_URL is no setting" in done.stderr

    def test_an_address_that_is_not_ours_is_refused(self, run: Run) -> None:
        done = run("serve", "--host", "192.0.2.1")

        assert done.exit_code == 1
        assert "Cannot listen on 192.0.2.1" in done.stderr


class TestHelp:
    def test_each_command_says_what_it_does(self, run: Run) -> None:
        listed = run("--help").stdout

        assert [
            name for name in main.commands if not re.search(rf"^  {name} +[A-Z]", listed, re.MULTILINE)
        ] == []

    def test_the_version_is_told(self, run: Run) -> None:
        assert re.fullmatch(r"pollsvc, version \d+\.\d+\S*\n", run("--version").stdout)
