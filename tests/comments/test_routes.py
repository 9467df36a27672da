"""Comments over HTTP: a reader's way through them, and each refusal with its code and its field."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from pollsvc.articles.models import Site
from pollsvc.comments.models import CommentVerdict
from pollsvc.comments.policy_models import Ban
from pollsvc.comments.schemas import LONGEST_BODY, LONGEST_NAME
from pollsvc.comments.status import standing_of
from pollsvc.keys import Keys
from pollsvc.web.forms import issue_form_token
from tests.comments.evidence import comment_of, counted, held_rows
from tests.consent.logins import account_token
from tests.factories import (
    ACTOR,
    ARTICLE_URL,
    ORIGIN,
    THEN,
    decide_comment,
    edit_comment,
    make_article,
    make_comment,
    make_site,
    make_voter_token,
)
from tests.plans import watching

LOGIN_KEY = "a-login-key-of-thirty-two-letters-and-more"
Send = Callable[..., TestResponse]


@pytest.fixture
def token(keys: Keys) -> str:
    """The token of reader 1."""
    return make_voter_token(keys)


@pytest.fixture
def form(keys: Keys, token: str) -> dict[str, Any]:
    """What reader 1 sends, in a form that was open for a minute."""
    opened = datetime.now(UTC) - timedelta(minutes=1)
    return {
        "article_url": ARTICLE_URL,
        "name": "Ada",
        "email": "ada@reader.example",
        "body": "Well *said*.",
        "voter_token": token,
        "form_token": issue_form_token(keys, opened),
    }


def thread(client: FlaskClient, **query: str) -> dict[str, Any]:
    """Give the thread of the article."""
    answer = client.get("/v1/comments", query_string={"article_url": ARTICLE_URL, **query})
    assert answer.status_code == 200, answer.get_json()
    found: dict[str, Any] = answer.get_json()
    return found


def refused(answer: TestResponse) -> tuple[int, str, list[str]]:
    """Give status, code and fields of a refusal."""
    problem: dict[str, Any] = answer.get_json() or {}
    assert answer.content_type == "application/problem+json"
    assert answer.headers["Cache-Control"] == "private, no-store"
    return answer.status_code, problem["code"], [each["field"] for each in problem.get("errors", [])]


@pytest.mark.usefixtures("site")
class TestSubmit:
    def test_first_comment_is_held_and_sent_again_is_the_same(
        self, client: FlaskClient, session: Session, form: dict[str, Any]
    ) -> None:
        first, again = (client.post("/v1/comments", json=form) for _ in range(2))

        assert first.status_code == again.status_code == 202
        assert set(first.get_json()) == {"id", "status", "version"}
        assert first.get_json() == again.get_json()
        assert (first.get_json()["status"], first.get_json()["version"]) == ("held", 1)
        assert counted(session) == {"held": 1}
        assert thread(client)["items"] == []

    @pytest.mark.parametrize(
        ("action", "status"), [("reject", "rejected"), ("spam", "spam"), ("remove", "removed")]
    )
    def test_sent_again_after_a_decision_it_is_told_where_it_stands(
        self, client: FlaskClient, session: Session, form: dict[str, Any], *, action: str, status: str
    ) -> None:
        first = client.post("/v1/comments", json=form).get_json()
        decide_comment(session, standing_of(session, uuid.UUID(first["id"])), action)
        session.commit()

        again = client.post("/v1/comments", json=form)

        assert again.status_code == 200
        assert again.get_json() == {"id": first["id"], "status": status, "version": 2}

    def test_trusted_reader_is_published_at_once(
        self, client: FlaskClient, session: Session, keys: Keys, form: dict[str, Any]
    ) -> None:
        make_comment(session, keys=keys, is_approved=True)
        session.commit()

        first, again = (client.post("/v1/comments", json=form) for _ in range(2))

        assert (first.status_code, again.status_code) == (201, 200)
        assert first.get_json() == again.get_json()
        assert thread(client)["total"] == 2
        assert thread(client)["items"][0]["html"] == "<p>Well <em>said</em>.</p>"

    @pytest.mark.parametrize(
        ("changes", "fields"),
        [
            ({"body": ""}, ["body"]),
            ({"body": "\u200b\u2060 \u2800"}, ["body"]),
            ({"body": "*"}, ["body"]),
            ({"body": "```\n```"}, ["body"]),
            ({"body": "[](https://a.example)"}, ["body"]),
            ({"body": "x" * (LONGEST_BODY + 1)}, ["body"]),
            ({"body": "a\x00b"}, ["body"]),
            ({"body": "a\x1bb"}, ["body"]),
            ({"body": "a\u202eb"}, ["body"]),
            ({"body": 7}, ["body"]),
            ({"name": " "}, ["name"]),
            ({"name": "\u2066\u2069"}, ["name"]),
            ({"name": "a\nb"}, ["name"]),
            ({"name": "a\u202db"}, ["name"]),
            ({"name": "x" * (LONGEST_NAME + 1)}, ["name"]),
            ({"name": None, "email": None}, ["email", "name"]),
            ({"email": "nobody"}, ["email"]),
            ({"email": f"{'x' * 300}@reader.example"}, ["email"]),
            ({"article_url": "https://elsewhere.example/a"}, ["article_url"]),
            ({"article_url": "javascript:alert(1)"}, ["article_url"]),
            ({"parent_id": "1"}, ["parent_id"]),
            ({"parent_id": str(uuid.UUID(int=7))}, ["parent_id"]),
            ({"status": "published"}, ["status"]),
        ],
        ids=lambda value: ascii(value)[:40] if isinstance(value, dict) else "",
    )
    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    def test_bad_input_is_named_and_not_stored(
        self, client: FlaskClient, session: Session, form: dict[str, Any], changes: dict[str, Any], fields: list[str]
    ) -> None:  # fmt: skip
        before = held_rows(session)

        status, _, found = refused(client.post("/v1/comments", json=form | changes))

        assert (status, sorted(found)) == (422, fields)
        assert held_rows(session) == before

    def test_names_and_bodies_survive_what_the_contract_admits(
        self, client: FlaskClient, session: Session, keys: Keys, form: dict[str, Any]
    ) -> None:
        make_comment(session, keys=keys, is_approved=True)
        session.commit()
        name, body = (
            "O’Brien <b>&amp; \u2067שלום\u2069 👩‍💻",
            "می‌خواهم \u2066x\u2069\u200f &#8238; </p><script>alert(1)</script>\ta",
        )

        answer = client.post("/v1/comments", json=form | {"name": name, "body": body})

        [shown, _] = thread(client)["items"]
        assert answer.status_code == 201
        assert (shown["name"], shown["body"]) == (name, body)
        assert "<script" not in shown["html"]
        assert "&amp;#8238;" in shown["html"]

    @pytest.mark.parametrize(
        ("mode", "code"), [("closed", "comments_closed"), ("off", "comments_off")], ids=["closed", "off"]
    )
    def test_article_that_takes_none_refuses(
        self, client: FlaskClient, session: Session, form: dict[str, Any], mode: str, code: str
    ) -> None:
        make_article(session).comments = mode
        session.commit()

        assert refused(client.post("/v1/comments", json=form))[:2] == (409, code)
        assert thread(client)["comments"] == mode

    def test_what_was_taken_away_takes_no_reply(
        self, client: FlaskClient, session: Session, keys: Keys, form: dict[str, Any]
    ) -> None:
        gone = decide_comment(session, make_comment(session, keys=keys), "reject")
        elsewhere = make_comment(session, keys=keys, article_url=f"{ORIGIN}/other", is_approved=True)
        session.commit()

        answers = [
            client.post("/v1/comments", json=form | {"parent_id": str(each.id)}) for each in (gone, elsewhere)
        ]

        assert [refused(each) for each in answers] == [
            (409, "parent_closed", []),
            (422, "invalid", ["parent_id"]),
        ]

    def test_place_of_what_is_looked_at_again_takes_no_reply_meanwhile(
        self, client: FlaskClient, session: Session, keys: Keys, form: dict[str, Any]
    ) -> None:
        top = make_comment(session, keys=keys, is_approved=True)
        make_comment(session, keys=keys, number=2, parent=top, is_approved=True)
        held = edit_comment(session, top, "Better said.", keys=keys)
        session.commit()

        answer = client.post("/v1/comments", json=form | {"parent_id": str(held.id)})

        assert refused(answer) == (409, "parent_closed", [])
        [place] = thread(client)["items"]
        assert (place["id"], place["status"], place["replies"]) == (str(held.id), "held", 1)
        assert (place["name"], place["body"], place["html"]) == (None, None, None)
        decide_comment(session, held)
        session.commit()
        assert thread(client)["items"][0]["body"] == "Better said."
        assert client.post("/v1/comments", json=form | {"parent_id": str(held.id)}).status_code in {201, 202}

    def test_replies_end_at_the_depth_that_was_set(
        self, make_app: Callable[..., Flask], session: Session, keys: Keys, form: dict[str, Any]
    ) -> None:
        client = make_app(comment_depth=0).test_client()
        top = make_comment(session, keys=keys, is_approved=True)
        session.commit()

        answer = client.post("/v1/comments", json=form | {"parent_id": str(top.id)})

        assert refused(answer) == (422, "invalid", ["parent_id"])

    @pytest.mark.parametrize(("given", "code"), [(None, "voter_token_missing"), ("x", "voter_token_invalid")])
    def test_nobody_writes_without_a_token(
        self, client: FlaskClient, session: Session, form: dict[str, Any], given: str | None, code: str
    ) -> None:  # fmt: skip
        assert refused(client.post("/v1/comments", json=form | {"voter_token": given}))[:2] == (401, code)

    def test_honeypot_and_missing_form_token_never_refuse(
        self, client: FlaskClient, session: Session, keys: Keys, form: dict[str, Any]
    ) -> None:
        make_comment(session, keys=keys, is_approved=True)
        session.commit()
        forms = [form | {"website": "x"}, form | {"form_token": "", "body": "Another word."}]

        answers = [client.post("/v1/comments", json=each) for each in forms]

        assert [(each.status_code, each.get_json()["status"]) for each in answers] == [(202, "held")] * 2

    def test_calls_of_one_reader_are_limited(
        self, make_app: Callable[..., Flask], form: dict[str, Any]
    ) -> None:
        client = make_app(limit_comments_per_voter="2/minute").test_client()

        answers = [client.post("/v1/comments", json=form | {"body": f"Word {n}."}) for n in range(3)]

        assert [each.status_code for each in answers] == [202, 202, 429]
        assert "Retry-After" in answers[-1].headers


class TestAccounts:
    @pytest.fixture
    def accounts(self, session: Session) -> Site:
        """A site whose login signs tokens."""
        site = make_site(session, login_key=LOGIN_KEY)
        session.commit()
        return site

    @staticmethod
    def sign(**claims: object) -> str:
        expires = datetime.now(UTC) + timedelta(hours=1)
        return jwt.encode({"sub": "reader-7", "exp": expires, **claims}, LOGIN_KEY, algorithm="HS256")

    def test_write_under_the_name_that_the_login_vouches_for(
        self, client: FlaskClient, session: Session, accounts: Site, form: dict[str, Any]
    ) -> None:
        account = {"account_token": self.sign(name="Ada Lovelace"), "name": "The Editor", "voter_token": None}

        answer = client.post("/v1/comments", json=form | account)

        stored = comment_of(session, uuid.UUID(answer.get_json()["id"]))
        assert (stored.name, stored.email, stored.is_account) == ("Ada Lovelace", None, True)
        header = {"X-Account-Token": self.sign()}
        mine = client.get("/v1/comments/mine", query_string={"article_url": ARTICLE_URL}, headers=header)
        assert [each["id"] for each in mine.get_json()["items"]] == [answer.get_json()["id"]]
        assert refused(client.get("/v1/comments/mine", headers=header)) == (422, "invalid", ["article_url"])

    def test_trust_and_bans_are_the_account_s(
        self, client: FlaskClient, session: Session, accounts: Site, form: dict[str, Any]
    ) -> None:
        def send(sub: str, body: str) -> TestResponse:
            account = {"account_token": self.sign(sub=sub, name="Ada"), "voter_token": None, "body": body}
            return client.post("/v1/comments", json=form | account)

        first = send("reader-7", "First.").get_json()
        decide_comment(session, standing_of(session, uuid.UUID(first["id"])))
        session.commit()
        assert [send(sub, "Second.").status_code for sub in ("reader-7", "reader-8")] == [201, 202]

        writer_key = comment_of(session, uuid.UUID(first["id"])).writer_key
        session.add(Ban(writer_key=writer_key, reason_code="spam", created_by=ACTOR, created_at=THEN))
        session.commit()
        assert [send(sub, "Third.").status_code for sub in ("reader-7", "reader-8")] == [403, 202]

    @pytest.mark.parametrize("name", [None, 7, "", "\u202e", "a\x00b", "x" * 101, "\ud800"], ids=ascii)
    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    def test_names_unfit_to_be_shown_are_typed(
        self, client: FlaskClient, session: Session, accounts: Site, form: dict[str, Any], name: object
    ) -> None:
        account = {"account_token": self.sign(name=name), "voter_token": None}

        answer = client.post("/v1/comments", json=form | account)
        nameless = client.post("/v1/comments", json=form | account | {"name": None})

        assert answer.status_code == 202
        assert comment_of(session, uuid.UUID(answer.get_json()["id"])).name == "Ada"
        assert refused(nameless) == (422, "invalid", ["name"])

    def test_token_of_another_login_is_refused(
        self, client: FlaskClient, accounts: Site, form: dict[str, Any]
    ) -> None:
        forged = jwt.encode(
            {"sub": "x", "exp": 9e9}, "another-key-of-thirty-two-letters-and-more", algorithm="HS256"
        )

        answer = client.post("/v1/comments", json=form | {"account_token": forged})

        assert refused(answer) == (422, "invalid", ["account_token"])


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
class TestLimitOfAccounts:
    """Two a minute, whoever sends how many tokens."""

    FORGERS_KEY = "another-key-of-thirty-two-letters-and-more"

    @pytest.fixture
    def client(self, make_app: Callable[..., Flask], session: Session) -> FlaskClient:
        make_site(session, login_key=LOGIN_KEY)
        session.commit()
        return make_app(limit_comments_per_voter="2/minute", limit_comments="6/minute").test_client()

    @pytest.fixture
    def send(self, client: FlaskClient, form: dict[str, Any]) -> Send:
        """Send a comment as an account does, each with a token of its own."""

        def send(number: int, sub: str = "reader-7", key: str = LOGIN_KEY, **options: Any) -> TestResponse:
            token = account_token(key=key, sub=sub, jti=str(number))
            body = {"account_token": token, "voter_token": None, "body": f"Word {number}."}
            return client.post("/v1/comments", json=form | body | options.pop("also", {}), **options)

        return send

    def test_is_of_the_account_and_not_of_its_token(self, send: Send) -> None:
        assert [send(number).status_code for number in range(3)] == [202, 202, 429]
        assert send(3, "reader-8").status_code == 202

    def test_is_the_same_however_a_token_is_spelled(self, send: Send) -> None:
        token = account_token(key=LOGIN_KEY, sub="reader-7")

        spelled = enumerate([token, token + "=", token])
        answers = [send(number, also={"account_token": each}) for number, each in spelled]

        assert [each.status_code for each in answers] == [202, 202, 429]

    def test_is_told(self, send: Send) -> None:
        answers = [send(number) for number in range(3)]

        policy = '"comments";q=6;w=60, "comments_per_voter";q=2;w=60'
        assert [each.headers["RateLimit-Policy"] for each in answers] == [policy] * 3
        assert '"comments_per_voter";r=1;t=' in answers[0].headers["RateLimit"]
        assert refused(answers[-1]) == (429, "rate_limited", [])
        assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60

    def test_is_not_another_beside_a_voter_token_or_header(self, send: Send, keys: Keys) -> None:
        others = [make_voter_token(keys, number=number) for number in (7, 8)]

        answers = [
            send(1, also={"voter_token": others[0]}),
            send(2, headers={"X-Voter-Token": others[1]}),
            send(3, headers={"X-Account-Token": account_token(key=LOGIN_KEY, sub="reader-9")}),
        ]

        assert [each.status_code for each in answers] == [202, 202, 429]

    def test_is_of_one_budget_with_edits_and_what_is_taken_back(
        self, client: FlaskClient, send: Send
    ) -> None:
        path = f"/v1/comments/{send(1).get_json()['id']}"
        headers = {"X-Account-Token": account_token(key=LOGIN_KEY, sub="reader-7")}

        edited = client.patch(path, json={"body": "Better said.", "version": 1}, headers=headers)
        withdrawn = client.delete(path, headers=headers | {"X-Voter-Token": "none"})

        assert [edited.status_code, withdrawn.status_code] == [202, 429]
        mine = client.get("/v1/comments/mine", query_string={"article_url": ARTICLE_URL}, headers=headers)
        assert [each["body"] for each in mine.get_json()["items"]] == ["Better said."]

    def test_is_not_used_up_by_forged_tokens_of_the_same_account(self, send: Send) -> None:
        forged = [send(number, key=self.FORGERS_KEY) for number in range(3)]

        assert [refused(each)[2] for each in forged] == [["account_token"]] * 3
        assert [send(number).status_code for number in range(2)] == [202, 202]

    def test_of_the_network_is_used_up_by_forged_tokens(self, send: Send) -> None:
        answers = [send(number, key=self.FORGERS_KEY).status_code for number in range(7)]

        assert answers == [422] * 6 + [429]
        assert send(7).status_code == 429
        assert send(8, environ_base={"REMOTE_ADDR": "198.51.100.7"}).status_code == 202

    @pytest.mark.parametrize(
        "token", ["", "a.b.c", "x" * 4_000, "x" * 4_001, "é.é.é"], ids=lambda each: each[:5]
    )
    def test_is_not_asked_for_what_is_no_token(self, send: Send, token: str) -> None:
        answers = [send(number, also={"account_token": token}) for number in range(3)]

        assert [refused(each) for each in answers] == [(422, "invalid", ["account_token"])] * 3


@pytest.mark.usefixtures("site")
class TestThread:
    def test_is_read_page_by_page_and_is_nobodys(
        self, client: FlaskClient, session: Session, keys: Keys
    ) -> None:
        made = [make_comment(session, keys=keys, number=number, is_approved=True) for number in range(3)]
        session.commit()

        first = thread(client, limit="2")
        second = thread(client, limit="2", cursor=first["next_cursor"])

        ids = [each["id"] for each in (*first["items"], *second["items"])]
        assert ids == [str(each.id) for each in reversed(made)]
        assert (first["total"], first["comments"], second["next_cursor"]) == (3, "open", None)
        answer = client.get("/v1/comments", query_string={"article_url": ARTICLE_URL})
        assert answer.headers["Cache-Control"].startswith("public")
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert client.get(
            "/v1/comments", query_string={"article_url": ARTICLE_URL}, headers={"If-None-Match": answer.headers["ETag"]}
        ).status_code == 304  # fmt: skip

    def test_link_to_a_comment_shows_what_it_hangs_below(
        self, client: FlaskClient, session: Session, keys: Keys
    ) -> None:
        top = make_comment(session, keys=keys, is_approved=True)
        reply = make_comment(session, keys=keys, number=2, parent=top, is_approved=True)
        held = make_comment(session, keys=keys, number=3)
        session.commit()

        answer = client.get(f"/v1/comments/{reply.id}")

        assert answer.get_json()["article_url"] == ARTICLE_URL
        assert [each["id"] for each in answer.get_json()["items"]] == [str(top.id), str(reply.id)]
        for unseen in (held.id, uuid.uuid4()):
            assert refused(client.get(f"/v1/comments/{unseen}"))[:2] == (404, "comment_not_found")

    def test_of_an_article_whose_comments_are_off_is_empty(
        self, client: FlaskClient, session: Session, keys: Keys
    ) -> None:
        made = make_comment(session, keys=keys, is_approved=True)
        make_article(session).comments = "off"
        session.commit()

        counts = client.get("/v1/comments/counts", query_string={"article_url": ARTICLE_URL})

        assert thread(client) == {
            "article_url": ARTICLE_URL,
            "items": [],
            "next_cursor": None,
            "comments": "off",
            "total": 0,
            "reply_depth": 4,
        }
        assert counts.get_json()["items"] == [{"article_url": ARTICLE_URL, "total": 0}]
        assert client.get(f"/v1/comments/{made.id}").status_code == 404

    def test_counts_of_many_articles_come_in_the_order_asked_for(
        self, client: FlaskClient, session: Session, keys: Keys
    ) -> None:
        make_comment(session, keys=keys, is_approved=True)
        session.commit()
        asked = [f"{ORIGIN}/other", f"{ARTICLE_URL}?utm_source=x"]

        answer = client.get("/v1/comments/counts", query_string=[("article_url", each) for each in asked])

        assert answer.get_json()["items"] == [
            {"article_url": each, "total": n} for each, n in zip(asked, (0, 1), strict=True)
        ]
        assert answer.headers["Cache-Control"].startswith("public")

    def test_counts_of_an_address_that_came_twice_come_twice(self, client: FlaskClient) -> None:
        asked = [ARTICLE_URL, f"{ORIGIN}/other", ARTICLE_URL, f"{ARTICLE_URL}#comments"]

        answer = client.get("/v1/comments/counts", query_string=[("article_url", each) for each in asked])

        assert answer.get_json()["items"] == [{"article_url": each, "total": 0} for each in asked]

    def test_counts_name_every_address_that_no_site_owns(self, client: FlaskClient) -> None:
        stranger = "https://elsewhere.example/ferry"
        asked = [ARTICLE_URL, stranger, f"{ORIGIN}/other", "http://elsewhere.example:81/", stranger]

        answer = client.get("/v1/comments/counts", query_string=[("article_url", each) for each in asked])

        assert refused(answer) == (422, "invalid", ["article_url.1", "article_url.3", "article_url.4"])
        sentences = [each["detail"] for each in answer.get_json()["errors"]]
        assert sentences[:2] == [
            "No site here owns elsewhere.example.",
            "No site here owns elsewhere.example:81.",
        ]

    @pytest.mark.parametrize(
        "wrong", ["", "ferry", f"{ORIGIN}/{'x' * 2_000}", "https://xn--a.example/"], ids=repr
    )
    def test_counts_name_what_is_no_address(self, client: FlaskClient, wrong: str) -> None:
        asked = [("article_url", each) for each in (ARTICLE_URL, wrong)]

        answer = client.get("/v1/comments/counts", query_string=asked)

        assert refused(answer) == (422, "invalid", ["article_url.1"])

    def test_counts_of_fifty_addresses_take_two_questions(self, app: Flask, client: FlaskClient) -> None:
        asked = [("article_url", f"{ORIGIN}/{number}") for number in range(50)]

        with app.app_context():
            engine = app.extensions["sqlalchemy"].engines["default"]
        with watching([engine]) as sent:
            answer = client.get("/v1/comments/counts", query_string=asked)

        assert len(answer.get_json()["items"]) == 50
        assert len(sent) == 2
        assert client.get("/v1/comments/counts", query_string=[*asked, asked[0]]).status_code == 422

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ({"order": "best"}, "order"),
            ({"cursor": "x"}, "cursor"),
            ({"parent_id": "x"}, "parent_id"),
            ({"limit": "0"}, "limit"),
            ({"article_url": "https://elsewhere.example/a"}, "article_url"),
            ({"sort": "x"}, "sort"),
        ],
    )
    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    def test_bad_questions_are_named(
        self, client: FlaskClient, session: Session, query: dict[str, str], field: str
    ) -> None:
        make_article(session)
        session.commit()

        answer = client.get("/v1/comments", query_string={"article_url": ARTICLE_URL, **query})

        assert refused(answer) == (422, "invalid", [field])


@pytest.mark.usefixtures("site")
class TestOwn:
    def test_writer_edits_reads_and_takes_back(
        self, client: FlaskClient, session: Session, form: dict[str, Any], token: str
    ) -> None:
        header = {"X-Voter-Token": token}
        path = f"/v1/comments/{client.post('/v1/comments', json=form).get_json()['id']}"

        edited = client.patch(path, json={"body": "Better said.", "version": 1}, headers=header)
        mine = client.get("/v1/comments/mine", headers=header)
        gone, again = (client.delete(path, headers=header) for _ in range(2))

        assert (edited.status_code, edited.get_json()["version"]) == (202, 2)
        [item] = mine.get_json()["items"]
        assert (item["body"], item["status"], item["reason"]["code"]) == ("Better said.", "held", "waiting")
        assert item["can_edit_until"] is not None
        assert mine.headers["Cache-Control"] == "private, no-store"
        assert gone.get_json() == again.get_json() == {"id": item["id"], "status": "removed", "version": 3}
        assert counted(session) == {"removed": 1}

    @pytest.mark.parametrize(
        ("signals", "score"),
        [
            ({}, 0),
            ({"website": "", "form_token": None}, 0),
            ({"website": "https://spam.example"}, 1),
            ({"form_token": "forged"}, 1),
            ({"form_token": 0}, 1),
            ({"form_token": 60}, 0),
            ({"form_token": 60, "website": "x"}, 1),
        ],
        ids=str,
    )
    def test_edit_is_marked_by_the_signals_of_its_form(
        self,
        client: FlaskClient,
        session: Session,
        keys: Keys,
        form: dict[str, Any],
        signals: dict[str, Any],
        *,
        score: float,
    ) -> None:
        for word in ("First.", "Second."):
            make_comment(session, keys=keys, body=word, is_approved=True)
        session.commit()
        sent = client.post("/v1/comments", json=form).get_json()
        age = signals.get("form_token")
        if isinstance(age, int):
            signals = signals | {
                "form_token": issue_form_token(keys, datetime.now(UTC) - timedelta(seconds=age))
            }

        edited = client.patch(
            f"/v1/comments/{sent['id']}",
            json={"body": "Better said.", "version": 1, **signals},
            headers={"X-Voter-Token": form["voter_token"]},
        )

        assert (sent["status"], edited.get_json()["version"]) == ("published", 2)
        assert (edited.status_code, edited.get_json()["status"]) == (
            (202, "held") if score else (200, "published")
        )
        verdicts = select(CommentVerdict.score).where(
            CommentVerdict.comment_id == uuid.UUID(sent["id"]), CommentVerdict.name == "form"
        )
        assert session.scalars(verdicts.order_by(CommentVerdict.revision)).all() == [0, score]

    @pytest.mark.parametrize("mode", ["closed", "off"])
    def test_are_not_offered_for_an_edit_that_the_article_refuses(
        self, client: FlaskClient, session: Session, form: dict[str, Any], mode: str
    ) -> None:
        header = {"X-Voter-Token": form["voter_token"]}
        path = f"/v1/comments/{client.post('/v1/comments', json=form).get_json()['id']}"
        make_article(session).comments = mode
        session.commit()

        mine = client.get("/v1/comments/mine", headers=header).get_json()["items"]
        edited = client.patch(path, json={"body": "Better said.", "version": 1}, headers=header)

        assert [each["can_edit_until"] for each in mine] == [None]
        assert refused(edited) == (409, f"comments_{mode}", [])

    def test_refusals(self, client: FlaskClient, session: Session, keys: Keys, form: dict[str, Any]) -> None:
        mine, other = (
            {"X-Voter-Token": form["voter_token"]},
            {"X-Voter-Token": make_voter_token(keys, number=2)},
        )
        path = f"/v1/comments/{client.post('/v1/comments', json=form).get_json()['id']}"
        old = make_comment(session, keys=keys, body="Long ago.")
        session.commit()
        edit = {"body": "Better said.", "version": 1}
        before = held_rows(session)

        answers = [
            (client.patch(path, json=edit), (401, "voter_token_missing", [])),
            (client.patch(path, json=edit, headers=other), (404, "comment_not_found", [])),
            (client.delete(path, headers=other), (404, "comment_not_found", [])),
            (client.delete(f"/v1/comments/{uuid.uuid4()}", headers=mine), (404, "comment_not_found", [])),
            (client.patch(path, json=edit | {"version": 7}, headers=mine), (409, "stale_version", [])),
            (client.patch(path, json=edit | {"body": "*"}, headers=mine), (422, "invalid", ["body"])),
            (client.patch(path, json=edit | {"version": True}, headers=mine), (422, "invalid", ["version"])),
            (client.patch(path, json=edit | {"website": 7}, headers=mine), (422, "invalid", ["website"])),
            (client.patch(f"/v1/comments/{old.id}", json=edit, headers=mine), (409, "edit_window_over", [])),
            (client.get("/v1/comments/mine"), (401, "voter_token_missing", [])),
            (client.get("/v1/comments/mine?cursor=x", headers=mine), (422, "invalid", ["cursor"])),
        ]

        assert [refused(answer) for answer, _ in answers] == [expected for _, expected in answers]
        assert answers[4][0].get_json()["current"] == {
            "status": "held",
            "version": 1,
            "decided_by": "policy:0",
        }
        assert held_rows(session) == before


@pytest.mark.usefixtures("site")
class TestReport:
    def test_is_taken_once_and_answered_alike(
        self, client: FlaskClient, session: Session, keys: Keys, token: str
    ) -> None:
        made = make_comment(session, keys=keys, number=2, is_approved=True)
        session.commit()
        report = {"reason": "abuse", "note": "Rude.", "voter_token": token}

        answers = [client.post(f"/v1/comments/{made.id}/reports", json=report) for _ in range(2)]

        assert [each.status_code for each in answers] == [202, 202]
        assert answers[0].get_json() == answers[1].get_json()
        assert comment_of(session, made.id).open_reports == 1
        assert counted(session) == {"published": 1}

    @pytest.mark.parametrize(
        "signals", [{"website": "x"}, {"form_token": ""}, {"form_token": "forged"}], ids=str
    )
    def test_signals_of_a_form_refuse_nothing(
        self, client: FlaskClient, session: Session, keys: Keys, token: str, signals: dict[str, str]
    ) -> None:
        made = make_comment(session, keys=keys, number=2, is_approved=True)
        session.commit()
        report = {"reason": "abuse", "voter_token": token, "website": "", **signals}

        answer = client.post(f"/v1/comments/{made.id}/reports", json=report)

        assert (answer.status_code, list(answer.get_json())) == (202, ["message"])
        assert comment_of(session, made.id).open_reports == 1

    def test_refusals(self, client: FlaskClient, session: Session, keys: Keys, token: str) -> None:
        shown = make_comment(session, keys=keys, number=2, is_approved=True)
        held = make_comment(session, keys=keys, number=3)
        session.commit()
        report = {"reason": "abuse", "voter_token": token}

        def send(comment_id: uuid.UUID, **changes: object) -> tuple[int, str, list[str]]:
            return refused(client.post(f"/v1/comments/{comment_id}/reports", json=report | changes))

        assert send(held.id) == (404, "comment_not_found", [])
        assert send(uuid.uuid4()) == (404, "comment_not_found", [])
        assert send(shown.id, reason="dislike") == (422, "invalid", ["reason"])
        assert send(shown.id, note="a\u202eb") == (422, "invalid", ["note"])
        assert send(shown.id, note="x" * 1_001) == (422, "invalid", ["note"])
        assert send(shown.id, form_token=7) == (422, "invalid", ["form_token"])
        assert send(shown.id, voter_token="x")[:2] == (401, "voter_token_invalid")
        assert comment_of(session, shown.id).open_reports == 0
