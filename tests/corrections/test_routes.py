"""Corrections over HTTP: what a reader sends, and what is refused by name."""

import json
import re
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from pollsvc.articles.models import Article, Site
from pollsvc.corrections.models import Correction
from pollsvc.keys import Keys
from pollsvc.web.forms import issue_form_token
from tests.consent.stored import files_with, tables_with
from tests.factories import ARTICLE_URL, ORIGIN, make_site

Submit = Callable[..., tuple[TestResponse, list[bool]]]

REPORT: dict[str, Any] = {
    "article_url": ARTICLE_URL,
    "name": "Ada Reader",
    "email": "ada@reader.example",
    "message": "The ferry has two decks, not three.",
}


def fields_of(response: TestResponse) -> list[str]:
    return [error["field"] for error in response.get_json()["errors"]]


def stored(session: Session) -> list[int]:
    """Count the rows that a report may leave: corrections, articles."""
    session.commit()
    return [session.scalars(select(func.count()).select_from(model)).one() for model in (Correction, Article)]


@pytest.fixture(autouse=True)
def site(session: Session) -> Site:
    """The site that owns the article, committed."""
    made = make_site(session)
    session.commit()
    return made


class TestSubmitCorrection:
    def test_answers_with_reference_thanks_and_standards(self, client: FlaskClient, session: Session) -> None:
        response = client.post("/v1/corrections", json=REPORT)

        answer = response.get_json()
        assert response.status_code == 201
        assert set(answer) == {"reference", "message", "standards_url"}
        assert answer["reference"] == session.scalars(select(Correction.reference)).one()
        assert "has arrived" in answer["message"]
        assert "committed to accuracy" in answer["message"]
        assert answer["standards_url"] == f"{ORIGIN}/standards"
        assert response.headers["Cache-Control"] == "private, no-store"

    def test_standards_are_null_where_the_site_has_none(self, client: FlaskClient, session: Session) -> None:
        session.execute(update(Site).values(standards_url=None))
        session.commit()

        response = client.post("/v1/corrections", json=REPORT)

        assert (response.status_code, response.get_json()["standards_url"]) == (201, None)

    def test_reference_is_another_each_time_and_no_id(self, client: FlaskClient, session: Session) -> None:
        answers = [client.post("/v1/corrections", json=REPORT).get_json() for _ in range(5)]

        references = {answer["reference"] for answer in answers}
        assert len(references) == 5
        assert all(
            re.fullmatch(r"C-[2-9A-HJ-KM-NP-TV-Z]{5}-[2-9A-HJ-KM-NP-TV-Z]{5}", each) for each in references
        )
        ids = [str(each) for each in session.scalars(select(Correction.id))]
        assert not any(each in json.dumps(answers) for each in ids)

    @pytest.mark.parametrize(
        ("field", "text"),
        [
            pytest.param("name", "a" * 200, id="longest name"),
            pytest.param("message", "a" * 5_000, id="longest message"),
            pytest.param("message", "\U0001f6f6" * 5_000, id="longest message of emoji"),
            pytest.param("quote", "a" * 1_000, id="longest quote"),
            pytest.param("quote", None, id="no quote"),
            pytest.param("message", "Two decks,\n\tnot three.", id="lines and tabs"),
            pytest.param("name", "\u0639\u0650\u0644\u0652\u0645", id="Arabic with its marks"),
            pytest.param("name", "\u05e9\u05c1\u05b8\u05dc\u05d5\u05b9\u05dd", id="Hebrew with its points"),
            pytest.param(
                "name", "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", id="Persian with a joiner"
            ),
            pytest.param("name", "\u0915\u094d\u200d\u0937", id="Hindi with a joiner"),
            pytest.param("name", "\U0001f469\u200d\U0001f467", id="emoji of several"),
            pytest.param("name", "\u2067\u05d0\u05d1\u2069 and Ada", id="isolates"),
            pytest.param("name", "<script>alert(1)</script>", id="HTML is text"),
            pytest.param("message", '=HYPERLINK("x")', id="formula is text"),
        ],
    )
    def test_text_is_kept_as_it_was_written(
        self, client: FlaskClient, session: Session, field: str, text: str | None
    ) -> None:
        response = client.post("/v1/corrections", json=REPORT | {field: text})

        assert response.status_code == 201
        kept = getattr(session.scalars(select(Correction)).one(), field)
        assert kept == (unicodedata.normalize("NFC", text) if text else None)

    @pytest.mark.parametrize(
        ("field", "sent", "kept"),
        [
            pytest.param("name", "  Ada  ", "Ada", id="white space around"),
            pytest.param("name", "Jose\u0301", "Jos\u00e9", id="composed"),
            pytest.param("name", "e\u0301" * 200, "\u00e9" * 200, id="composed before it is measured"),
            pytest.param("message", "one\r\ntwo\rthree", "one\ntwo\nthree", id="line ends"),
            pytest.param("email", " Ada@READER.example ", "Ada@reader.example", id="address"),
        ],
    )
    def test_text_is_normalised(
        self, client: FlaskClient, session: Session, field: str, sent: str, kept: str
    ) -> None:
        client.post("/v1/corrections", json=REPORT | {field: sent})

        assert getattr(session.scalars(select(Correction)).one(), field) == kept

    def test_address_of_a_domain_that_dns_knows_nothing_of_is_taken(self, client: FlaskClient) -> None:
        report = REPORT | {"email": "ada@no-such-host.reader.example"}

        assert client.post("/v1/corrections", json=report).status_code == 201

    def test_nothing_of_the_person_stands_in_the_clear(self, client: FlaskClient, session: Session) -> None:
        written = {
            "name": "canary-name",
            "email": "canary-email@reader.example",
            "message": "canary-message",
            "quote": "canary-quote",
            "website": "canary-website",
            "form_token": "canary-token",
        }

        response = client.post(
            "/v1/corrections",
            json=REPORT | written,
            headers={"User-Agent": "canary-agent", "X-Forwarded-For": "203.0.113.77"},
            environ_base={"REMOTE_ADDR": "198.51.100.77"},
        )

        needles = (b"canary-", b"203.0.113.77", b"198.51.100.77")
        assert response.status_code == 201
        assert tables_with(session, *needles) == set()
        assert files_with(session, *needles) == set()


