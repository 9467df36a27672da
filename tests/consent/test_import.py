"""Subscribers that a publisher had before: who is taken in, with what proof, and who is not."""

import gzip
import io
import json
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pollsvc.articles.models import Site
from pollsvc.consent import importing
from pollsvc.consent.import_files import LONGEST
from pollsvc.consent.import_rows import BATCH
from pollsvc.consent.models import Consent, ConsentEvent, ConsentText, Mode, SignUp, State, Subscriber
from pollsvc.keys import Keys
from pollsvc.outbox.models import OutboxEvent, OutboxMessage
from pollsvc.staff.models import AuditEntry
from tests.conftest import NOW
from tests.consent.subscribers import find_consent, make_consent, suppress
from tests.factories import make_article, make_consent_text, make_site

HEAD = "email,consented_at,source\r\n"
CSV = "text/csv"
NDJSON = "application/x-ndjson"
Send = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def site(session: Session) -> Site:
    made = make_site(session)
    make_article(session)
    session.commit()
    return made


@pytest.fixture
def text(session: Session, site: Site) -> ConsentText:
    made = make_consent_text(session, site=site)
    session.commit()
    return made


@pytest.fixture
def send(staff_client_with: Callable[..., FlaskClient], text: ConsentText, session: Session) -> Send:
    """Send a file and give the lines of the answer."""
    client = staff_client_with("consents:manage")

    def send(body: str | bytes, kind: str = CSV, **query: str) -> list[dict[str, Any]]:
        session.commit()
        answer = client.post(
            "/v1/consents/import",
            query_string={"text_id": str(text.id), **query},
            data=body.encode() if isinstance(body, str) else body,
            content_type=kind,
        )
        assert answer.status_code == 200, answer.get_json()
        session.commit()
        return [json.loads(line) for line in answer.data.splitlines()]

    return send


def totals(lines: list[dict[str, Any]]) -> dict[str, int]:
    return {name: number for name, number in lines[-1]["totals"].items() if number}


def count(session: Session, model: type[Any]) -> int:
    return session.scalar(select(func.count()).select_from(model)) or 0


def lose_database(session: Session) -> None:
    session.connection().exec_driver_sql("SELECT * FROM a_table_that_is_gone")


def lose_sense(_session: Session) -> None:
    raise ZeroDivisionError


