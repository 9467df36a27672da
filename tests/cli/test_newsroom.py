"""What the newsroom's engineer makes: sites, tokens, keys."""

import re
import uuid
from pathlib import Path

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pollsvc.articles.models import Site
from pollsvc.config import Settings
from pollsvc.consent.models import ConsentText
from pollsvc.staff.models import AuditEntry, StaffToken
from pollsvc.staff.service import find_token
from tests.cli.commands import NextRelease, Run, installed
from tests.conftest import NOW
from tests.factories import make_site


class TestAddSite:
    def test_it_prints_the_id_and_writes_down_origins_text_and_audit_row(
        self, run_on: Run, session: Session
    ) -> None:
        done = run_on(
            *("site", "add", "--name", "The Harbour Gazette"),
            *("--origin", "https://NEWS.example:443", "--origin", "https://m.news.example"),
            *("--privacy-url", "https://news.example/privacy", "--desk-email", "desk@news.example"),
        )

        site = session.get_one(Site, uuid.UUID(done.stdout.strip()))
        assert [row.origin for row in site.origins] == ["https://news.example", "https://m.news.example"]
        assert (site.privacy_url, site.desk_email) == ("https://news.example/privacy", "desk@news.example")
        assert "newsletter of The Harbour Gazette" in session.scalars(select(ConsentText.body)).one()
        audit = session.scalars(select(AuditEntry.actor).where(AuditEntry.action == "site.created")).one()
        assert audit == "cli"

    @pytest.mark.parametrize(
        ("option", "value", "sentence"),
        [
            ("--origin", "news.example", "origins.0"),
            ("--origin", "ftp://news.example", "origins.0"),
            ("--origin", "https://news.example/a-path", "origins.0"),
            ("--name", "  ", "Must not be empty"),
            ("--privacy-url", "javascript:alert(1)", "http or https"),
            ("--standards-url", "/standards", "http or https"),
            ("--desk-email", "nobody", "e-mail address"),
            ("--locale", "german", "Must be a language"),
            ("--consent-mode", "implied", "is not one of"),
            ("--consent-mode", "soft_opt_in", "login_key"),
        ],
    )
    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    def test_what_the_api_would_refuse_is_refused(
        self, run_on: Run, session: Session, option: str, value: str, sentence: str
    ) -> None:
        arguments = {"--name": "A paper", "--origin": "https://news.example", option: value}

        done = run_on("site", "add", *[word for pair in arguments.items() for word in pair])

        assert done.exit_code > 0
        assert sentence in done.stderr
        assert done.stdout == ""
        assert session.scalar(select(func.count()).select_from(Site)) == 0

    def test_language_and_mode_are_kept(self, run_on: Run, session: Session) -> None:
        done = run_on(
            *("site", "add", "--name", "Hafenblatt", "--origin", "https://news.example"),
            *("--locale", "de", "--consent-mode", "notice_only"),
        )

        site = session.get_one(Site, uuid.UUID(done.stdout.strip()))
        assert (site.locale, site.consent_mode) == ("de", "notice_only")
        assert session.scalars(select(ConsentText.mode)).one() == "notice_only"

    def test_an_origin_of_another_site_is_refused(self, run_on: Run, session: Session) -> None:
        make_site(session, origins=["https://news.example"])
        session.commit()

        done = run_on("site", "add", "--name", "Another", "--origin", "https://news.example")

        assert done.exit_code == 1
        assert "belongs to another site" in done.stderr


class TestCreateToken:
    def test_stdout_is_the_token_alone(self, tmp_path: Path) -> None:
        url = f"sqlite:///{tmp_path / 'p.db'}"
        assert installed(tmp_path, "db", "upgrade", POLLSVC_DATABASE_URL=url).returncode == 0

        done = installed(
            tmp_path, "token", "create", "--name", "desk", "--scope", "admin", POLLSVC_DATABASE_URL=url
        )

        assert done.returncode == 0
        assert re.fullmatch(r"pollsvc_[\w-]{43}\n", done.stdout)

    def test_the_token_has_the_scopes_and_only_its_hash_is_kept(self, run_on: Run, session: Session) -> None:
        done = run_on(
            *("token", "create", "--name", "a desk", "--days", "30"),
            *("--scope", "polls:write", "--scope", "corrections:manage"),
        )

        secret = done.stdout.strip()
        row = session.scalars(select(StaffToken)).one()
        assert row.scopes == ["corrections:manage", "polls:write"]
        assert row.expires_at is not None
        assert (row.expires_at - row.created_at).days == 30
        assert find_token(session, secret, NOW) is row
        assert secret not in repr(vars(row))

    @pytest.mark.parametrize(
        "arguments",
        [
            ("--name", "x"),
            ("--scope", "admin"),
            ("--name", "x", "--scope", "everything"),
            ("--name", "", "--scope", "admin"),
        ],
        ids=["no scope", "no name", "an unknown scope", "an empty name"],
    )
    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    def test_what_is_missing_or_unknown_is_refused(
        self, run_on: Run, session: Session, arguments: tuple[str, ...]
    ) -> None:
        done = run_on("token", "create", *arguments)

        assert done.exit_code == 2
        assert done.stdout == ""
        assert session.scalar(select(func.count()).select_from(StaffToken)) == 0

    def test_a_database_of_a_newer_release_is_worked_with(self, run: Run, next_release: NextRelease) -> None:
        with next_release():
            assert run("db", "upgrade").exit_code == 0

        done = run("token", "create", "--name", "desk", "--scope", "admin")

        assert done.exit_code == 0
        assert "Note: the database is of a newer release" in done.stderr

    def test_an_empty_database_is_refused_with_what_to_do(self, run: Run) -> None:
        done = run("token", "create", "--name", "desk", "--scope", "admin")

        assert done.exit_code == 1
        assert "Run: pollsvc db upgrade" in done.stderr


class TestKeys:
    def test_what_it_prints_are_settings_of_production(self, run: Run, here: Path) -> None:
        printed = run("keys").stdout

        environ = dict(line.split("=", 1) for line in printed.splitlines())
        settings = Settings.from_environ({**environ, "POLLSVC_PUBLIC_URL": "https://polls.example"}, here)
        assert settings.keys().sign("a purpose", b"a payload")
        assert not (here / "instance").exists()

    def test_they_are_new_each_time(self, run: Run) -> None:
        assert not set(run("keys").stdout.splitlines()) & set(run("keys").stdout.splitlines())
