"""Consents to take away: which, in what shape, and how little memory it takes."""

import csv
import io
import json
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from pollsvc.articles.models import Site
from pollsvc.consent import exporting
from pollsvc.consent.exporting import COLUMNS, Wanted
from pollsvc.consent.models import ConsentText, Mode, State
from pollsvc.consent.tokens import read_leaving_token
from pollsvc.keys import Keys
from pollsvc.staff.models import AuditEntry
from tests.conftest import NOW
from tests.consent.subscribers import make_consent
from tests.factories import ARTICLE_URL, ORIGIN, make_article, make_consent_text, make_site

Export = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def site(session: Session) -> Site:
    made = make_site(session)
    make_article(session)
    return made


@pytest.fixture
def text(session: Session, site: Site) -> ConsentText:
    return make_consent_text(session, site=site)


@pytest.fixture(params=["csv", "jsonl"])
def export(
    request: pytest.FixtureRequest, staff_client_with: Callable[..., FlaskClient], session: Session
) -> Export:
    """Ask for an export in each shape and give its rows."""
    client = staff_client_with("consents:read")

    def export(**query: str) -> list[dict[str, Any]]:
        session.commit()
        answer = client.get(f"/v1/consents/export.{request.param}", query_string=query)
        assert answer.status_code == 200, answer.get_json()
        assert answer.headers["Cache-Control"] == "private, no-store"
        if request.param == "csv":
            assert answer.content_type == "text/csv; charset=utf-8"
            return list(csv.DictReader(io.StringIO(answer.text)))
        assert answer.content_type == "application/x-ndjson"
        return [json.loads(line) for line in answer.text.splitlines()]

    return export


class TestRows:
    def test_a_row_tells_whose_consent_it_is_to_what_and_of_which_kind(
        self, export: Export, session: Session, keys: Keys, text: ConsentText
    ) -> None:
        consent = make_consent(session, keys, text, NOW)

        [row] = export()

        assert tuple(row) == COLUMNS
        assert (row["id"], row["email"], row["state"]) == (str(consent.id), "ada@reader.example", "active")
        assert (row["mode"], str(row["is_gdpr_consent"]).lower()) == ("explicit", "true")
        assert (row["text_hash"], str(row["text_version"])) == (text.body_hash.hex(), "1")
        assert (row["article_url"], row["origin"]) == (ARTICLE_URL, ORIGIN)
        assert row["confirmed_at"] == NOW.isoformat()
        assert not row["valid_until"]
        assert read_leaving_token(keys, row["unsubscribe_url"].rpartition("/")[2]) == consent.id

    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    def test_what_is_no_consent_in_the_sense_of_the_gdpr_is_marked(
        self, export: Export, session: Session, keys: Keys, site: Site
    ) -> None:
        text = make_consent_text(session, site=site, mode=Mode.NOTICE_ONLY)
        make_consent(session, keys, text, NOW)

        [row] = export()

        assert (row["mode"], str(row["is_gdpr_consent"]).lower()) == ("notice_only", "false")

    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    def test_no_cell_runs_in_a_spreadsheet(
        self, staff_client: FlaskClient, session: Session, keys: Keys, text: ConsentText
    ) -> None:
        make_consent(session, keys, text, NOW, email="=1+1@reader.example")
        make_consent(session, keys, text, NOW, email="+1@reader.example")
        session.commit()

        answer = staff_client.get("/v1/consents/export.csv")

        emails = {row["email"] for row in csv.DictReader(io.StringIO(answer.text))}
        assert emails == {"'=1+1@reader.example", "'+1@reader.example"}

    def test_pages_follow_each_other_without_gap_or_double(
        self, export: Export, session: Session, keys: Keys, text: ConsentText, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(exporting, "PAGE", 2)
        ids = [
            str(make_consent(session, keys, text, NOW, email=f"r{number}@reader.example").id)
            for number in range(5)
        ]

        assert [row["id"] for row in export()] == sorted(ids)

    @pytest.mark.parametrize(
        "wanted",
        [
            Wanted(),
            Wanted(state="active"),
            Wanted(site_id=uuid.UUID(int=1), state="active"),
            Wanted(mode="explicit"),
        ],
        ids=repr,
    )
    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    def test_no_page_gathers_and_sorts_what_is_on_the_others(self, session: Session, wanted: Wanted) -> None:
        page = exporting.page_of(wanted, uuid.UUID(int=1))
        compiled = page.compile(session.get_bind(), compile_kwargs={"literal_binds": True})

        plan = session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}").all()

        assert "B-TREE" not in " ".join(str(step) for step in plan)
        assert plan[0][3].startswith("SEARCH consent USING INDEX sqlite_autoindex_consent_1")

    def test_where_there_is_nothing_there_are_no_rows(self, export: Export) -> None:
        assert export() == []