class TestWhoIsTakenIn:
    def test_a_new_address_is_active_with_the_proof_of_where_it_came_from(
        self, send: Send, session: Session, text: ConsentText, keys: Keys
    ) -> None:
        lines = send(HEAD + "Ada@reader.example,2020-05-01T08:00:00+02:00,Shop form\r\n")

        consent = find_consent(session, keys, "ada@reader.example", text)
        event = session.scalars(select(ConsentEvent)).one()
        assert totals(lines) == {"rows": 1, "imported": 1}
        assert (consent.state, consent.text_id, consent.subscriber.email) == (
            "active",
            text.id,
            "Ada@reader.example",
        )
        assert (event.kind, event.method, event.consent_id) == ("imported", "import", consent.id)
        assert event.actor.startswith("token:")
        assert event.text_hash == text.body_hash
        assert event.evidence == {
            "row": 2,
            "source": "Shop form",
            "consented_at": "2020-05-01T06:00:00+00:00",
            "file_hash": lines[-1]["file_hash"],
        }

    def test_the_publisher_s_systems_are_told_and_nobody_is_mailed(
        self, send: Send, session: Session, text: ConsentText
    ) -> None:
        send(HEAD + "ada@reader.example,,\r\n")

        event = session.scalars(select(OutboxEvent)).one()
        told = orjson.loads(event.data or "")
        consent = session.scalars(select(Consent)).one()
        assert (event.kind, event.site_id) == ("consent.imported", text.site_id)
        assert event.subject == f"subscriber:{consent.subscriber_id}"
        assert (told["email"], told["state"], told["consent_id"]) == (
            "ada@reader.example",
            "active",
            str(consent.id),
        )
        assert count(session, OutboxMessage) == 0

    @pytest.mark.parametrize("state", [State.ACTIVE, State.WITHDRAWN, State.EXPIRED])
    def test_whoever_is_known_stays_as_they_are(
        self, send: Send, session: Session, text: ConsentText, keys: Keys, state: State
    ) -> None:
        outcome = "unchanged" if state == State.ACTIVE else state.value
        make_consent(session, keys, text, NOW, state=state)
        before = count(session, ConsentEvent)

        lines = send(HEAD + "ADA@reader.example,,\r\n")

        assert lines[0] == {"row": 2, "outcome": outcome}
        assert totals(lines) == {"rows": 1, outcome: 1}
        assert find_consent(session, keys, "ada@reader.example", text).state == state
        assert count(session, ConsentEvent) == before

    def test_whoever_was_asked_to_confirm_is_active(
        self, send: Send, session: Session, text: ConsentText, keys: Keys
    ) -> None:
        consent = make_consent(session, keys, text, NOW, state=State.PENDING)

        lines = send(HEAD + "ada@reader.example,,\r\n")

        session.refresh(consent)
        assert totals(lines) == {"rows": 1, "imported": 1}
        assert consent.state == "active"

    def test_a_suppressed_address_is_told_and_not_stored(
        self, send: Send, session: Session, keys: Keys
    ) -> None:
        suppress(session, keys, "ada@reader.example", NOW)

        lines = send(HEAD + "ada@reader.example,,\r\n")

        assert lines[0] == {"row": 2, "outcome": "suppressed"}
        assert count(session, Subscriber) == count(session, Consent) == count(session, OutboxEvent) == 0

    def test_a_person_of_another_purpose_is_not_doubled(
        self, send: Send, session: Session, text: ConsentText, site: Site, keys: Keys
    ) -> None:
        other = make_consent_text(session, site=site, purpose="alerts")
        make_consent(session, keys, other, NOW)

        send(HEAD + "ada@reader.example,,\r\n")

        assert (count(session, Subscriber), count(session, Consent)) == (1, 2)

    @pytest.mark.parametrize("apart", [0, BATCH], ids=["in one batch", "in two"])
    def test_an_address_that_stands_twice_is_taken_once(
        self, send: Send, session: Session, apart: int
    ) -> None:
        between = "".join(f"r{number}@reader.example,,\r\n" for number in range(apart))

        lines = send(f"{HEAD}a@bücher.example,,\r\n{between}A@XN--BCHER-KVA.example,,\r\n")

        assert totals(lines) == {"rows": apart + 2, "imported": apart + 1, "unchanged": 1}
        assert count(session, Subscriber) == apart + 1

    @pytest.mark.parametrize("mode", list(Mode))
    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    def test_the_consent_is_of_the_mode_of_its_text(
        self, send: Send, session: Session, site: Site, mode: Mode
    ) -> None:
        site.login_key = "a secret of the publisher's login, of 32 bytes"
        session.flush()
        named = make_consent_text(session, site=site, mode=mode)

        send(HEAD + "ada@reader.example,,\r\n", text_id=str(named.id))

        assert session.scalars(select(Consent)).one().text.mode == mode


