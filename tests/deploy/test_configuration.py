"""The shipped configuration itself, and what it logs."""

import json
import re
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from flask import Flask

from tests.deploy.asking import Answer, ask, poll_path
from tests.nginx import SHIPPED, Nginx
from tests.processes import wait_until


class TestCheck:
    def test_nginx_finds_no_fault_with_it(self, proxy: Nginx) -> None:
        checked = proxy.check()

        assert checked.returncode == 0
        assert "test is successful" in checked.stderr
        assert "warn" not in checked.stderr

    def test_nor_with_the_lines_for_tls_and_a_cdn(self, proxy: Nginx, tmp_path: Path) -> None:
        path = proxy.directory / "site" / "public.conf"
        text = path.read_text()
        write_certificate(tmp_path)
        # What is commented out becomes the configuration, and the plain port goes.
        chosen = re.sub(r"^# (listen|ssl_|set_real|real_)", r"\1", text, flags=re.MULTILINE)
        chosen = chosen.replace("/etc/ssl/", f"{tmp_path}/").replace("443", str(proxy.port))
        path.write_text(chosen.replace(f"listen 127.0.0.1:{proxy.port};", ""))

        checked = proxy.check()

        path.write_text(text)
        assert "ssl_certificate_key" in chosen
        assert checked.returncode == 0, checked.stderr

    def test_every_cache_is_bounded_and_forgets(self) -> None:
        lines = re.findall(
            r"^proxy_cache_path .*$", (SHIPPED / "site" / "paths.conf").read_text(), re.MULTILINE
        )

        assert len(lines) == 3
        assert [line for line in lines if not ("max_size=" in line and "inactive=" in line)] == []

    def test_versions_are_not_told(self, proxy: Nginx) -> None:
        answer = ask(proxy.address, "/no-such-page")

        assert answer.headers["Server"] == "nginx"


class TestLog:
    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    def test_it_holds_the_patterns_that_the_service_knows(self, proxy: Nginx, app: Flask) -> None:
        rules = sorted({rule.rule for rule in app.url_map.iter_rules()})
        answers = {rule: ask(proxy.address, sample(rule), Cookie="a=b") for rule in rules}

        logged = {rule: line_of(proxy, answer)["route"] for rule, answer in answers.items()}

        assert logged == {rule: rule for rule in rules}

    def test_it_holds_no_address_path_or_query(self, proxy: Nginx, poll_id: uuid.UUID) -> None:
        for path in (
            f"{poll_path(poll_id)}?q=beeblebrox",
            f"/beeblebrox/{poll_id}",
            "/v1/articles/polls?article_url=https://news.example/beeblebrox",
        ):
            answer = ask(proxy.address, path, X_Forwarded_For="198.51.100.7", User_Agent="beeblebrox")
            line = line_of(proxy, answer)

            assert line.keys() == {
                "timestamp", "method", "route", "status", "seconds", "bytes", "cache", "request_id"
            }  # fmt: skip
        assert not re.search(rf"127\.0\.0\.1|198\.51|beeblebrox|{poll_id}|news\.example", proxy.log)

    def test_a_method_of_the_clients_own_is_not_quoted(self, proxy: Nginx) -> None:
        answer = ask(proxy.address, "/", method="SECRET")

        assert answer.status >= 400
        wait_until(lambda: '"method": "other"' in proxy.log)
        assert "SECRET" not in proxy.log


def sample(rule: str) -> str:
    """Give a path that a rule matches."""
    rule = re.sub(r"<any\((\w+)[^>]*>", r"\1", rule)
    rule = re.sub(r"<int:[^>]*>", "7", rule)
    rule = re.sub(r"<uuid:[^>]*>", str(uuid.uuid4()), rule).replace("<name>", "widget.css")
    rule = rule.replace("<kind>", "banned").replace("<language>", "en")
    return rule.replace("<token>", "x.y-z_0")


def line_of(proxy: Nginx, answer: Answer) -> dict[str, object]:
    """Give what was logged of an answer, once it is there: nginx writes once a second."""
    found: list[dict[str, object]] = []

    def is_there() -> bool:
        # The last line may be half written.
        lines = [json.loads(line) for line in proxy.log.split("\n")[:-1]]
        found[:] = [each for each in lines if each["request_id"] == answer.headers["X-Request-ID"]]
        return bool(found)

    wait_until(is_there)
    return found[0]


def write_certificate(directory: Path) -> None:
    """Write a key and a certificate under the names that the shipped file uses."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "polls.example.org")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    (directory / "polls.example.org.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (directory / "polls.example.org.key").write_bytes(private)
