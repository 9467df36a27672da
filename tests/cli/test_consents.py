"""Subscribers in and out by command."""

import csv
import io
import json
from pathlib import Path

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pollsvc.consent.models import Consent, ConsentEvent, ConsentText, State
from pollsvc.keys import Keys
from pollsvc.staff.models import AuditEntry
from tests.cli.commands import Run
from tests.conftest import NOW
from tests.consent.subscribers import make_consent
from tests.factories import make_article, make_consent_text, make_site

HEAD = "email,consented_at,source\r\n"


@pytest.fixture
def text(session: Session) -> ConsentText:
    site = make_site(session)
    make_article(session)
    made = make_consent_text(session, site=site)
    session.commit()
    return made


def count(session: Session) -> int:
    return session.scalar(select(func.count()).select_from(Consent)) or 0


class TestImport:
    def test_it_does_what_the_call_does(
        self, run_on: Run, here: Path, session: Session, text: ConsentText
    ) -> None:
        (here / "old.csv").write_text(HEAD + "ada@reader.example,2020-01-01,Form\r\nnobody,,\r\n")

        dry = run_on("consents", "import", "old.csv", "--text-id", str(text.id), "--dry-run")
        session.commit()
        assert count(session) == 0
        done = run_on("consents", "import", "old.csv", "--text-id", str(text.id))

        session.commit()
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        assert (dry.exit_code, done.exit_code) == (1, 1)
        assert lines[0]["field"] == "email"
        assert (lines[-1]["totals"]["imported"], lines[-1]["totals"]["refused"]) == (1, 1)
        assert session.scalars(select(ConsentEvent.actor)).one() == "cli"

    def test_json_lines_go_by_the_file_s_name(
        self, run_on: Run, here: Path, session: Session, text: ConsentText
    ) -> None:
        (here / "old.jsonl").write_text('{"email": "ada@reader.example"}\n')

        done = run_on("consents", "import", "old.jsonl", "--text-id", str(text.id))

        assert done.exit_code == 0
        assert json.loads(done.stdout)["totals"]["imported"] == 1

    def test_an_unknown_text_is_refused(self, run_on: Run, here: Path, text: ConsentText) -> None:
        (here / "old.csv").write_text(HEAD)

        done = run_on("consents", "import", "old.csv", "--text-id", "01a203c7-72ee-71df-9b9d-5259b7796605")

        assert done.exit_code == 1
        assert "no consent text" in done.stderr


class TestExport:
    @pytest.mark.parametrize("kind", ["csv", "jsonl"])
    def test_it_writes_what_is_asked_for_and_leaves_an_audit_row(
        self, run_on: Run, session: Session, text: ConsentText, keys: Keys, kind: str
    ) -> None:
        for email, state in (("ada@reader.example", State.ACTIVE), ("bob@reader.example", State.WITHDRAWN)):
            make_consent(session, keys, text, NOW, email=email, state=state)
        session.commit()

        done = run_on(
            "consents", "export", "--format", kind, "--state", "active", "--site-id", str(text.site_id)
        )

        is_csv = kind == "csv"
        rows = list(csv.DictReader(io.StringIO(done.stdout))) if is_csv else [json.loads(done.stdout)]
        assert [row["email"] for row in rows] == ["ada@reader.example"]
        session.commit()
        entry = session.scalars(select(AuditEntry).where(AuditEntry.action == "consents.exported")).one()
        assert (entry.actor, entry.object_id) == ("cli", kind)
        assert entry.detail == {"state": "active", "site_id": str(text.site_id)}

    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    def test_a_time_that_is_none_is_refused(self, run_on: Run) -> None:
        done = run_on("consents", "export", "--changed-since", "yesterday")

        assert done.exit_code == 2
        assert "Must be a time" in done.stderr
