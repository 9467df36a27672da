"""The desk over HTTP: from the queue to a decision, each refusal, and nothing in any answer that would let one act as a reader."""

import base64
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from pollsvc.articles.models import Site
from pollsvc.comments.service import report_comment
from pollsvc.keys import Keys
from tests.comments.evidence import comment_of, counted, held_rows
from tests.comments.test_routes import refused
from tests.factories import (
    ARTICLE_URL,
    ORIGIN,
    THEN,
    decide_comment,
    make_comment,
    make_voter_token,
    make_writer,
)


class TestDesk:
    def test_from_the_queue_to_a_decision(
        self, client: FlaskClient, staff_client: FlaskClient, session: Session, keys: Keys, site: Site
    ) -> None:
        made = [make_comment(session, keys=keys, number=number) for number in (1, 2, 3)]
        session.commit()
        ids = [str(each.id) for each in made]

        first = staff_client.get("/v1/moderation/queue?limit=2").get_json()
        second = staff_client.get(
            "/v1/moderation/queue", query_string={"limit": 2, "cursor": first["next_cursor"]}
        ).get_json()
        newest = staff_client.get("/v1/moderation/queue?order=newest").get_json()
        claimed = staff_client.post("/v1/moderation/claims", json={"limit": 2})
        again = staff_client.post("/v1/moderation/claims", json={"limit": 2})
        dossier = staff_client.get(f"/v1/moderation/comments/{ids[0]}").get_json()
        decision = staff_client.post(
            f"/v1/moderation/comments/{ids[0]}/decisions",
            json={"action": "approve", "version": dossier["version"], "reason_code": "other"},
        )

        assert [each["id"] for each in (*first["items"], *second["items"])] == ids
        assert [each["id"] for each in newest["items"]] == ids[::-1]
        assert claimed.status_code == 201
        assert [each["id"] for each in claimed.get_json()["items"]] == ids[:2]
        assert {"id", "version", "body", "article_url", "expires_at"} <= set(claimed.get_json()["items"][0])
        assert [each["id"] for each in again.get_json()["items"]] == ids[2:]
        assert dossier["because"] == ["new_commenter"]
        assert (decision.status_code, decision.get_json()) == (
            200,
            {"id": ids[0], "status": "published", "version": 2},
        )
        assert client.get("/v1/comments", query_string={"article_url": ARTICLE_URL}).get_json()["total"] == 1
        assert comment_of(session, made[0].id).decided_by.startswith("token:")
        assert counted(session) == {"published": 1, "held": 2}

    def test_reported_ones_and_one_articles_own(
        self, staff_client: FlaskClient, session: Session, keys: Keys, site: Site
    ) -> None:
        shown = make_comment(session, keys=keys, is_approved=True)
        reporter = make_writer(keys, number=2)
        report_comment(session, shown.id, reporter=reporter, reason="spam", note="Buy!", now=THEN)
        elsewhere = make_comment(session, keys=keys, number=3, article_url=f"{ORIGIN}/other")
        session.commit()

        reported = staff_client.get("/v1/moderation/queue?state=reported").get_json()["items"]
        other = staff_client.get("/v1/moderation/queue", query_string={"article_url": f"{ORIGIN}/other"})

        assert [(each["id"], each["open_reports"]) for each in reported] == [(str(shown.id), 1)]
        assert [each["id"] for each in other.get_json()["items"]] == [str(elsewhere.id)]

    @pytest.mark.parametrize(("state", "action"), [("rejected", "reject"), ("spam", "spam")])
    def test_what_was_turned_down_is_found_and_published(
        self, staff_client: FlaskClient, session: Session, keys: Keys, site: Site, state: str, *, action: str
    ) -> None:
        made = [make_comment(session, keys=keys, number=number) for number in (1, 2, 3)]
        for each in made:
            decide_comment(session, each, action)
        make_comment(session, keys=keys, number=4)
        session.commit()
        ids = [str(each.id) for each in made]

        def listed(**query: object) -> dict[str, Any]:
            answer = staff_client.get(
                "/v1/moderation/queue", query_string={"state": state, "limit": 2, **query}
            )
            found: dict[str, Any] = answer.get_json()
            return found

        first = {order: listed(order=order) for order in ("oldest", "newest")}
        pages = {
            order: [*page["items"], *listed(order=order, cursor=page["next_cursor"])["items"]]
            for order, page in first.items()
        }
        decision = staff_client.post(
            f"/v1/moderation/comments/{ids[0]}/decisions", json={"action": "approve", "version": 2}
        )

        assert [each["id"] for each in pages["oldest"]] == ids
        assert [each["id"] for each in pages["newest"]] == ids[::-1]
        assert {each["status"] for each in pages["oldest"]} == {state}
        assert pages["oldest"][0]["body"] == "Well said, 1."
        assert decision.get_json()["status"] == "published"
        assert [each["id"] for each in listed(article_url=ARTICLE_URL)["items"]] == ids[1:]
        assert listed(article_url=f"{ORIGIN}/other")["items"] == []

    def test_counts_are_those_of_a_recount_after_decisions(
        self, staff_client: FlaskClient, session: Session, keys: Keys, site: Site
    ) -> None:
        other = f"{ORIGIN}/other"
        for number, action in enumerate(["approve", "reject", "spam", "remove", "approve"]):
            decide_comment(session, make_comment(session, keys=keys, number=number), action)
        for number in (7, 8):
            make_comment(session, keys=keys, number=number, article_url=other)
        session.commit()

        def told(**query: str) -> dict[str, int]:
            answer = staff_client.get("/v1/moderation/queue", query_string={"limit": 1, **query})
            # Those that are none stand there too.
            assert answer.get_json()["counts"].keys() == {"published", "held", "rejected", "spam", "removed"}
            return {status: n for status, n in answer.get_json()["counts"].items() if n}

        before = told()
        held = staff_client.get("/v1/moderation/queue").get_json()["items"][0]
        staff_client.post(
            f"/v1/moderation/comments/{held['id']}/decisions", json={"action": "reject", "version": 1}
        )

        assert before == {"published": 2, "held": 2, "rejected": 1, "spam": 1, "removed": 1}
        session.rollback()
        assert told() == counted(session) == {**before, "held": 1, "rejected": 2}
        assert told(state="spam") == told()
        assert told(article_url=other) == counted(session, other) == {"held": 1, "rejected": 1}
        assert told(article_url=ARTICLE_URL) == counted(session, ARTICLE_URL)
        assert told(article_url=f"{ORIGIN}/unknown") == {}

    def test_refusals_store_nothing(
        self, staff_client: FlaskClient, session: Session, keys: Keys, site: Site
    ) -> None:
        held = make_comment(session, keys=keys)
        removed = decide_comment(session, make_comment(session, keys=keys, number=2), "remove")
        session.commit()
        before = held_rows(session)

        def decide(comment_id: uuid.UUID, **body: object) -> Any:
            return staff_client.post(f"/v1/moderation/comments/{comment_id}/decisions", json=body)

        stale = decide(removed.id, action="approve", version=1)
        answers = [
            (stale, (409, "stale_version", [])),
            (decide(removed.id, action="approve", version=2), (409, "comment_removed", [])),
            (decide(held.id, action="feature", version=1), (409, "comment_not_published", [])),
            (decide(uuid.uuid4(), action="approve", version=1), (404, "comment_not_found", [])),
            (decide(held.id, action="publish", version=1), (422, "invalid", ["action"])),
            (decide(held.id, action="approve"), (422, "invalid", ["version"])),
            (decide(held.id, action="approve", version="1"), (422, "invalid", ["version"])),
            (
                decide(held.id, action="reject", version=1, reason_code="dull"),
                (422, "invalid", ["reason_code"]),
            ),
            (
                decide(held.id, action="approve", version=1, reason_code="dull"),
                (422, "invalid", ["reason_code"]),
            ),
            (decide(held.id, action="reject", version=1, note="a\x00"), (422, "invalid", ["note"])),
            (decide(held.id, action="reject", version=1, actor="token:1"), (422, "invalid", ["actor"])),
            (staff_client.post("/v1/moderation/claims", json={"limit": 101}), (422, "invalid", ["limit"])),
            (staff_client.get("/v1/moderation/queue?state=lost"), (422, "invalid", ["state"])),
            (staff_client.get("/v1/moderation/queue?state=removed"), (422, "invalid", ["state"])),
            (staff_client.get(f"/v1/moderation/comments/{uuid.uuid4()}"), (404, "comment_not_found", [])),
        ]

        assert [refused(answer) for answer, _ in answers] == [expected for _, expected in answers]
        assert stale.get_json()["current"]["status"] == "removed"
        assert held_rows(session) == before

    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    def test_is_for_those_who_moderate(
        self, client: FlaskClient, staff_client_with: Callable[..., FlaskClient], session: Session, keys: Keys, site: Site
    ) -> None:  # fmt: skip
        made = make_comment(session, keys=keys)
        session.commit()
        others = staff_client_with("polls:write", "corrections:manage", "consents:read")
        calls = [
            ("GET", "/v1/moderation/queue", None),
            ("POST", "/v1/moderation/claims", {}),
            ("GET", f"/v1/moderation/comments/{made.id}", None),
            ("POST", f"/v1/moderation/comments/{made.id}/decisions", {"action": "approve", "version": 1}),
            ("PATCH", f"/v1/articles?article_url={ARTICLE_URL}", {"comments": "off"}),
        ]

        found = [
            [who.open(path, method=method, json=body).status_code for method, path, body in calls]
            for who in (client, others)
        ]

        assert found == [[401] * 5, [403] * 5]
        assert counted(session) == {"held": 1}