class TestRefusedCorrection:
    @pytest.mark.parametrize(
        "value",
        [None, "", "   ", "\u200b\u00ad", 7, True, ["Ada"], {"text": "Ada"}],
        ids=["null", "empty", "spaces", "invisible", "number", "boolean", "list", "object"],
    )
    def test_each_required_field_is_a_visible_text(
        self, client: FlaskClient, session: Session, value: object
    ) -> None:
        response = client.post("/v1/corrections", json=dict.fromkeys(REPORT, value))

        assert (response.status_code, response.get_json()["code"]) == (422, "invalid")
        assert sorted(fields_of(response)) == sorted(REPORT)
        assert stored(session) == [0, 0]

    @pytest.mark.parametrize("field", REPORT)
    def test_each_required_field_is_missed(self, client: FlaskClient, session: Session, field: str) -> None:
        response = client.post("/v1/corrections", json={k: v for k, v in REPORT.items() if k != field})

        assert (response.status_code, fields_of(response)) == (422, [field])
        assert stored(session) == [0, 0]

    def test_all_that_is_wrong_is_told_at_once(self, client: FlaskClient) -> None:
        response = client.post("/v1/corrections", json={"name": "", "colour": "red", "quote": 7})

        assert sorted(fields_of(response)) == ["article_url", "colour", "email", "message", "name", "quote"]

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            pytest.param({"name": "a" * 201}, "name", id="long name"),
            pytest.param({"name": "Ada\nReader"}, "name", id="name of two lines"),
            pytest.param({"name": "Ada\tReader"}, "name", id="name with a tab"),
            pytest.param({"message": "a" * 5_001}, "message", id="long message"),
            pytest.param({"message": "a" * 30_000}, "message", id="message far too long"),
            pytest.param({"message": "\U0001f6f6" * 5_001}, "message", id="long message of emoji"),
            pytest.param({"message": "a" + "\u0301" * 5_001}, "message", id="long run of one mark"),
            pytest.param({"message": "a" + "\u0301\u0316" * 2_501}, "message", id="long run of two marks"),
            pytest.param({"message": "\u0958" * 2_501}, "message", id="letters that decompose"),
            pytest.param({"quote": "a" * 1_001}, "quote", id="long quote"),
            pytest.param({"quote": ""}, "quote", id="empty quote"),
            pytest.param({"email": "ada@"}, "email", id="half an address"),
            pytest.param({"email": "ada@reader.example\nBcc: eve@x.example"}, "email", id="header"),
            pytest.param({"article_url": "https://other.example/story"}, "article_url", id="host of nobody"),
            pytest.param({"article_url": "/story"}, "article_url", id="path"),
            pytest.param({"reference": "C-22222-22222"}, "reference", id="a reference of one's own"),
            pytest.param({"status": "handled"}, "status", id="a status of one's own"),
            pytest.param({"is_suspect": False}, "is_suspect", id="a verdict of one's own"),
        ],
    )
    def test_what_breaks_a_rule_is_named_and_nothing_is_stored(
        self, client: FlaskClient, session: Session, changes: dict[str, Any], field: str
    ) -> None:
        response = client.post("/v1/corrections", json=REPORT | changes)

        assert (response.status_code, response.get_json()["code"]) == (422, "invalid")
        assert fields_of(response) == [field]
        assert stored(session) == [0, 0]

    @pytest.mark.parametrize(
        "character",
        ["\u0000", "\u0007", "\u000b", "\u001b", "\u007f", "\u0085", "\u009b", "\u202a", "\u202e", "\ud800"],
        ids=ascii,
    )
    def test_control_characters_are_refused(
        self, client: FlaskClient, session: Session, character: str
    ) -> None:
        texts = dict.fromkeys(("name", "message", "quote"), f"a{character}b")

        # By the standard library, which writes an unpaired surrogate as any client may.
        body = json.dumps(REPORT | texts)
        response = client.post("/v1/corrections", data=body, content_type="application/json")

        assert (response.status_code, sorted(fields_of(response))) == (422, sorted(texts))
        assert stored(session) == [0, 0]

    @pytest.mark.parametrize(
        ("sent", "status"),
        [
            pytest.param({"data": REPORT}, 415, id="form"),
            pytest.param({"data": {**REPORT, "file": (__file__, "x")}}, 415, id="form of parts"),
            pytest.param({"data": json.dumps(REPORT), "content_type": "text/plain"}, 415, id="text"),
            pytest.param({"data": json.dumps(REPORT)}, 415, id="no content type"),
            pytest.param({"data": '{"name": ', "content_type": "application/json"}, 400, id="cut JSON"),
            pytest.param({"data": b'{"name": "\xff"}', "content_type": "application/json"}, 400, id="bytes"),
            pytest.param({"json": [REPORT]}, 400, id="list"),
            pytest.param({"data": "null", "content_type": "application/json"}, 400, id="null"),
            pytest.param({"json": REPORT | {"message": "a" * 65_536}}, 413, id="over the cap"),
        ],
    )
    def test_body_that_is_no_form_of_ours(
        self, client: FlaskClient, session: Session, sent: dict[str, Any], status: int
    ) -> None:
        response = client.post("/v1/corrections", **sent)

        assert response.status_code == status
        assert response.content_type == "application/problem+json"
        assert stored(session) == [0, 0]

    def test_twenty_a_minute_are_taken_from_a_network(self, client: FlaskClient, session: Session) -> None:
        taken = [client.post("/v1/corrections", json=REPORT).status_code for _ in range(20)]

        over = client.post("/v1/corrections", json=REPORT)
        elsewhere = client.post("/v1/corrections", json=REPORT, environ_base={"REMOTE_ADDR": "198.51.100.7"})

        assert set(taken) == {201}
        assert (over.status_code, over.get_json()["code"]) == (429, "rate_limited")
        assert 0 < int(over.headers["Retry-After"]) <= 60
        assert elsewhere.status_code == 201
        assert stored(session) == [21, 1]


