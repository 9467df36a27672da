"""The three keys: required in production, made once for a first run."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pollsvc.config import ConfigError, Settings, _write_once, fresh_keys
from tests.conftest import ENVIRON

PRODUCTION = ENVIRON | {"POLLSVC_PUBLIC_URL": "https://polls.example"}
KEYS = ("POLLSVC_SECRET_KEY", "POLLSVC_HASH_KEY", "POLLSVC_ENCRYPTION_KEYS")


def without(environ: dict[str, str], *names: str) -> dict[str, str]:
    return {name: text for name, text in environ.items() if name not in names}


class TestProduction:
    def test_is_an_https_address(self, tmp_path: Path) -> None:
        assert Settings.from_environ(PRODUCTION, tmp_path).is_production
        assert not Settings.from_environ(ENVIRON, tmp_path).is_production

    @pytest.mark.parametrize("missing", [*KEYS, "all"])
    @pytest.mark.parametrize("address", ["https://polls.example", "HTTPS://polls.example:443/"])
    def test_needs_each_key(self, tmp_path: Path, missing: str, address: str) -> None:
        absent = KEYS if missing == "all" else (missing,)
        environ = without(PRODUCTION, *absent) | {"POLLSVC_PUBLIC_URL": address}

        with pytest.raises(ConfigError, match="`pollsvc keys` prints fresh ones") as refused:
            Settings.from_environ(environ, tmp_path)

        assert {name for name in KEYS if name in str(refused.value)} == set(absent)
        assert not (tmp_path / "instance").exists()

    def test_does_not_fall_back_to_the_keys_of_a_trial(self, tmp_path: Path) -> None:
        Settings.from_environ({}, tmp_path)

        with pytest.raises(ConfigError):
            Settings.from_environ({"POLLSVC_PUBLIC_URL": "https://polls.example"}, tmp_path)


class TestFirstRun:
    def test_makes_keys_that_only_we_may_read(self, tmp_path: Path) -> None:
        Settings.from_environ({}, tmp_path)

        instance = tmp_path / "instance"
        assert [path.name for path in instance.iterdir()] == ["keys.json"]
        assert stat.S_IMODE((instance / "keys.json").stat().st_mode) == 0o600
        assert stat.S_IMODE(instance.stat().st_mode) == 0o700

    def test_the_next_one_has_the_same(self, tmp_path: Path) -> None:
        first, second = Settings.from_environ({}, tmp_path), Settings.from_environ({}, tmp_path)

        assert first == second
        assert len(first.secret_key) == len(first.encryption_keys) == 1
        assert first.keys().unsign("x", second.keys().sign("x", b"y")) == b"y"

    def test_makes_none_where_all_are_given(self, tmp_path: Path) -> None:
        Settings.from_environ(ENVIRON, tmp_path)

        assert not (tmp_path / "instance").exists()

    @pytest.mark.parametrize("given", KEYS)
    def test_fills_in_what_is_not_given(self, tmp_path: Path, given: str) -> None:
        made = Settings.from_environ({}, tmp_path)

        settings = Settings.from_environ({given: ENVIRON[given]}, tmp_path)

        for name in KEYS:
            field = name.removeprefix("POLLSVC_").lower()
            assert (getattr(settings, field) == getattr(made, field)) == (name != given)

    @pytest.mark.parametrize(
        "content",
        [
            "",
            "{",
            "[]",
            "null",
            "{}",
            '{"secret_key": "short", "hash_key": "x", "encryption_keys": "x"}',
            "\x00\xff",
        ],
        ids=repr,
    )
    def test_stops_at_a_key_file_that_is_damaged_rather_than_making_another(
        self, tmp_path: Path, content: str
    ) -> None:
        path = tmp_path / "instance" / "keys.json"
        path.parent.mkdir()
        path.write_bytes(content.encode("latin-1"))

        with pytest.raises(ConfigError, match=r"keys\.json does not hold the keys"):
            Settings.from_environ({}, tmp_path)

        assert path.read_bytes() == content.encode("latin-1")

    def test_stops_where_keys_cannot_be_kept(self, tmp_path: Path) -> None:
        (tmp_path / "instance").write_text("in the way")

        with pytest.raises(ConfigError, match="cannot be kept in"):
            Settings.from_environ({}, tmp_path)

    def test_of_several_processes_at_once_gives_all_the_same(self, tmp_path: Path) -> None:
        program = (
            "import sys, pathlib; sys.stdin.read(1)\n"
            "from pollsvc.config import Settings\n"
            "print(Settings.from_environ({}, pathlib.Path(sys.argv[1])).hash_key)"
        )
        environ = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        started = [
            subprocess.Popen(
                [sys.executable, "-c", program, str(tmp_path)],
                env=environ,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(4)
        ]

        printed = {process.communicate(".")[0] for process in started}

        assert [process.returncode for process in started] == [0] * 4
        kept = json.loads((tmp_path / "instance" / "keys.json").read_text())
        assert printed == {kept["hash_key"] + "\n"}
        assert [path.name for path in (tmp_path / "instance").iterdir()] == ["keys.json"]


class TestWriteOnce:
    def test_leaves_what_another_process_wrote_first(self, tmp_path: Path) -> None:
        path = tmp_path / "instance" / "keys.json"
        _write_once(path, "first")

        _write_once(path, "second")

        assert path.read_text() == "first"
        assert list(path.parent.iterdir()) == [path]


class TestFreshKeys:
    def test_are_a_production_s_settings(self, tmp_path: Path) -> None:
        environ: dict[str, Any] = {f"POLLSVC_{name.upper()}": key for name, key in fresh_keys().items()}

        settings = Settings.from_environ(environ | {"POLLSVC_PUBLIC_URL": "https://polls.example"}, tmp_path)

        assert settings.is_production
        assert fresh_keys() != fresh_keys()