class TestAnswers:
    def test_none_holds_a_voter_token_or_a_writers_key(
        self, client: FlaskClient, staff_client: FlaskClient, session: Session, keys: Keys, site: Site
    ) -> None:
        token, key = make_voter_token(keys), make_writer(keys).key
        header = {"X-Voter-Token": token}
        form = {"article_url": ARTICLE_URL, "name": "Ada", "email": "a@reader.example", "body": "Well said."}
        answers = [client.post("/v1/comments", json=form | {"voter_token": token})]
        comment_id = answers[0].get_json()["id"]
        path, desk = f"/v1/comments/{comment_id}", f"/v1/moderation/comments/{comment_id}"

        def decide(action: str, version: int) -> None:
            answers.append(
                staff_client.post(f"{desk}/decisions", json={"action": action, "version": version})
            )

        answers.append(staff_client.get("/v1/moderation/queue"))
        answers.append(staff_client.post("/v1/moderation/claims", json={"limit": 5}))
        decide("approve", 1)
        decide("reject", 1)
        answers += [
            client.post(f"{path}/reports", json={"reason": "spam", "voter_token": token}),
            staff_client.get("/v1/moderation/queue?state=reported"),
            client.get("/v1/comments", query_string={"article_url": ARTICLE_URL}),
            client.get("/v1/comments/counts", query_string={"article_url": ARTICLE_URL}),
            client.get(path),
            client.patch(path, json={"body": "Better said.", "version": 2}, headers=header),
            client.patch(path, json={"body": "Better said.", "version": 2}, headers=header),
            client.get("/v1/comments/mine", headers=header),
            client.delete(path, headers=header),
            staff_client.get(desk),
            staff_client.get("/v1/audit"),
            staff_client.patch(f"/v1/articles?article_url={ARTICLE_URL}", json={"comments": "closed"}),
        ]
        decide("approve", 4)

        assert [each.status_code for each in answers] == [
            *(202, 200, 201, 200, 409),
            *(202, 200, 200, 200, 200, 202, 409, 200, 200, 200, 200, 200),
            409,
        ]
        identity = (1).to_bytes(16, "big")
        secrets = [
            token,
            key.hex(),
            base64.b64encode(key).decode()[:40],
            base64.urlsafe_b64encode(key).decode()[:40],
            identity.hex(),
        ]
        assert [each for each in answers for secret in secrets if secret in each.get_data(as_text=True)] == []
        assert all("writer_key" not in each.get_data(as_text=True) for each in answers)
