"""The files for systemd and Docker: what can be said of them without starting either."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from pollsvc.config import Settings, fresh_keys
from pollsvc.serving import DRAIN
from tests.chromium import is_required
from tests.live_server import command
from tests.nginx import SHIPPED

COMPOSE: dict[str, Any] = yaml.safe_load((SHIPPED / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
UNIT = (SHIPPED / "pollsvc.service").read_text()


@pytest.fixture
def systemd_analyze() -> str:
    """systemd's own check, which needs no systemd to run."""
    found = shutil.which("systemd-analyze")
    if found is None:
        reason = "systemd-analyze is not installed (Debian: apt-get install systemd)"
        if is_required():
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit, with the program that is installed here."""
    path = tmp_path / "pollsvc.service"
    assert UNIT.count("/opt/pollsvc/bin/pollsvc") == 1
    path.write_text(UNIT.replace("/opt/pollsvc/bin/pollsvc", command()[0]))
    return path


class TestUnit:
    def test_systemd_finds_no_fault_with_it(self, systemd_analyze: str, unit: Path) -> None:
        checked = subprocess.run(
            [systemd_analyze, "verify", str(unit)], capture_output=True, text=True, check=False
        )

        assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")

    def test_systemd_finds_little_exposed(self, systemd_analyze: str, unit: Path) -> None:
        # In tenths; 10.0 is a service without any protection.
        how = ["security", "--offline=true", "--threshold=15", "--no-pager"]

        checked = subprocess.run(
            [systemd_analyze, *how, str(unit)], capture_output=True, text=True, check=False
        )

        assert checked.returncode == 0, checked.stdout

    def test_it_waits_for_longer_than_the_service_takes_to_end(self) -> None:
        seconds = re.search(r"^TimeoutStopSec=(\d+)$", UNIT, re.MULTILINE)

        assert seconds
        assert int(seconds[1]) > DRAIN + 2

    def test_its_command_is_one_that_the_service_takes(self) -> None:
        line = re.search(r"^ExecStart=/opt/pollsvc/bin/pollsvc (.*)$", UNIT, re.MULTILINE)

        assert line
        assert_is_understood(line[1].split())


class TestImage:
    def test_its_command_is_one_that_the_service_takes(self) -> None:
        text = (SHIPPED / "Dockerfile").read_text()
        words = re.search(r"^CMD \[(.*)\]$", text, re.MULTILINE)

        assert words
        assert_is_understood(re.findall(r'"([^"]*)"', words[1]))

    def test_it_does_not_run_as_root(self) -> None:
        assert "\nUSER pollsvc\n" in (SHIPPED / "Dockerfile").read_text()

    def test_what_it_copies_is_let_through(self) -> None:
        text = (SHIPPED / "Dockerfile").read_text()
        copied = {
            word for line in re.findall(r"^COPY (?!--)(.*) \S+$", text, re.MULTILINE) for word in line.split()
        }
        ignored = (SHIPPED.parent / ".dockerignore").read_text().splitlines()

        assert ignored[0] == "*"
        assert copied == {line.removeprefix("!") for line in ignored if line.startswith("!")}
        assert [name for name in copied if not (SHIPPED.parent / name).exists()] == []


class TestCompose:
    def test_every_service_has_a_health_check_and_is_restarted(self) -> None:
        assert [name for name, each in SERVICES.items() if "healthcheck" not in each] == []
        assert {each["restart"] for each in SERVICES.values()} == {"unless-stopped"}

    def test_every_image_names_its_major_version(self) -> None:
        images = [each["image"] for each in SERVICES.values() if "image" in each]

        assert [image for image in images if not re.search(r":\d", image)] == []
        assert "postgres:18" in images

    def test_no_service_may_write_to_its_image(self) -> None:
        assert [name for name, each in SERVICES.items() if not each["read_only"]] == []
        assert {tuple(each["security_opt"]) for each in SERVICES.values()} == {("no-new-privileges:true",)}

    def test_only_the_proxy_can_be_reached(self) -> None:
        assert [name for name, each in SERVICES.items() if "ports" in each] == ["nginx"]

    def test_it_holds_no_secret_and_no_default_of_one(self) -> None:
        text = (SHIPPED / "compose.yaml").read_text()
        secrets = re.findall(r"^ +(\w*(?:PASSWORD|KEYS?)): (.*)$", text, re.MULTILINE)

        assert len(secrets) == 4
        assert [value for name, value in secrets if value != f"${{{name}:?}}"] == []

    def test_what_it_asks_for_is_in_the_example_and_empty(self) -> None:
        asked = set(re.findall(r"\$\{(\w+):\?\}", (SHIPPED / "compose.yaml").read_text()))
        lines = re.findall(r"^(\w+)=(.*)$", (SHIPPED / "example.env").read_text(), re.MULTILINE)

        assert asked == {name for name, value in lines if not value}

    def test_the_service_takes_its_settings(self, tmp_path: Path) -> None:
        environ = SERVICES["pollsvc"]["environment"]
        given = {
            **{f"POLLSVC_{name.upper()}": key for name, key in fresh_keys().items()},
            "POLLSVC_PUBLIC_URL": "https://polls.example.org",
            "POLLSVC_SMTP_URL": "smtp://user:password@mail.example.org:587",
            "POLLSVC_MAIL_FROM": "polls@example.org",
            "POSTGRES_PASSWORD": "x",
        }
        filled = {
            name: re.sub(r"\$\{(\w+):\?\}", lambda match: given[match[1]], value)
            for name, value in environ.items()
        }

        settings = Settings.from_environ(filled, tmp_path)

        assert settings.unknown == ()
        assert settings.is_production
        network = COMPOSE["networks"]["default"]["ipam"]["config"][0]["subnet"]
        assert [str(each) for each in settings.trusted_proxies] == [network]

    def test_files_that_it_mounts_exist(self) -> None:
        mounted = [volume.split(":")[0] for each in SERVICES.values() for volume in each.get("volumes", ())]
        files = [name for name in mounted if name.startswith(".")]

        assert len(files) == 4
        assert [name for name in files if not (SHIPPED / name).is_file()] == []

    def test_its_nginx_differs_in_addresses_and_folders_only(self) -> None:
        ours = (SHIPPED / "site" / "paths.conf").read_text()
        for shipped, there in {
            "127.0.0.1:8000": "pollsvc:8000",
            "/var/cache/pollsvc-nginx-": "/var/cache/nginx/",
            "/var/log/nginx/pollsvc.log": "/dev/stdout",
        }.items():
            ours = ours.replace(shipped, there)

        assert (SHIPPED / "compose" / "paths.conf").read_text() == ours


def assert_is_understood(arguments: list[str]) -> None:
    """Let the service read these arguments, and do no more."""
    done = subprocess.run(command(*arguments, "--help"), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
