"""What a JSON route reads: one object, strictly; and what it refuses, each time storing nothing."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from werkzeug.test import EnvironBuilder, run_wsgi_app

from pollsvc.keys import Keys
from pollsvc.polls.models import Ballot
from pollsvc.web.marks import marked_on
from tests.factories import make_voter_token
from tests.web.problems import fields_of, read_problem

JSON = "application/json"


def nested(depth: int) -> str:
    return '{"choices": ' + "[" * depth + "1" + "]" * depth + "}"


@pytest.fixture
def vote(client: FlaskClient, poll_url: str) -> Callable[..., Any]:
    """Send a vote's body as it is."""

    def send(body: bytes | str, content_type: str | None = JSON, **environ: object) -> Any:
        return client.post(
            f"{poll_url}/votes", data=body, content_type=content_type, environ_overrides=environ
        )

    return send


def ballots(session: Session) -> int:
    session.rollback()
    return session.scalar(select(func.count()).select_from(Ballot)) or 0


class TestJson:
    @pytest.mark.parametrize(
        "body",
        [
            pytest.param("{", id="cut off"),
            pytest.param(" ", id="white space"),
            pytest.param('{"choices": [1]} x', id="trailing garbage"),
            pytest.param('{"choices": [1]}{"choices": [2]}', id="two documents"),
            pytest.param("{'choices': [1]}", id="single quotes"),
            pytest.param('{"choices": [1],}', id="trailing comma"),
            pytest.param('{"choices": [01]}', id="leading zero"),
            pytest.param('{"choices": [NaN]}', id="NaN"),
            pytest.param('{"choices": [Infinity]}', id="Infinity"),
            pytest.param('{"choices": [1e400]}', id="too large a number"),
            pytest.param(f'{{"choices": [{"9" * 3_000}]}}', id="3,000 digits"),
            pytest.param(nested(1_500), id="nested deeper than the stack"),
            pytest.param('{"voter_token": "\\ud800"', id="lone surrogate, cut off"),
            pytest.param('{"voter_token": "\\ud800", "n": NaN}', id="lone surrogate and NaN"),
            pytest.param(
                '{"voter_token": "\\ud800", "n": ' + "[" * 1_900 + "]" * 1_900 + "}", id="surrogate, deep"
            ),
            pytest.param('{"voter_token": "a\nb"}', id="raw newline in a text"),
            pytest.param(b'{"voter_token": "\xff"}', id="not UTF-8"),
            pytest.param(b'\xef\xbb\xbf{"choices": [1]}', id="byte order mark"),
            pytest.param('{"choices": [1]}'.encode("utf-16"), id="UTF-16"),
            pytest.param('{"choices": [1]}'.encode("utf-32"), id="UTF-32"),
            pytest.param("[]", id="array"),
            pytest.param("null", id="null"),
            pytest.param('"vote"', id="text"),
            pytest.param("1", id="number"),
        ],
    )
    def test_anything_but_one_object_is_malformed(
        self, vote: Callable[..., Any], session: Session, body: bytes | str
    ) -> None:
        response = vote(body)

        assert response.status_code == 400
        assert read_problem(response)["code"] == "malformed"
        assert ballots(session) == 0

    @pytest.mark.parametrize(
        ("body", "fields"),
        [
            pytest.param("{}", ["choices"], id="empty object"),
            pytest.param("", ["choices"], id="no body"),
            pytest.param('{"choices": null}', ["choices"], id="null"),
            pytest.param('{"choices": 1}', ["choices"], id="no list"),
            pytest.param('{"choices": {"0": 1}}', ["choices"], id="object for a list"),
            pytest.param('{"choices": ["1"]}', ["choices.0"], id="text for a number"),
            pytest.param('{"choices": [true]}', ["choices.0"], id="true for 1"),
            pytest.param('{"choices": [1.0]}', ["choices.0"], id="1.0 for 1"),
            pytest.param('{"choices": [1, null, "2"]}', ["choices.1", "choices.2"], id="each place is named"),
            pytest.param(f'{{"choices": [{"9" * 30}]}}', ["choices.0"], id="30 digits"),
            pytest.param('{"choices": [9223372036854775808]}', ["choices.0"], id="past 64 bits"),
            pytest.param(nested(500), ["choices.0"], id="nested deeply"),
            pytest.param('{"choices": [1], "more": 1}', ["more"], id="unknown field"),
            pytest.param('{"choices": [1], "Choices": [1]}', ["Choices"], id="another case"),
            pytest.param('{"choices": [1], "__proto__": {}}', ["__proto__"], id="prototype"),
            pytest.param('{"choices": [1], "": 1}', [""], id="unknown field without a name"),
            pytest.param('{"choices": [1], "x\\ud800": 1}', ["x?"], id="unknown field with a lone surrogate"),
            pytest.param('{"choices": ["\\udc00\\ud800"]}', ["choices.0"], id="swapped surrogates"),
        ],
    )
    def test_what_breaks_the_shape_is_named(
        self, vote: Callable[..., Any], session: Session, body: str, fields: list[str]
    ) -> None:
        response = vote(body)

        assert response.status_code == 422
        assert sorted(fields_of(response)) == fields
        assert ballots(session) == 0

    def test_a_name_given_twice_has_its_last_value_everywhere(
        self, vote: Callable[..., Any], session: Session, keys: Keys
    ) -> None:
        first, last = make_voter_token(keys, number=1), make_voter_token(keys, number=2)
        vote(f'{{"choices": [1], "voter_token": "{last}"}}')

        response = vote(
            f'{{"choices": [2, 2], "voter_token": "{first}", "choices": [1], "voter_token": "{last}"}}'
        )

        # The same voter, and one counted against the voter's limit twice: nothing reads the first values.
        assert response.json["status"] == "already_counted"
        assert '"votes_per_voter";r=28' in response.headers["RateLimit"]
        assert ballots(session) == 1


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
class TestContentType:
    @pytest.mark.parametrize(
        "content_type",
        [
            JSON,
            "application/json; charset=utf-8",
            "APPLICATION/JSON",
            "application/vnd.pollsvc+json",
            # The body is UTF-8 whatever the label says (RFC 8259 §8.1).
            "application/json; charset=utf-16",
        ],
    )
    def test_json_by_any_name_is_read(self, vote: Callable[..., Any], content_type: str) -> None:
        assert vote("{}", content_type).status_code == 422

    @pytest.mark.parametrize(
        "content_type",
        [
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "text/plain",
            "text/plain; application/json",
            "application/jsonp",
            "json",
            "application/json, text/plain",
            None,
        ],
    )
    @pytest.mark.parametrize("body", ["choices=1", '{"choices": [1]}'], ids=["form", "json"])
    def test_anything_else_is_refused(
        self, vote: Callable[..., Any], content_type: str | None, body: str
    ) -> None:
        response = vote(body, content_type)

        assert response.status_code == 415
        assert read_problem(response)["code"] == "unsupported_media_type"

    def test_an_empty_form_is_refused_too(self, vote: Callable[..., Any]) -> None:
        assert vote("", "application/x-www-form-urlencoded").status_code == 415

    def test_a_body_that_carries_nothing_needs_no_type(self, client: FlaskClient) -> None:
        assert client.post("/v1/voters").status_code == 201


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
class TestLength:
    def test_the_cap_itself_is_read(self, vote: Callable[..., Any]) -> None:
        assert vote("{}".ljust(4_096)).status_code == 422

    def test_a_byte_more_is_refused(self, vote: Callable[..., Any]) -> None:
        response = vote("{}".ljust(4_097))

        assert response.status_code == 413
        assert read_problem(response)["code"] == "too_large"

    def test_is_believed_before_the_body_is_read(self, vote: Callable[..., Any]) -> None:
        assert vote("{}", CONTENT_LENGTH="99999999999").status_code == 413

    def test_of_no_length_is_refused_rather_than_cut(self, vote: Callable[..., Any]) -> None:
        chunked = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}

        response = vote('{"choices": [1]}', CONTENT_LENGTH="", **chunked)

        assert response.status_code == 411
        assert read_problem(response)["code"] == "length_required"

    def test_an_upload_of_no_length_is_refused(self, app: Flask, staff_client: FlaskClient) -> None:
        environ = EnvironBuilder("/v1/consents/import", method="POST", content_type="text/csv").get_environ()
        environ |= staff_client.environ_base
        environ.pop("CONTENT_LENGTH", None)

        body, status, _ = run_wsgi_app(app, environ)

        assert status.startswith("411 ")
        assert b'"length_required"' in b"".join(body)

    @pytest.mark.parametrize("length", ["-1", "abc", "1e3", "+5", "0x10", "1_0"])
    def test_that_is_no_number_reads_nothing(self, vote: Callable[..., Any], keys: Keys, length: str) -> None:
        token = make_voter_token(keys)

        response = vote(f'{{"choices": [1], "voter_token": "{token}"}}', CONTENT_LENGTH=length)

        assert response.status_code in (400, 422)

    def test_shorter_than_the_body_reads_no_further(self, vote: Callable[..., Any]) -> None:
        assert vote('{"choices": [1]}', CONTENT_LENGTH="5").status_code == 400

    def test_is_capped_where_nothing_takes_a_body(self, client: FlaskClient) -> None:
        assert client.get("/v1/form-token", data=b"x" * 16_385).status_code == 413

    def test_of_a_small_body_on_a_get_is_no_matter(self, client: FlaskClient, poll_url: str) -> None:
        bare = client.get(poll_url)

        response = client.get(poll_url, data=b"{", content_type=JSON)

        assert (response.status_code, response.data) == (200, bare.data)

    def test_each_cap_is_kept_by_its_route(
        self, staff_client: FlaskClient, app: Flask, client: FlaskClient
    ) -> None:
        caps = {
            rule.rule: marked_on(app.view_functions[rule.endpoint], "body_cap")
            for rule in app.url_map.iter_rules()
            if rule.rule.startswith("/v1/") and "POST" in (rule.methods or ()) and "<" not in rule.rule
        }

        answers = {
            path: staff_client.post(
                path, data=b"x", content_type=JSON, environ_overrides={"CONTENT_LENGTH": str(cap + 1)}
            ).status_code
            for path, cap in caps.items()
        }

        assert len(answers) >= 6
        assert set(answers.values()) == {413}


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
class TestQuery:
    @pytest.mark.parametrize(
        ("query", "fields"),
        [
            ("more=1", ["more"]),
            ("limit=1&limit=2", ["limit"]),
            ("cursor=&cursor=&limit=1&limit=1", ["cursor", "limit"]),
            ("limit=0", ["limit"]),
            ("limit=101", ["limit"]),
            ("limit=-1", ["limit"]),
            ("limit=1.5", ["limit"]),
            ("limit=true", ["limit"]),
            ("limit=", ["limit"]),
            ("limit=" + "9" * 5_000, ["limit"]),
            ("limit[]=1", ["limit[]"]),
            ("LIMIT=1", ["LIMIT"]),
            ("object_id=%00", ["object_id"]),
            ("object_type=%FF%E2%80%AE", ["object_type"]),
        ],
        ids=lambda value: value[:20] if isinstance(value, str) else None,
    )
    def test_what_breaks_the_shape_is_named(
        self, staff_client: FlaskClient, query: str, fields: list[str]
    ) -> None:
        response = staff_client.get(f"/v1/audit?{query}")

        assert response.status_code == 422
        assert sorted(fields_of(response)) == fields
