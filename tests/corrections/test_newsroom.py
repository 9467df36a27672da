"""Corrections over HTTP, the newsroom's calls: reports are read and decided."""

import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from pollsvc.corrections.models import Correction
from pollsvc.keys import Keys
from pollsvc.staff.models import AuditEntry
from tests.consent.stored import tables_with
from tests.factories import ARTICLE_URL, make_correction, make_site, make_token

ANYTHING = uuid.UUID(int=1)


def fields_of(response: TestResponse) -> list[str]:
    return [error["field"] for error in response.get_json()["errors"]]


def decisions(session: Session) -> list[AuditEntry]:
    session.commit()
    return list(session.scalars(select(AuditEntry).where(AuditEntry.action == "correction.decided")))


@pytest.fixture
def editor(staff_client_with: Callable[..., FlaskClient]) -> FlaskClient:
    return staff_client_with("corrections:manage")


@pytest.fixture
def correction(session: Session, keys: Keys) -> Correction:
    """A report that was committed."""
    make_site(session)
    made = make_correction(session, keys=keys, quote="three decks")
    session.commit()
    return made


@pytest.fixture
def path(correction: Correction) -> str:
    return f"/v1/corrections/{correction.id}"


class TestShowCorrection:
    def test_holds_what_the_reader_sent_and_where_it_stands(
        self, editor: FlaskClient, correction: Correction, path: str
    ) -> None:
        response = editor.get(path)

        shown = response.get_json()
        assert response.status_code == 200
        assert shown == {
            "id": str(correction.id),
            "reference": correction.reference,
            "article_url": ARTICLE_URL,
            "name": "Ada Reader",
            "email": "ada@reader.example",
            "message": "The ferry has two decks, not three.",
            "quote": "three decks",
            "note": None,
            "status": "new",
            "version": 1,
            "is_suspect": False,
            "created_at": shown["created_at"],
            "decided_at": None,
            "decided_by": None,
            "erased_at": None,
        }
        assert response.headers["Cache-Control"] == "private, no-store"

    @pytest.mark.parametrize("method", ["GET", "PATCH"])
    @pytest.mark.parametrize("correction_id", [str(ANYTHING), "C-22222-22222", "1"])
    def test_report_that_there_is_not(self, editor: FlaskClient, method: str, correction_id: str) -> None:
        decision = {"status": "spam", "version": 1} if method == "PATCH" else None

        response = editor.open(f"/v1/corrections/{correction_id}", method=method, json=decision)

        assert response.status_code == 404


class TestListCorrections:
    @pytest.fixture
    def reports(self, session: Session, keys: Keys) -> list[str]:
        """Three reports, oldest first; the second is suspect."""
        make_site(session)
        made = [str(make_correction(session, keys=keys, is_suspect=number == 1).id) for number in range(3)]
        session.commit()
        return made

    def test_newest_first_and_page_by_page(self, editor: FlaskClient, reports: list[str]) -> None:
        first = editor.get("/v1/corrections?limit=2").get_json()
        second = editor.get(
            "/v1/corrections", query_string={"limit": 2, "cursor": first["next_cursor"]}
        ).get_json()

        assert [item["id"] for item in first["items"] + second["items"]] == reports[::-1]
        assert second["next_cursor"] is None

    @pytest.mark.parametrize(
        ("query", "places"),
        [
            ("status=new", [2, 1, 0]),
            ("status=handled", []),
            ("is_suspect=true", [1]),
            ("is_suspect=false&status=new", [2, 0]),
        ],
    )
    def test_of_a_status_or_a_mark(
        self, editor: FlaskClient, reports: list[str], query: str, places: list[int]
    ) -> None:
        items = editor.get(f"/v1/corrections?{query}").get_json()["items"]

        assert [item["id"] for item in items] == [reports[place] for place in places]

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ("status=open", "status"),
            ("status=", "status"),
            ("is_suspect=1", "is_suspect"),
            ("limit=0", "limit"),
            ("limit=101", "limit"),
            ("cursor=x", "cursor"),
            ("email=ada@reader.example", "email"),
        ],
    )
    def test_what_breaks_a_rule_is_named(self, editor: FlaskClient, query: str, field: str) -> None:
        response = editor.get(f"/v1/corrections?{query}")

        assert (response.status_code, fields_of(response)) == (422, [field])


