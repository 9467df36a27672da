"""What readers read: a poll, its results, the polls of an article."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from pollsvc.articles.models import Site
from pollsvc.keys import Keys
from pollsvc.polls.models import Poll
from tests.conftest import NOW
from tests.factories import (
    ARTICLE_URL,
    ORIGIN,
    cast,
    make_consent_text,
    make_poll,
    make_voter_token,
)
from tests.polls.acts import withdraw
from tests.polls.evidence import NOWHERE
from tests.polls.http import refusal, statements_sent, told
from tests.web.problems import fields_of

PUBLIC = "public, max-age=0, s-maxage=2, stale-while-revalidate=2"
PRIVATE = "private, no-store"

EVERYBODY = ["nobody", "a stranger", "a voter"]
NUMBERS = {"a voter": 1, "a stranger": 2}


def committed_poll(session: Session, **changes: Any) -> Poll:
    poll = make_poll(session, **changes)
    session.commit()
    return poll


class TestShowPoll:
    def test_tells_everything_of_the_contract_and_nothing_else(
        self, client: FlaskClient, site: Site, session: Session, keys: Keys
    ) -> None:
        text = make_consent_text(session, site=site)
        poll = make_poll(
            session,
            kind="multiple",
            choices=["A", "B", "C"],
            max_choices=2,
            opens_at=NOW,
            closes_at=datetime(2099, 1, 1, tzinfo=UTC),
            allow_change=True,
            consent_text_id=text.id,
        )
        cast(session, keys=keys, poll=poll, choices=[1, 2], now=NOW)
        session.commit()

        assert told(client.get(f"/v1/polls/{poll.id}")) == {
            "id": str(poll.id),
            "question": "Should the ferry run at night?",
            "kind": "multiple",
            "choices": [{"id": 1, "text": "A"}, {"id": 2, "text": "B"}, {"id": 3, "text": "C"}],
            "status": "open",
            "opens_at": "2026-03-02T09:30:00+00:00",
            "closes_at": "2099-01-01T00:00:00+00:00",
            "results_visibility": "always",
            "allow_change": True,
            "max_choices": 2,
            "article_urls": [ARTICLE_URL],
            "consent_text": {
                "id": str(text.id),
                "body": text.body,
                "privacy_url": f"{ORIGIN}/privacy",
                "terms_url": f"{ORIGIN}/terms",
            },
            "results": {
                "poll_id": str(poll.id),
                "total_voters": 1,
                "choices": [
                    {"id": 1, "text": "A", "votes": 1, "percent": 100},
                    {"id": 2, "text": "B", "votes": 1, "percent": 100},
                    {"id": 3, "text": "C", "votes": 0, "percent": 0},
                ],
                "as_of": "2026-03-02T09:30:00+00:00",
            },
        }

    @pytest.mark.parametrize(
        ("times", "status"),
        [
            ({"opens_at": datetime(2099, 1, 1, tzinfo=UTC)}, "scheduled"),
            ({}, "open"),
            ({"closes_at": NOW}, "closed"),
        ],
        ids=["scheduled", "open", "closed"],
    )
    def test_status(
        self, client: FlaskClient, site: Site, session: Session, times: dict[str, Any], status: str
    ) -> None:
        poll = committed_poll(session, **times)

        assert told(client.get(f"/v1/polls/{poll.id}"))["status"] == status

    @pytest.mark.parametrize("visibility", ["after_vote", "after_close", "never"])
    def test_hidden_results_are_null(
        self, client: FlaskClient, site: Site, session: Session, visibility: str
    ) -> None:
        poll = committed_poll(session, results_visibility=visibility)

        assert told(client.get(f"/v1/polls/{poll.id}"))["results"] is None

    def test_withdrawn_is_gone(self, client: FlaskClient, poll: Poll, session: Session) -> None:
        withdraw(session, poll)
        session.commit()

        assert refusal(client.get(f"/v1/polls/{poll.id}")) == (410, "poll_withdrawn")

    @pytest.mark.parametrize(
        ("poll_id", "code"), [(str(NOWHERE), "poll_not_found"), ("1", "not_found")], ids=["unknown", "no id"]
    )
    def test_unknown_is_not_found(self, client: FlaskClient, poll_id: str, code: str) -> None:
        assert refusal(client.get(f"/v1/polls/{poll_id}")) == (404, code)


class TestShowResults:
    def test_are_those_of_the_poll(
        self, client: FlaskClient, poll: Poll, session: Session, keys: Keys
    ) -> None:
        cast(session, keys=keys, poll=poll, choices=[1], now=NOW)
        session.commit()

        assert told(client.get(f"/v1/polls/{poll.id}/results")) == {
            "poll_id": str(poll.id),
            "total_voters": 1,
            "choices": [
                {"id": 1, "text": "Yes", "votes": 1, "percent": 100},
                {"id": 2, "text": "No", "votes": 0, "percent": 0},
            ],
            "as_of": "2026-03-02T09:30:00+00:00",
        }

    @pytest.mark.usefixtures("site")
    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    @pytest.mark.parametrize("who", EVERYBODY)
    @pytest.mark.parametrize(
        "case",
        [
            ("always", "open", EVERYBODY),
            ("always", "closed", EVERYBODY),
            ("after_vote", "open", ["a voter"]),
            ("after_vote", "closed", ["a voter"]),
            ("after_close", "open", []),
            ("after_close", "closed", EVERYBODY),
            ("never", "open", []),
            ("never", "closed", []),
        ],
        ids=lambda case: f"{case[0]}, {case[1]}",
    )
    def test_are_shown_to_whom_they_are_for(
        self, client: FlaskClient, session: Session, keys: Keys, who: str, case: tuple[str, str, list[str]]
    ) -> None:
        visibility, status, shown_to = case
        made = make_poll(
            session, results_visibility=visibility, closes_at=NOW if status == "closed" else None
        )
        cast(session, keys=keys, poll=made, choices=[1], number=1)
        session.commit()
        headers = {} if who == "nobody" else {"X-Voter-Token": make_voter_token(keys, number=NUMBERS[who])}

        response = client.get(f"/v1/polls/{made.id}/results", headers=headers)

        if who in shown_to:
            assert told(response)["total_voters"] == 1
        else:
            assert refusal(response) == (403, "results_hidden")
        is_public = who == "nobody" and who in shown_to
        assert response.headers["Cache-Control"] == (PUBLIC if is_public else PRIVATE)

    @pytest.mark.usefixtures("site")
    @pytest.mark.parametrize(
        ("age", "code"), [(401, "voter_token_expired"), (0, "voter_token_invalid")], ids=["expired", "forged"]
    )
    def test_bad_token_is_told_where_it_matters(
        self, client: FlaskClient, session: Session, keys: Keys, age: int, code: str
    ) -> None:
        poll = committed_poll(session, results_visibility="after_vote")
        token = make_voter_token(keys, now=datetime.now(UTC) - timedelta(days=age))
        headers = {"X-Voter-Token": token if age else f"{token}x"}

        response = client.get(f"/v1/polls/{poll.id}/results", headers=headers)

        assert refusal(response) == (401, code)

    def test_withdrawn_is_gone(self, client: FlaskClient, poll: Poll, session: Session) -> None:
        withdraw(session, poll)
        session.commit()

        assert refusal(client.get(f"/v1/polls/{poll.id}/results")) == (410, "poll_withdrawn")

    def test_unknown_is_not_found(self, client: FlaskClient) -> None:
        assert refusal(client.get(f"/v1/polls/{NOWHERE}/results")) == (404, "poll_not_found")


class TestListArticlePolls:
    def test_are_the_polls_of_the_article(self, client: FlaskClient, poll: Poll, session: Session) -> None:
        second = committed_poll(session)
        committed_poll(session, article_urls=[f"{ORIGIN}/other"])

        answer = told(
            client.get("/v1/articles/polls", query_string={"article_url": f"{ARTICLE_URL}?utm_id=1"})
        )

        assert answer.keys() == {"items"}
        assert [item["id"] for item in answer["items"]] == [str(poll.id), str(second.id)]
        assert answer["items"][0] == told(client.get(f"/v1/polls/{poll.id}"))

    def test_withdrawn_is_left_out(self, client: FlaskClient, poll: Poll, session: Session) -> None:
        withdraw(session, poll)
        session.commit()

        answer = told(client.get("/v1/articles/polls", query_string={"article_url": ARTICLE_URL}))

        assert answer == {"items": []}

    def test_unknown_article_has_none(self, client: FlaskClient, site: Site) -> None:
        answer = told(client.get("/v1/articles/polls", query_string={"article_url": f"{ORIGIN}/unknown"}))

        assert answer == {"items": []}

    @pytest.mark.parametrize(
        ("query", "fields"),
        [
            pytest.param({}, ["article_url"], id="no address"),
            pytest.param({"article_url": ""}, ["article_url"], id="an empty one"),
            pytest.param({"article_url": "javascript:alert(1)"}, ["article_url"], id="another scheme"),
            pytest.param({"article_url": "https://elsewhere.example/a"}, ["article_url"], id="no site's"),
            pytest.param({"article_url": ARTICLE_URL, "url": "x"}, ["url"], id="unknown parameter"),
        ],
    )
    def test_refusals(
        self, client: FlaskClient, site: Site, query: dict[str, str], fields: list[str]
    ) -> None:
        response = client.get("/v1/articles/polls", query_string=query)

        assert (response.status_code, fields_of(response)) == (422, fields)

    def test_takes_as_many_statements_for_many_polls_as_for_two(
        self, client: FlaskClient, site: Site, session: Session
    ) -> None:
        def statements() -> int:
            with statements_sent() as sent:
                told(client.get("/v1/articles/polls", query_string={"article_url": ARTICLE_URL}))
            return len(sent)

        for number in range(2):
            committed_poll(session, article_urls=[ARTICLE_URL, f"{ORIGIN}/{number}"], has_site_text=True)
        few = statements()
        for number in range(2, 8):
            committed_poll(session, article_urls=[ARTICLE_URL, f"{ORIGIN}/{number}"], has_site_text=True)

        assert statements() == few
