"""Lists, bans and policies over HTTP: one story for each, then who may not and what is refused."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from pollsvc.keys import Keys
from pollsvc.staff.models import AuditEntry
from tests.factories import ARTICLE_URL, make_site, make_voter_token

LISTS = "/v1/moderation/lists"
BANS = "/v1/moderation/bans"
POLICIES = "/v1/moderation/policies"
ANYTHING = uuid.UUID(int=1)


@pytest.fixture
def moderator(staff_client_with: Callable[..., FlaskClient]) -> FlaskClient:
    return staff_client_with("comments:moderate")


@pytest.fixture
def say(client: FlaskClient, session: Session, keys: Keys) -> Callable[..., TestResponse]:
    """Comment as the reader of a number, with a form that was long enough open."""
    make_site(session)
    session.commit()

    def post(body: str, number: int = 1) -> TestResponse:
        comment = {
            "article_url": ARTICLE_URL,
            "name": "Ada",
            "email": "ada@reader.example",
            "body": body,
            "voter_token": make_voter_token(keys, number=number),
        }
        return client.post("/v1/comments", json=comment)

    return post


def fields_of(response: TestResponse) -> list[str]:
    return [error["field"] for error in response.get_json()["errors"]]


def because(moderator: FlaskClient, said: TestResponse) -> list[str]:
    found: list[str] = moderator.get(f"/v1/moderation/comments/{said.get_json()['id']}").get_json()["because"]
    return found


class TestLists:
    def test_a_listed_word_holds_until_the_list_goes(
        self, moderator: FlaskClient, say: Callable[..., TestResponse], session: Session
    ) -> None:
        made = moderator.put(f"{LISTS}/banned/EN", json={"words": ["spam"], "version": 0})
        held = say("Buy spam today.")
        listed = moderator.get(LISTS).get_json()
        shown = moderator.get(f"{LISTS}/banned/en").get_json()
        gone = moderator.delete(f"{LISTS}/banned/en", json={"version": 1})
        let = say("Buy more spam today.")

        assert (made.status_code, gone.status_code) == (200, 200)
        assert {name: made.get_json()[name] for name in ("kind", "language", "version", "words")} == {
            "kind": "banned",
            "language": "en",
            "version": 1,
            "words": 1,
        }
        assert listed == {"items": [made.get_json()]}
        assert (shown["words"], shown["exceptions"], shown["version"]) == (["spam"], [], 1)
        assert "banned_words" in because(moderator, held)
        assert "banned_words" not in because(moderator, let)
        assert moderator.get(f"{LISTS}/banned/en").status_code == 404
        audited = session.scalars(select(AuditEntry.action).where(AuditEntry.object_id == "banned/en"))
        assert list(audited) == ["word_list.replaced", "word_list.deleted"]

    def test_a_banned_domain_holds_and_a_trusted_one_is_no_link(
        self, moderator: FlaskClient, say: Callable[..., TestResponse]
    ) -> None:
        for kind, domain in (("banned", "spam.example"), ("trusted", "archive.example")):
            put = moderator.put(f"{LISTS}/{kind}_domains/und", json={"words": [domain]})
            assert put.status_code == 200, put.get_json()

        held = say("See https://www.spam.example/offer")
        let = say("See https://archive.example/a and https://archive.example/b, both of 1998.")

        assert "links" in because(moderator, held)
        assert "links" not in because(moderator, let)

    def test_emptied_lists_stand_and_look_at_nothing(
        self, moderator: FlaskClient, say: Callable[..., TestResponse]
    ) -> None:
        places = ["banned/en", "suspect/und", "banned_domains/und", "trusted_domains/und"]
        for path in places:
            moderator.put(f"{LISTS}/{path}", json={"words": ["spam.example"]})

        emptied = [
            moderator.put(f"{LISTS}/{path}", json={"words": [], "exceptions": [], "version": 1})
            for path in places
        ]
        said = say("See spam.example, https://spam.example/a and https://spam.example/b")

        assert [(each.status_code, each.get_json()["version"]) for each in emptied] == [(200, 2)] * 4
        shown = moderator.get(f"{LISTS}/banned_domains/und").get_json()
        assert (shown["words"], shown["exceptions"], shown["version"]) == ([], [], 2)
        assert [each["words"] for each in moderator.get(LISTS).get_json()["items"]] == [0] * 4
        verdicts = moderator.get(f"/v1/moderation/comments/{said.get_json()['id']}").get_json()["revisions"][
            0
        ]
        scores = {each["name"]: (each["state"], each["score"]) for each in verdicts["verdicts"]}
        # Two links to somebody else's site, neither banned nor trusted.
        assert scores["links"] == ("done", pytest.approx(2 / 3, abs=0.01))
        assert scores["banned_words"] == scores["suspect_words"] == ("done", 0)

    def test_65000_words_are_one_call(self, moderator: FlaskClient) -> None:
        words = [f"wörd{number}" if number % 2 else f"word{number}" for number in range(65_000)]

        assert moderator.put(f"{LISTS}/suspect/und", json={"words": words}).get_json()["words"] == 65_000

    @pytest.mark.parametrize(
        ("path", "body", "status", "field"),
        [
            ("banned/en", {"words": ["fine", " "]}, 422, "words.1"),
            ("banned/en", {"words": ["x"], "exceptions": ["y", ""]}, 422, "exceptions.1"),
            ("banned/en", {}, 422, "words"),
            ("banned/en", {"words": ["x"], "note": "y"}, 422, "note"),
            ("banned/en-GB", {"words": ["x"]}, 422, "language"),
            ("banned/english", {"words": ["x"]}, 422, "language"),
            ("allowed/en", {"words": ["x"]}, 404, None),
            ("banned_domains/en", {"words": ["spam.example"]}, 422, "language"),
            ("trusted_domains/und", {"words": ["https://spam.example/"]}, 422, "words.0"),
            ("banned_domains/und", {"words": ["a.example"], "exceptions": ["a b"]}, 422, "exceptions.0"),
            ("banned/en", {"words": ["spam", "..."]}, 422, "words.1"),
            ("banned/en", {"words": ["x"], "version": 4}, 409, None),
            ("banned/en", {"words": ["x" * 99] * 90_000}, 413, None),
        ],
    )
    def test_what_is_no_list_is_refused(
        self, moderator: FlaskClient, path: str, body: dict[str, Any], status: int, field: str | None
    ) -> None:
        refused = moderator.put(f"{LISTS}/{path}", json=body)

        assert refused.status_code == status
        assert fields_of(refused) == ([field] if field else [])
        assert moderator.get(LISTS).get_json() == {"items": []}


class TestBans:
    def test_a_banned_writer_reads_until_when(
        self, moderator: FlaskClient, say: Callable[..., TestResponse]
    ) -> None:
        comment_id = say("Something rude.").get_json()["id"]
        terms = {
            "comment_id": comment_id,
            "by": "writer",
            "reason_code": "abuse",
            "ends_at": "2999-01-01T00:00:00Z",
        }

        made, again = moderator.post(BANS, json=terms), moderator.post(BANS, json=terms)
        refused = say("Something ruder.")
        in_force = moderator.get(BANS, query_string={"in_force": "true"}).get_json()["items"]
        lifted = moderator.delete(f"{BANS}/{made.get_json()['id']}")
        left = moderator.get(BANS, query_string={"in_force": "true"}).get_json()["items"]

        assert (made.status_code, again.status_code, lifted.status_code) == (201, 200, 200)
        problem = refused.get_json()
        assert (refused.status_code, problem["code"]) == (403, "writer_banned")
        assert (problem["ends_at"], problem["detail"]) == (
            "2999-01-01T00:00:00+00:00",
            "You may not comment here until 2999-01-01 00:00 UTC.",
        )
        assert in_force == [made.get_json()]
        assert made.get_json()["comment_id"] == comment_id
        assert (lifted.get_json()["lifted_at"] is not None, left) == (True, [])
        assert say("Something polite.").status_code == 202

    @pytest.mark.parametrize(
        ("change", "status", "field"),
        [
            ({"comment_id": str(ANYTHING)}, 404, None),
            ({"comment_id": "mine"}, 422, "comment_id"),
            ({"by": "network"}, 422, "by"),
            ({"reason_code": "ugly"}, 422, "reason_code"),
            ({"ends_at": "2026-01-01T00:00:00Z"}, 422, "ends_at"),
            ({"ends_at": "tomorrow"}, 422, "ends_at"),
        ],
    )
    def test_what_is_no_ban_is_refused(
        self, moderator: FlaskClient, change: dict[str, str], status: int, field: str | None
    ) -> None:
        terms = {"comment_id": str(ANYTHING), "by": "writer", "reason_code": "abuse"} | change

        refused = moderator.post(BANS, json=terms)

        assert refused.status_code == status
        assert fields_of(refused) == ([field] if field else [])

    def test_a_ban_that_is_none_cannot_be_lifted(self, moderator: FlaskClient) -> None:
        assert moderator.delete(f"{BANS}/{ANYTHING}").get_json()["code"] == "ban_not_found"


class TestPolicies:
    def test_a_version_is_drafted_tried_and_made_live(
        self, moderator: FlaskClient, staff_client: FlaskClient, say: Callable[..., TestResponse]
    ) -> None:
        said = say("A word.")
        checks = {"shouting": {"hold": 0.9}}

        drafted = moderator.post(POLICIES, json={"checks": checks})
        tried = moderator.post(f"{POLICIES}/1/simulate", json={"days": 1}).get_json()
        live = staff_client.post(f"{POLICIES}/1/activate", json={"replaces": 0})
        published = say("Another word.", number=2)
        back = staff_client.post(f"{POLICIES}/0/activate", json={})

        assert (drafted.status_code, drafted.get_json()["state"]) == (201, "draft")
        assert tried["moves"] == [{"before": "hold", "after": "publish", "count": 1}]
        assert [(item["id"], item["body"]) for item in tried["items"]] == [(said.get_json()["id"], "A word.")]
        assert (live.get_json()["state"], published.status_code) == ("live", 201)
        assert moderator.get(f"{POLICIES}/1").get_json()["state"] == "retired"
        assert (back.get_json()["version"], back.get_json()["state"]) == (0, "live")

    def test_versions_come_newest_first(self, moderator: FlaskClient) -> None:
        for _ in range(2):
            moderator.post(POLICIES, json={"checks": {}})

        first = moderator.get(POLICIES, query_string={"limit": 2}).get_json()
        second = moderator.get(POLICIES, query_string={"cursor": first["next_cursor"]}).get_json()

        assert [each["version"] for each in first["items"] + second["items"]] == [2, 1, 0]
        assert second["next_cursor"] is None

    @pytest.mark.parametrize(
        ("path", "body", "status", "fields"),
        [
            ("", {"checks": {"linx": {}}}, 422, ["checks.linx"]),
            ("", {"checks": {"links": {"hold": 2}}}, 422, ["checks.links.hold"]),
            ("", {"checks": {"premoderation": {"hold": None}}}, 422, ["checks.premoderation"]),
            ("", {}, 422, ["checks"]),
            ("/0/simulate", {}, 422, ["days"]),
            ("/0/simulate", {"days": 91}, 422, ["days"]),
            ("/7/simulate", {"days": 1}, 404, []),
            ("/7/activate", {}, 404, []),
            (f"/{2**31}/activate", {}, 404, []),
            ("/0/activate", {"replaces": 3}, 409, []),
        ],
    )
    def test_what_cannot_be_is_refused(
        self, staff_client: FlaskClient, path: str, body: dict[str, Any], status: int, fields: list[str]
    ) -> None:
        refused = staff_client.post(f"{POLICIES}{path}", json=body)

        assert (refused.status_code, fields_of(refused)) == (status, fields)

    @pytest.mark.parametrize("cursor", ["x", "1"])
    def test_a_cursor_that_is_none_is_refused(self, moderator: FlaskClient, cursor: str) -> None:
        assert fields_of(moderator.get(POLICIES, query_string={"cursor": cursor})) == ["cursor"]


# Who may is the same on both databases.
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
class TestGuards:
    def test_a_moderator_activates_nothing(self, moderator: FlaskClient) -> None:
        assert moderator.post(f"{POLICIES}/0/activate", json={}).get_json()["code"] == "scope_missing"

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            *(("GET", path) for path in (LISTS, f"{LISTS}/banned/en", BANS, POLICIES, f"{POLICIES}/0")),
            *(
                ("POST", path)
                for path in (BANS, POLICIES, f"{POLICIES}/0/simulate", f"{POLICIES}/0/activate")
            ),
            *(
                ("PUT", f"{LISTS}/banned/en"),
                ("DELETE", f"{LISTS}/banned/en"),
                ("DELETE", f"{BANS}/{ANYTHING}"),
            ),
        ],
    )
    def test_others_of_the_newsroom_may_not(
        self, staff_client_with: Callable[..., FlaskClient], method: str, path: str
    ) -> None:
        other = staff_client_with("polls:write")

        assert other.open(path, method=method, json={} if method != "GET" else None).status_code == 403