class TestDecideCorrection:
    def test_answers_with_the_report_as_it_became(
        self, editor: FlaskClient, session: Session, path: str
    ) -> None:
        response = editor.patch(path, json={"status": "handled", "version": 1, "note": "Two decks it is."})

        decided = response.get_json()
        assert response.status_code == 200
        assert (decided["status"], decided["version"]) == ("handled", 2)
        assert decided["note"] == "Two decks it is."
        assert decided["decided_by"].startswith("token:")
        assert decided["decided_at"] is not None
        assert editor.get(path).get_json() == decided
        assert [entry.actor for entry in decisions(session)] == [decided["decided_by"]]

    def test_note_stays_where_it_is_left_out(self, editor: FlaskClient, path: str) -> None:
        editor.patch(path, json={"status": "handled", "version": 1, "note": "Two decks it is."})

        decided = editor.patch(path, json={"status": "new", "version": 2}).get_json()

        assert decided["note"] == "Two decks it is."

    def test_stale_version_is_refused_with_what_is_so_now(
        self, editor: FlaskClient, session: Session, path: str
    ) -> None:
        first = editor.patch(path, json={"status": "handled", "version": 1}).get_json()

        response = editor.patch(path, json={"status": "spam", "version": 1, "note": "Late."})

        problem = response.get_json()
        assert (response.status_code, problem["code"]) == (409, "stale_version")
        assert problem["current"] == {
            "status": "handled",
            "version": 2,
            "decided_by": first["decided_by"],
        }
        assert editor.get(path).get_json() == first
        assert len(decisions(session)) == 1

    def test_audit_log_holds_nothing_that_reader_or_editor_wrote(
        self, editor: FlaskClient, staff_client: FlaskClient, session: Session, path: str
    ) -> None:
        editor.patch(path, json={"status": "handled", "version": 1, "note": "canary-note"})

        log = staff_client.get("/v1/audit?object_type=correction").get_data(as_text=True)

        assert "correction.decided" in log
        assert not any(text in log for text in ("canary", "Ada", "decks", "reader.example"))
        assert tables_with(session, b"canary-note") == set()

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            pytest.param({"status": None}, "status", id="no status"),
            pytest.param({"status": "upheld"}, "status", id="unknown status"),
            pytest.param({"status": "NEW"}, "status", id="status in capitals"),
            pytest.param({"version": None}, "version", id="no version"),
            pytest.param({"version": 0}, "version", id="version 0"),
            pytest.param({"version": "1"}, "version", id="version as a text"),
            pytest.param({"version": True}, "version", id="version as a boolean"),
            pytest.param({"version": 1.0}, "version", id="version with a point"),
            pytest.param({"version": 2**31}, "version", id="version beyond what is stored"),
            pytest.param({"note": ""}, "note", id="empty note"),
            pytest.param({"note": "a" * 2_001}, "note", id="long note"),
            pytest.param({"note": "a\u0000b"}, "note", id="NUL"),
            pytest.param({"decided_by": "token:1"}, "decided_by", id="an actor of one's own"),
            pytest.param({"message": "Other words."}, "message", id="the reader's words"),
        ],
    )
    def test_what_breaks_a_rule_is_named_and_changes_nothing(
        self, editor: FlaskClient, session: Session, path: str, changes: dict[str, Any], field: str
    ) -> None:
        response = editor.patch(path, json={"status": "handled", "version": 1} | changes)

        assert (response.status_code, fields_of(response)) == (422, [field])
        assert editor.get(path).get_json()["version"] == 1
        assert decisions(session) == []

    def test_each_missing_field_is_named(self, editor: FlaskClient, path: str) -> None:
        assert sorted(fields_of(editor.patch(path, json={}))) == ["status", "version"]

    @pytest.mark.parametrize("database", ["postgresql"], indirect=True)
    def test_of_editors_at_once_exactly_one_decides(self, app: Flask, session: Session, path: str) -> None:
        tokens = [make_token(session, name=f"editor {number}") for number in range(4)]
        session.commit()

        def decide(token: str) -> tuple[int, str]:
            decision = {"status": "handled", "version": 1, "note": token}
            response = app.test_client().patch(
                path, json=decision, headers={"Authorization": f"Bearer {token}"}
            )
            answer = response.get_json()
            return response.status_code, (answer.get("current") or answer)["decided_by"]

        with ThreadPoolExecutor(len(tokens)) as pool:
            outcomes = list(pool.map(decide, tokens))

        assert Counter(status for status, _ in outcomes) == {200: 1, 409: 3}
        assert len({decider for _, decider in outcomes}) == 1
        assert len(decisions(session)) == 1


class TestGuard:
    CALLS = (
        pytest.param("GET", "/v1/corrections", id="list"),
        pytest.param("GET", f"/v1/corrections/{ANYTHING}", id="show"),
        pytest.param("PATCH", f"/v1/corrections/{ANYTHING}", id="decide"),
    )

    @pytest.mark.parametrize(("method", "path"), CALLS)
    def test_reader_is_refused(self, client: FlaskClient, method: str, path: str) -> None:
        assert client.open(path, method=method, json={}).status_code == 401

    @pytest.mark.parametrize(("method", "path"), CALLS)
    def test_other_scopes_are_refused(
        self, staff_client_with: Callable[..., FlaskClient], method: str, path: str
    ) -> None:
        desk = staff_client_with("polls:write", "consents:read", "consents:manage", "comments:moderate")

        assert desk.open(path, method=method, json={}).status_code == 403