class TestRepeating:
    def test_the_same_file_again_changes_nothing(self, send: Send, session: Session) -> None:
        body = HEAD + "".join(f"r{number}@reader.example,,\r\n" for number in range(BATCH + 3))
        first = send(body)
        before = (count(session, ConsentEvent), count(session, OutboxEvent))

        again = send(body)

        assert totals(first) == {"rows": BATCH + 3, "imported": BATCH + 3}
        assert totals(again) == {"rows": BATCH + 3, "unchanged": BATCH + 3}
        assert (count(session, ConsentEvent), count(session, OutboxEvent)) == before
        assert first[-1]["file_hash"] == again[-1]["file_hash"]

    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    def test_a_long_one_says_how_far_it_is(self, send: Send, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(importing, "PROGRESS", 2 * BATCH)

        lines = send(HEAD + "".join(f"r{number}@reader.example,,\r\n" for number in range(3 * BATCH)))

        assert lines[:-1] == [{"rows_so_far": 2 * BATCH}]

    def test_a_dry_run_tells_the_same_and_stores_nothing(
        self, send: Send, session: Session, text: ConsentText, keys: Keys
    ) -> None:
        make_consent(session, keys, text, NOW, email="left@reader.example", state=State.WITHDRAWN)
        body = HEAD + "new@reader.example,,\r\nleft@reader.example,,\r\nnobody,,\r\n"
        before = (count(session, Subscriber), count(session, ConsentEvent), count(session, OutboxEvent))

        dry = send(body, dry_run="true")
        after = (count(session, Subscriber), count(session, ConsentEvent), count(session, OutboxEvent))
        real = send(body)

        assert after == before
        assert dry[:-1] == real[:-1]
        assert dry[-1] == real[-1] | {"dry_run": True}

    def test_who_hangs_up_keeps_what_was_committed(
        self, app: Flask, staff_client: FlaskClient, session: Session, text: ConsentText
    ) -> None:
        body = HEAD + "nobody,,\r\n" * 2 + "".join(f"r{n}@reader.example,,\r\n" for n in range(3 * BATCH))
        answer = staff_client.post(
            f"/v1/consents/import?text_id={text.id}", data=body.encode(), content_type=CSV, buffered=False
        )
        first = next(iter(answer.response))
        answer.close()

        again = staff_client.post(
            f"/v1/consents/import?text_id={text.id}", data=body.encode(), content_type=CSV
        )
        lines = [json.loads(line) for line in again.data.splitlines()]

        session.commit()
        assert b'"row":2' in first
        assert 0 < lines[-1]["totals"]["unchanged"] < 3 * BATCH
        assert count(session, Consent) == 3 * BATCH
        assert lines[-1]["totals"]["imported"] + lines[-1]["totals"]["unchanged"] == 3 * BATCH

    @pytest.mark.parametrize("is_terminated", [False, True], ids=["counted by Werkzeug", "by the server"])
    def test_a_body_that_is_cut_stores_nothing(
        self, staff_client: FlaskClient, session: Session, text: ConsentText, is_terminated: bool
    ) -> None:
        whole = (HEAD + "ada@reader.example,,\r\n").encode()

        answer = staff_client.post(
            f"/v1/consents/import?text_id={text.id}",
            data=whole[:-5],
            content_type=CSV,
            environ_overrides={"CONTENT_LENGTH": str(len(whole)), "wsgi.input_terminated": is_terminated},
        )

        assert answer.status_code == 400
        assert count(session, Consent) == 0


class TestFiles:
    @pytest.mark.parametrize(
        "body",
        [
            pytest.param(HEAD + "ada@reader.example,2020-05-01,Form\r\n", id="CRLF"),
            pytest.param("email\nada@reader.example\n", id="one column"),
            pytest.param("email\nada@reader.example", id="no line break at the end"),
            pytest.param("\ufeffEmail, Source \nada@reader.example,Form\n", id="BOM and capitals"),
            pytest.param("source;email\nForm;ada@reader.example\n", id="semicolons"),
            pytest.param("email\tsource\nada@reader.example\tForm\n", id="tabs"),
            pytest.param(
                'email,source\n"ada@reader.example","Form,\n the ""big"" one"\n', id="quotes over lines"
            ),
            pytest.param("email\n\n\nada@reader.example\n\n", id="empty lines"),
            pytest.param("email,source\n  ada@reader.example  ,\n,\n", id="spaces and empty cells"),
        ],
    )
    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    def test_every_usual_spelling_of_csv_is_read(self, send: Send, session: Session, body: str) -> None:
        assert totals(send(body)) == {"rows": 1, "imported": 1}
        assert session.scalars(select(Subscriber.email)).one() == "ada@reader.example"

    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    def test_json_lines_are_read_and_each_broken_one_is_told(self, send: Send) -> None:
        body = (
            b'{"email": "ada@reader.example", "source": null}\n\n{"email": "bob@reader.example"\n[1]\n'
            b'{"email": 7}\n{"email": "c@reader.example", "name": "C"}\n{"email": "caf\xe9@reader.example"}\n'
            b'{"email": "dan@reader.example", "consented_at": "2020-01-01T00:00:00Z"}'
        )

        lines = send(body, NDJSON)

        assert [(line["row"], line.get("field")) for line in lines[:-1]] == [
            (3, None),
            (4, None),
            (5, "email"),
            (6, "name"),
            (7, None),
        ]
        assert totals(lines) == {"rows": 7, "imported": 2, "refused": 5}

    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    @pytest.mark.parametrize("kind", [CSV, NDJSON])
    def test_a_file_without_rows_is_taken(self, send: Send, kind: str) -> None:
        assert totals(send(HEAD if kind == CSV else "\n", kind)) == {}

    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    def test_a_byte_that_is_no_utf8_is_named_with_its_row(self, send: Send, session: Session) -> None:
        head = HEAD.encode() + b"ada@reader.example,,\r\n"
        body = head + b"ren\xe9@reader.example,,\r\nbob@reader.example,,\r\n"

        lines = send(body)

        assert lines[0] == {
            "row": 3,
            "outcome": "refused",
            "detail": f"Byte {len(head) + 4} of the file is no UTF-8.",
        }
        assert totals(lines) == {"rows": 3, "imported": 2, "refused": 1}

    @pytest.mark.parametrize(
        ("row", "told"),
        [
            pytest.param("a" * (2 * LONGEST + 7) + ",,", "A line is longer", id="an endless line"),
            pytest.param("a@reader.example,x", "It has 2 cells, the header 3", id="a cell too few"),
            pytest.param("a@reader.example,,,x", "It has 4 cells, the header 3", id="a cell too many"),
            pytest.param('"a@reader.example"x,,', "This is no row of CSV", id="a stray quote"),
            pytest.param("a@reader.example\0,,", "Must be an e-mail address", id="NUL"),
        ],
    )
    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    def test_a_broken_row_is_told_and_the_next_one_is_read(self, send: Send, row: str, told: str) -> None:
        lines = send(f"{HEAD}{row}\r\nbob@reader.example,,\r\n")

        assert lines[0]["row"] == 2
        assert lines[0]["detail"].startswith(told)
        assert totals(lines) == {"rows": 2, "imported": 1, "refused": 1}

    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    def test_a_quote_that_never_ends_is_told(self, send: Send) -> None:
        lines = send(HEAD + '"ada@reader.example,,\r\n' + "bob@reader.example,,\r\n" * 10)

        assert totals(lines) == {"rows": 1, "refused": 1}
        assert lines[0]["detail"] == "This is no row of CSV: unexpected end of data."

    def test_a_row_of_many_lines_is_not_held_whole(self, send: Send) -> None:
        cells = '"a\n",' * 20_000

        lines = send(HEAD + cells + '"\r\nada@reader.example,,\r\n')

        assert lines[0]["detail"] == "This is no row of CSV: it is longer than 65536 characters."

    def test_of_thousands_of_unknown_fields_some_are_named(self, send: Send) -> None:
        fields = ",".join(f'"f{number}": 1' for number in range(3_000))

        lines = send(f'{{"email": "ada@reader.example", {fields}}}\n', "application/x-ndjson")

        assert len(lines) == 11

    @pytest.mark.parametrize(
        ("row", "field"),
        [
            pytest.param("nobody,,", "email", id="no address"),
            pytest.param(",,Form", "email", id="no email"),
            pytest.param("a" * 65 + "@reader.example,,", "email", id="a local part of 65"),
            pytest.param(
                f"a@{'b' * 60}.{'c' * 60}.{'d' * 60}.{'e' * 60}.{'f' * 60}.example,,", "email", id="too long"
            ),
            pytest.param('"a@reader.example\r\nBcc: b@reader.example",,', "email", id="a header in it"),
            pytest.param("a@reader.example,yesterday,", "consented_at", id="no time"),
            pytest.param("a@reader.example,2020-13-01,", "consented_at", id="no day"),
            pytest.param("a@reader.example,2020-01-01T10:00:00,", "consented_at", id="no offset"),
            pytest.param("a@reader.example,2999-01-01,", "consented_at", id="the future"),
            pytest.param("a@reader.example,,from b@reader.example", "source", id="a person as source"),
            pytest.param(f"a@reader.example,,{'x' * 201}", "source", id="a source too long"),
            pytest.param("a@reader.example,,x\u202ey", "source", id="a source that turns round"),
        ],
    )
    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    def test_a_field_that_breaks_a_rule_is_named(
        self, send: Send, session: Session, row: str, field: str
    ) -> None:
        lines = send(f"{HEAD}{row}\r\n")

        assert [(line["row"], line["field"]) for line in lines[:-1]] == [(2, field)]
        assert count(session, Consent) == 0

    @pytest.mark.parametrize(
        ("body", "told"),
        [
            pytest.param(b"\n", "must name the columns", id="nothing"),
            pytest.param(b"name,source\r\nx,y\r\n", "must name the columns", id="no email"),
            pytest.param(b"email,first_name,iban\r\n", "not known: first_name, iban", id="unknown columns"),
            pytest.param(b"email,email\r\n", "named twice", id="a column twice"),
            pytest.param("email\r\nada@reader.example".encode("utf-16"), "Byte 1 of", id="UTF-16"),
            pytest.param(gzip.compress(b"email\r\n"), "no UTF-8", id="zipped"),
            pytest.param(b"email\rada@reader.example\r", "no row of CSV", id="lines that end with CR alone"),
            pytest.param(b"e" * (LONGEST + 1), "longer than", id="an endless header"),
        ],
    )
    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    def test_a_header_that_cannot_be_read_is_refused_before_anything_is_stored(
        self, staff_client: FlaskClient, session: Session, text: ConsentText, body: bytes, told: str
    ) -> None:
        answer = staff_client.post(f"/v1/consents/import?text_id={text.id}", data=body, content_type=CSV)

        assert answer.status_code == 422
        assert answer.get_json()["code"] == "import_unreadable"
        assert told.lower() in answer.get_json()["errors"][0]["detail"].lower()
        assert (
            session.scalars(select(AuditEntry.action).where(AuditEntry.action.like("consents.%"))).all() == []
        )


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
class TestEdge:
    @pytest.mark.parametrize(
        ("changes", "status"),
        [
            ({"content_type": "application/json"}, 415),
            ({"content_type": "text/csv; charset=iso-8859-1"}, 415),
            ({"content_type": "text/csv; charset=UTF-8"}, 200),
            ({"environ_overrides": {"CONTENT_LENGTH": str(513 * 1024 * 1024)}}, 413),
            ({"query_string": {}}, 422),
            ({"query_string": {"text_id": "01a203c7-72ee-71df-9b9d-5259b7796605"}}, 404),
        ],
        ids=["JSON", "Latin-1", "UTF-8", "too large", "no text", "an unknown text"],
    )
    def test_what_is_no_import_is_refused(
        self, staff_client: FlaskClient, text: ConsentText, changes: dict[str, Any], status: int
    ) -> None:
        usual = {"query_string": {"text_id": str(text.id)}, "data": HEAD.encode(), "content_type": CSV}

        answer = staff_client.post("/v1/consents/import", **(usual | changes))

        assert answer.status_code == status

    def test_a_body_of_unknown_length_is_refused(self, staff_client: FlaskClient, text: ConsentText) -> None:
        answer = staff_client.post(
            f"/v1/consents/import?text_id={text.id}",
            input_stream=io.BytesIO(HEAD.encode()),
            content_type=CSV,
            headers={"Transfer-Encoding": "chunked"},
        )

        assert answer.status_code == 411

    def test_it_takes_the_scope_to_change(self, staff_client_with: Callable[..., FlaskClient]) -> None:
        answer = staff_client_with("consents:read").post(
            "/v1/consents/import", data=HEAD.encode(), content_type=CSV
        )

        assert answer.status_code == 403

    def test_it_is_audited_before_and_after_without_an_address(
        self, send: Send, session: Session, text: ConsentText
    ) -> None:
        lines = send(HEAD + "ada@reader.example,,Form\r\nnobody,,\r\n")

        entries = session.scalars(
            select(AuditEntry).where(AuditEntry.action.like("consents.%")).order_by(AuditEntry.id)
        ).all()
        assert [entry.action for entry in entries] == ["consents.import_began", "consents.imported"]
        assert {entry.object_id for entry in entries} == {str(text.id)}
        assert entries[1].detail["totals"] == lines[-1]["totals"]
        assert entries[0].detail["file_hash"] == lines[-1]["file_hash"]
        assert not any("@" in json.dumps(entry.detail) for entry in entries)

    @pytest.mark.parametrize(
        "fault",
        [
            (lose_database, "database_unavailable", "The database did not answer."),
            (lose_sense, "internal", "Something failed on our side."),
        ],
        ids=["the database is gone", "a mistake of ours"],
    )
    def test_what_goes_wrong_half_way_is_told_in_the_last_line(
        self,
        staff_client: FlaskClient,
        session: Session,
        text: ConsentText,
        monkeypatch: pytest.MonkeyPatch,
        fault: tuple[Callable[[Session], None], str, str],
    ) -> None:
        fail, code, why = fault
        body = HEAD + "".join(f"r{number}@reader.example,,\r\n" for number in range(BATCH + 1))
        store = importing.store
        stored: list[int] = []

        def store_once(*args: Any) -> Any:
            if stored:
                fail(args[0])
            stored.append(1)
            return store(*args)

        monkeypatch.setattr(importing, "store", store_once)
        answer = staff_client.post(
            f"/v1/consents/import?text_id={text.id}", data=body.encode(), content_type=CSV
        )

        last = json.loads(answer.data.splitlines()[-1])
        session.commit()
        assert last["error"] == code
        assert last["detail"].startswith(f"{why} What is told above was stored; ")
        assert last["totals"]["imported"] == count(session, Consent) == BATCH


class TestSideBySide:
    def test_a_sign_up_that_waited_finds_the_address_active(
        self, send: Send, session: Session, client: FlaskClient, staff_client: FlaskClient, text: ConsentText
    ) -> None:
        sent = {"text_id": str(text.id), "email": "ada@reader.example", "accepted": True}
        client.post("/v1/consents", json={**sent, "article_url": "https://news.example/harbour/new-ferry"})
        send(HEAD + "ada@reader.example,,\r\n")

        found = staff_client.post("/v1/consents/search", json={"email": "ada@reader.example"}).get_json()

        session.commit()
        assert [item["state"] for item in found["items"]] == ["active"]
        assert (count(session, SignUp), count(session, OutboxMessage)) == (0, 0)
