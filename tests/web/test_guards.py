"""Who may call a route: denied where nothing is said, refused without a token that is good for it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from pollsvc.scopes import SCOPES
from pollsvc.web.guards import Guard, public, staff
from pollsvc.web.marks import marked_on
from tests.factories import make_token
from tests.web.addresses import filled
from tests.web.problems import read_problem

#: A call of each scope; its answer without a body is 200 or 422, but never a refusal.
CALLS = {
    "admin": "GET /v1/tokens",
    "polls:write": "GET /v1/polls",
    "corrections:manage": "GET /v1/corrections",
    "consents:read": "GET /v1/consent-texts",
    "consents:manage": "POST /v1/consent-texts",
}


def call(client: FlaskClient, scope: str) -> int:
    method, path = CALLS[scope].split()
    return client.open(path, method=method).status_code


class TestStaff:
    @pytest.mark.parametrize("needed", CALLS)
    @pytest.mark.parametrize("held", SCOPES)
    def test_a_scope_opens_its_own_routes_and_admin_all(
        self, staff_client_with: Callable[..., FlaskClient], held: str, needed: str
    ) -> None:
        expected = {200, 422} if held in (needed, "admin") else {403}

        assert call(staff_client_with(held), needed) in expected

    def test_several_scopes_open_what_each_opens(self, staff_client_with: Callable[..., FlaskClient]) -> None:
        client = staff_client_with("polls:write", "consents:read")

        assert [call(client, scope) for scope in ("polls:write", "consents:read", "admin")] == [200, 200, 403]

    def test_a_missing_scope_is_named(self, staff_client_with: Callable[..., FlaskClient]) -> None:
        problem = read_problem(staff_client_with("polls:write").get("/v1/tokens"))

        assert problem["code"] == "scope_missing"
        assert "admin" in problem["detail"]

    def test_without_a_credential_one_is_asked_for(self, client: FlaskClient) -> None:
        response = client.get("/v1/tokens")

        assert response.status_code == 401
        assert read_problem(response)["code"] == "token_missing"
        assert response.headers["WWW-Authenticate"] == 'Bearer realm="pollsvc"'

    @pytest.mark.parametrize(
        "credential",
        [
            pytest.param("Bearer", id="scheme alone"),
            pytest.param("Bearer ", id="no token"),
            pytest.param("Bearer pollsvc_unknown", id="unknown"),
            pytest.param("Bearer {}x", id="a letter more"),
            pytest.param("Bearer x{}", id="a letter before"),
            pytest.param("Bearer {}, Bearer {}", id="two headers joined"),
            pytest.param("Bearer {} {}", id="twice"),
            pytest.param("Basic {}", id="another scheme"),
            pytest.param("{}", id="no scheme"),
            pytest.param("Token {}", id="yet another scheme"),
            pytest.param("Bearer \xfc", id="other characters"),
            pytest.param("Bearer pollsvc_" + "x" * 60_000, id="very long"),
        ],
    )
    def test_a_credential_that_is_none_is_refused(
        self, client: FlaskClient, session: Session, credential: str
    ) -> None:
        secret = make_token(session)
        session.commit()

        response = client.get("/v1/tokens", headers={"Authorization": credential.replace("{}", secret)})

        assert response.status_code == 401
        assert read_problem(response)["code"] == "token_invalid"

    @pytest.mark.parametrize("credential", ["Bearer {}", "bearer {}", "BEARER   {}", "Bearer {} "])
    def test_the_scheme_is_read_in_any_case(
        self, client: FlaskClient, session: Session, credential: str
    ) -> None:
        secret = make_token(session)
        session.commit()

        response = client.get("/v1/tokens", headers={"Authorization": credential.format(secret)})

        assert response.status_code == 200

    def test_a_token_in_the_query_is_not_looked_at(self, client: FlaskClient, session: Session) -> None:
        secret = make_token(session)
        session.commit()

        assert client.get(f"/v1/tokens?access_token={secret}").status_code == 401

    def test_an_expired_token_is_refused(self, client: FlaskClient, session: Session) -> None:
        secret = make_token(session, expires_at=datetime.now(UTC) - timedelta(seconds=1))
        session.commit()

        response = client.get("/v1/tokens", headers={"Authorization": f"Bearer {secret}"})

        assert read_problem(response)["code"] == "token_invalid"

    def test_a_refusal_comes_ahead_of_the_body(self, client: FlaskClient) -> None:
        response = client.post("/v1/polls", data=b"x" * 100_000)

        assert response.status_code == 401

    def test_a_route_that_names_no_scope_of_ours_cannot_be_written(self) -> None:
        with pytest.raises(ValueError, match="polls:read is no scope"):
            staff("polls:read")


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
class TestEnforce:
    @pytest.fixture
    def silent_client(self, make_app: Callable[..., Flask]) -> FlaskClient:
        """A client of an application with a route that says nothing about its callers."""
        app = make_app()
        app.add_url_rule("/v1/silent", "silent", lambda: "open", methods=["GET", "POST"])
        return app.test_client()

    @pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
    def test_a_route_that_says_nothing_is_open_to_nobody(
        self, silent_client: FlaskClient, session: Session, method: str
    ) -> None:
        secret = make_token(session)
        session.commit()

        response = silent_client.open(
            "/v1/silent", method=method, headers={"Authorization": f"Bearer {secret}"}
        )

        assert response.status_code == 403

    def test_what_a_route_takes_may_be_asked_by_anybody(self, silent_client: FlaskClient) -> None:
        assert silent_client.options("/v1/silent").status_code == 200

    def test_every_staff_route_refuses_a_stranger(self, app: Flask, client: FlaskClient) -> None:
        answers = {}
        for rule in app.url_map.iter_rules():
            if marked_on(app.view_functions[rule.endpoint], "guard").scope:
                for method in (rule.methods or set()) - {"OPTIONS"}:
                    answers[f"{method} {rule}"] = client.open(filled(rule), method=method).status_code

        assert len(answers) > 20
        assert {call: status for call, status in answers.items() if status != 401} == {}


class TestMarks:
    def test_a_public_view_has_no_scope(self) -> None:
        assert marked_on(public(lambda: None), "guard") == Guard(None)

    def test_a_staff_view_has_its_scope(self) -> None:
        assert marked_on(staff("polls:write")(lambda: None), "guard") == Guard("polls:write")

    def test_nothing_is_marked_on_nothing(self) -> None:
        assert marked_on(None, "guard") is None