class TestFormSignals:
    @pytest.mark.parametrize(
        ("age", "website", "is_suspect"),
        [
            pytest.param(300, "", False, id="a person"),
            pytest.param(300, "https://spam.example", True, id="honeypot filled"),
            pytest.param(0, "", True, id="too fast"),
            pytest.param(200_000, "", True, id="too old"),
        ],
    )
    def test_honeypot_and_age_mark_and_never_refuse(
        self, submit: Submit, keys: Keys, age: int, website: str, is_suspect: bool
    ) -> None:
        form_token = issue_form_token(keys, datetime.now(UTC) - timedelta(seconds=age))

        response, marks = submit(form_token=form_token, website=website)

        assert (response.status_code, marks) == (201, [is_suspect])

    @pytest.mark.parametrize("signals", [{}, {"form_token": "forged"}, {"form_token": None}], ids=str)
    def test_missing_or_forged_token_marks_too(self, submit: Submit, signals: dict[str, Any]) -> None:
        response, marks = submit(**signals)

        assert (response.status_code, marks) == (201, [True])

    def test_answer_tells_nothing_of_the_mark(self, submit: Submit, keys: Keys) -> None:
        form_token = issue_form_token(keys, datetime.now(UTC) - timedelta(minutes=5))

        person, _ = submit(form_token=form_token)
        program, _ = submit(form_token=form_token, website="https://spam.example")

        told = [{**response.get_json(), "reference": None} for response in (person, program)]
        assert told[0] == told[1]
        assert sorted(person.headers.keys()) == sorted(program.headers.keys())

    @pytest.fixture
    def submit(self, client: FlaskClient, session: Session) -> Submit:
        """Send the report with these signals; give the answer and the marks of what was stored."""

        def send(**signals: Any) -> tuple[TestResponse, list[bool]]:
            response = client.post("/v1/corrections", json=REPORT | signals)
            return response, list(session.scalars(select(Correction.is_suspect)))

        return send