class TestFilters:
    @pytest.mark.parametrize(
        "case",
        [
            ({"state": "withdrawn"}, {"left"}),
            ({"state": "pending"}, set()),
            ({"purpose": "alerts"}, {"alerted"}),
            ({"mode": "notice_only"}, {"noticed"}),
            ({"mode": "explicit", "state": "active"}, {"ada", "alerted", "late"}),
            ({"changed_since": (NOW + timedelta(hours=1)).isoformat()}, {"late"}),
            ({"changed_since": NOW.isoformat(), "state": "active"}, {"ada", "alerted", "noticed", "late"}),
        ],
        ids=["withdrawn", "pending", "a purpose", "a mode", "mode and state", "since", "since and state"],
    )
    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    def test_each_narrows_the_rows(
        self, export: Export, session: Session, keys: Keys, site: Site, case: tuple[dict[str, str], set[str]]
    ) -> None:
        query, expected = case
        plain = make_consent_text(session, site=site)
        alerts = make_consent_text(session, site=site, purpose="alerts")
        notice = make_consent_text(session, site=site, purpose="notice", mode=Mode.NOTICE_ONLY)
        late = NOW + timedelta(hours=2)
        make_consent(session, keys, plain, NOW, email="ada@reader.example")
        make_consent(session, keys, plain, NOW, email="left@reader.example", state=State.WITHDRAWN)
        make_consent(session, keys, alerts, NOW, email="alerted@reader.example")
        make_consent(session, keys, notice, NOW, email="noticed@reader.example")
        make_consent(session, keys, plain, late, email="late@reader.example")

        assert {row["email"].partition("@")[0] for row in export(**query)} == expected

    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    def test_a_site_s_own_are_asked_for_by_its_id(
        self, export: Export, session: Session, keys: Keys, site: Site, text: ConsentText
    ) -> None:
        other = make_site(session, name="Another", origins=["https://other.example"])
        make_consent(session, keys, text, NOW)

        assert len(export(site_id=str(site.id))) == 1
        assert export(site_id=str(other.id)) == []

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("site_id", "x"),
            ("state", "gone"),
            ("mode", "x"),
            ("purpose", "X!"),
            ("changed_since", "2026"),
            ("q", "1"),
        ],
    )
    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    def test_one_that_breaks_a_rule_is_named(self, staff_client: FlaskClient, name: str, value: str) -> None:
        answer = staff_client.get("/v1/consents/export.csv", query_string={name: value})

        assert answer.status_code == 422
        assert [error["field"] for error in answer.get_json()["errors"]] == [name]


class TestAudit:
    @pytest.mark.parametrize("kind", ["csv", "jsonl"])
    def test_it_is_written_before_the_first_byte(
        self, staff_client: FlaskClient, session: Session, keys: Keys, text: ConsentText, kind: str
    ) -> None:
        make_consent(session, keys, text, NOW)
        session.commit()
        since = "2026-03-01T00:00:00+00:00"

        answer = staff_client.get(
            f"/v1/consents/export.{kind}",
            query_string={"state": "active", "changed_since": since},
            buffered=False,
        )
        session.commit()
        entry = session.scalars(select(AuditEntry).where(AuditEntry.action == "consents.exported")).one()
        answer.close()

        assert (entry.object_type, entry.object_id) == ("export", kind)
        assert entry.detail == {"state": "active", "changed_since": since}

    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    def test_it_takes_the_scope_to_read(self, staff_client_with: Callable[..., FlaskClient]) -> None:
        assert staff_client_with("polls:write").get("/v1/consents/export.csv").status_code == 403
