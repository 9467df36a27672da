"""Sites over HTTP, and the many addresses by which readers and editors name one article."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from pollsvc.articles.models import Article, Site
from pollsvc.staff.models import AuditEntry
from tests.factories import ORIGIN, make_poll, make_site

SITE = {
    "name": "The Harbour Gazette",
    "origins": [ORIGIN, "https://m.news.example"],
    "privacy_url": f"{ORIGIN}/privacy",
    "terms_url": f"{ORIGIN}/terms",
    "standards_url": f"{ORIGIN}/standards",
    "desk_email": "desk@news.example",
}


def fields_of(response: TestResponse) -> list[str]:
    """Give the names of the fields that a refusal complains about."""
    return [error["field"] for error in response.get_json()["errors"]]


def count(session: Session, model: type[Article | Site | AuditEntry]) -> int:
    session.commit()
    return session.scalars(select(func.count()).select_from(model)).one()


@pytest.fixture
def site(session: Session) -> Site:
    """A site that was committed, with an alias."""
    made = make_site(session, origins=[ORIGIN, "https://m.news.example"])
    session.commit()
    return made


class TestCreateSite:
    def test_answers_with_the_site(self, staff_client: FlaskClient) -> None:
        response = staff_client.post("/v1/sites", json=SITE)

        made = response.get_json()
        assert response.status_code == 201
        assert {name: made[name] for name in SITE} == SITE
        assert set(made) == {
            *SITE,
            "id",
            "created_at",
            "locale",
            "consent_mode",
            "comments",
            "comments_close_days",
            "has_login_key",
        }

    def test_links_may_be_left_out(self, staff_client: FlaskClient) -> None:
        made = staff_client.post("/v1/sites", json={"name": "Post", "origins": [ORIGIN]}).get_json()

        assert [made[name] for name in ("privacy_url", "terms_url", "standards_url", "desk_email")] == [
            None
        ] * 4

    def test_audit_row_names_the_token(self, staff_client: FlaskClient, session: Session) -> None:
        made = staff_client.post("/v1/sites", json=SITE).get_json()

        entry = session.scalars(select(AuditEntry).where(AuditEntry.action == "site.created")).one()
        assert entry.actor.startswith("token:")
        assert entry.object_id == made["id"]

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            pytest.param({"name": None}, "name", id="no name"),
            pytest.param({"name": " \u200b"}, "name", id="blank name"),
            pytest.param({"name": "a" * 201}, "name", id="long name"),
            pytest.param({"name": "a\nb"}, "name", id="name of two lines"),
            pytest.param({"name": 7}, "name", id="number for a name"),
            pytest.param({"origins": None}, "origins", id="no origins"),
            pytest.param({"origins": []}, "origins", id="empty list of origins"),
            pytest.param({"origins": ORIGIN}, "origins", id="text for a list"),
            pytest.param({"origins": ["https://a.example"] * 21}, "origins", id="too many origins"),
            pytest.param({"origins": [ORIGIN, f"{ORIGIN}/path"]}, "origins.1", id="origin with a path"),
            pytest.param({"origins": [ORIGIN, "ftp://news.example"]}, "origins.1", id="origin of ftp"),
            pytest.param({"origins": [ORIGIN, "null"]}, "origins.1", id="origin of a sandbox"),
            pytest.param({"origins": ["https://*.news.example"]}, "origins.0", id="wildcard"),
            pytest.param({"origins": [7]}, "origins.0", id="number for an origin"),
            pytest.param({"privacy_url": "javascript:alert(1)"}, "privacy_url", id="script as a link"),
            pytest.param({"terms_url": "/terms"}, "terms_url", id="path as a link"),
            pytest.param({"standards_url": "https://a:b@news.example"}, "standards_url", id="password"),
            pytest.param({"desk_email": "desk"}, "desk_email", id="no address"),
            pytest.param({"id": str(uuid.uuid4())}, "id", id="an id of one's own"),
            pytest.param({"created_at": "2026-01-01T00:00:00Z"}, "created_at", id="a time of one's own"),
        ],
    )
    def test_what_breaks_a_rule_is_refused_by_name(
        self, staff_client: FlaskClient, session: Session, changes: dict[str, Any], field: str
    ) -> None:
        response = staff_client.post("/v1/sites", json=SITE | changes)

        assert response.status_code == 422
        assert fields_of(response) == [field]
        assert count(session, Site) == 0

    def test_each_missing_field_is_named(self, staff_client: FlaskClient) -> None:
        response = staff_client.post("/v1/sites", json={})

        assert response.status_code == 422
        assert sorted(fields_of(response)) == ["name", "origins"]

    @pytest.mark.parametrize(
        ("changes", "code", "field"),
        [
            pytest.param({"name": "The Ferry Post"}, "origin_taken", "origins", id="origin"),
            pytest.param({"origins": ["https://post.example"]}, "site_name_taken", "name", id="name"),
        ],
    )
    @pytest.mark.usefixtures("site")
    def test_what_another_site_has_is_refused(
        self, staff_client: FlaskClient, changes: dict[str, Any], code: str, field: str
    ) -> None:
        response = staff_client.post("/v1/sites", json=SITE | changes)

        assert (response.status_code, response.get_json()["code"]) == (409, code)
        assert fields_of(response) == [field]
        assert len(staff_client.get("/v1/sites").get_json()["items"]) == 1


class TestEditSite:
    def test_answers_with_the_site_as_it_became(self, staff_client: FlaskClient, site: Site) -> None:
        changes = {"name": "The Harbour News", "origins": ["https://new.example", ORIGIN], "terms_url": None}

        response = staff_client.patch(f"/v1/sites/{site.id}", json=changes)

        assert response.status_code == 200
        edited = response.get_json()
        assert {name: edited[name] for name in changes} == changes
        assert edited["privacy_url"] == f"{ORIGIN}/privacy"

    def test_polls_stay_on_their_articles_when_the_site_moves(
        self, staff_client: FlaskClient, client: FlaskClient, session: Session, site: Site
    ) -> None:
        poll = make_poll(session)
        session.commit()

        staff_client.patch(f"/v1/sites/{site.id}", json={"origins": ["https://new.example", ORIGIN]})

        for origin in (ORIGIN, "https://new.example"):
            answer = client.get(
                "/v1/articles/polls", query_string={"article_url": f"{origin}/harbour/new-ferry"}
            ).get_json()
            assert [item["id"] for item in answer["items"]] == [str(poll.id)]
            assert answer["items"][0]["article_urls"] == ["https://new.example/harbour/new-ferry"]

    @pytest.mark.parametrize(
        ("changes", "refusal"),
        [
            pytest.param({"name": None}, (422, ["name"]), id="name taken away"),
            pytest.param({"origins": []}, (422, ["origins"]), id="origins taken away"),
            pytest.param({"origins": None}, (422, ["origins"]), id="origins null"),
            pytest.param({"id": "1"}, (422, ["id"]), id="its id"),
            pytest.param({"name": "The Ferry Post"}, (409, ["name"]), id="another's name"),
            pytest.param({"origins": ["https://post.example"]}, (409, ["origins"]), id="another's origin"),
        ],
    )
    def test_what_breaks_a_rule_is_refused_and_changes_nothing(
        self,
        staff_client: FlaskClient,
        session: Session,
        site: Site,
        changes: dict[str, Any],
        refusal: tuple[int, list[str]],
    ) -> None:
        make_site(session, name="The Ferry Post", origins=["https://post.example"])
        session.commit()

        response = staff_client.patch(f"/v1/sites/{site.id}", json={"terms_url": None} | changes)

        assert (response.status_code, fields_of(response)) == refusal
        shown = staff_client.get(f"/v1/sites/{site.id}").get_json()
        assert (shown["name"], shown["terms_url"]) == ("The Harbour Gazette", f"{ORIGIN}/terms")
        assert shown["origins"] == [ORIGIN, "https://m.news.example"]

    @pytest.mark.parametrize("site_id", [str(uuid.uuid4()), "7", "null"], ids=["unknown", "number", "word"])
    def test_site_that_there_is_not(self, staff_client: FlaskClient, site_id: str) -> None:
        assert staff_client.patch(f"/v1/sites/{site_id}", json={"name": "Post"}).status_code == 404
        assert staff_client.get(f"/v1/sites/{site_id}").status_code == 404


class TestListSites:
    def test_newest_first_and_page_by_page(self, staff_client: FlaskClient, session: Session) -> None:
        made = [
            str(make_site(session, name=f"Paper {n}", origins=[f"https://{n}.example"]).id) for n in range(3)
        ]
        session.commit()

        first = staff_client.get("/v1/sites?limit=2").get_json()
        second = staff_client.get("/v1/sites", query_string={"cursor": first["next_cursor"]}).get_json()

        assert [site["id"] for site in first["items"] + second["items"]] == made[::-1]
        assert second["next_cursor"] is None


class TestGuard:
    CALLS = (
        ("POST", "/v1/sites"),
        ("GET", "/v1/sites"),
        ("GET", f"/v1/sites/{uuid.UUID(int=1)}"),
        ("PATCH", f"/v1/sites/{uuid.UUID(int=1)}"),
    )

    @pytest.mark.parametrize(("method", "path"), CALLS)
    def test_reader_is_refused(self, client: FlaskClient, method: str, path: str) -> None:
        assert client.open(path, method=method, json=SITE).status_code == 401

    @pytest.mark.parametrize(("method", "path"), CALLS)
    def test_every_scope_but_admin_is_refused(
        self, staff_client_with: Callable[..., FlaskClient], method: str, path: str
    ) -> None:
        desk = staff_client_with("polls:write", "corrections:manage", "consents:read", "consents:manage")

        assert desk.open(path, method=method, json=SITE).status_code == 403
