"""Polls, as the newsroom makes and ends them over HTTP."""

from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pollsvc.articles.models import Site
from pollsvc.keys import Keys
from pollsvc.polls.models import Ballot, Poll, TallySlot
from pollsvc.staff.models import AuditEntry
from tests.factories import (
    ARTICLE_URL,
    ORIGIN,
    cast,
    make_ballots,
    make_consent_text,
    make_poll,
)
from tests.polls.evidence import NOWHERE, polls_held
from tests.polls.http import SMALLEST, create, told
from tests.web.problems import fields_of, read_problem

OTHER_ORIGIN = "https://sports.example"


class TestCreatePoll:
    def test_smallest_poll_has_the_defaults_of_the_contract(
        self, staff_client: FlaskClient, site: Site, session: Session
    ) -> None:
        text = make_consent_text(session, site=site)
        session.commit()

        answer = told(create(staff_client), 201)

        embed_html, results = answer.pop("embed_html"), answer.pop("results")
        assert f'<pollsvc-poll poll="{answer["id"]}">' in embed_html
        assert "<form" in embed_html
        assert (results["total_voters"], [each["votes"] for each in results["choices"]]) == (0, [0, 0])
        made = session.scalars(select(Poll)).one()
        created_at = made.created_at.isoformat()
        assert answer == {
            "id": str(made.id),
            "question": "Shall we?",
            "kind": "single",
            "choices": [{"id": 1, "text": "Yes"}, {"id": 2, "text": "No"}],
            "status": "open",
            "opens_at": None,
            "closes_at": None,
            "results_visibility": "always",
            "allow_change": False,
            "max_choices": 1,
            "article_urls": [ARTICLE_URL],
            "consent_text": {
                "id": str(text.id),
                "body": text.body,
                "privacy_url": text.privacy_url,
                "terms_url": text.terms_url,
            },
            "version": 1,
            "site_id": str(site.id),
            "created_at": created_at,
            "updated_at": created_at,
            "closed_at": None,
            "withdrawn_at": None,
        }

    def test_everything_may_be_said(self, staff_client: FlaskClient, site: Site) -> None:
        sent = {
            "kind": "multiple",
            "choices": ["A", "B", "C"],
            "opens_at": "2026-03-02T10:00:00+02:00",
            "closes_at": "2099-03-02T10:00:00Z",
            "results_visibility": "after_close",
            "allow_change": True,
            "max_choices": 2,
            "article_urls": [f"{ORIGIN}/b", f"{ORIGIN}/a?utm_source=mail"],
            "consent_text_id": None,
        }

        answer = told(create(staff_client, **sent), 201)

        expected = sent | {
            "choices": [{"id": 1, "text": "A"}, {"id": 2, "text": "B"}, {"id": 3, "text": "C"}],
            "opens_at": "2026-03-02T08:00:00+00:00",
            "closes_at": "2099-03-02T10:00:00+00:00",
            "article_urls": [f"{ORIGIN}/b", f"{ORIGIN}/a"],
        }
        del expected["consent_text_id"]
        assert {name: answer[name] for name in expected} == expected
        assert (answer["consent_text"], answer["results"]) == (None, None)

    def test_multiple_choice_takes_all_by_default(self, staff_client: FlaskClient, site: Site) -> None:
        answer = told(create(staff_client, kind="multiple", choices=["A", "B", "C"]), 201)

        assert answer["max_choices"] == 3

    def test_answer_is_what_readers_read(self, staff_client: FlaskClient, site: Site) -> None:
        made = told(create(staff_client), 201)

        read = told(staff_client.get(f"/v1/polls/{made['id']}"))

        assert read == {name: made[name] for name in read}

    def test_answer_may_not_be_kept(self, staff_client: FlaskClient, site: Site) -> None:
        assert create(staff_client).headers["Cache-Control"] == "private, no-store"

    def test_actor_is_the_credential(self, staff_client: FlaskClient, site: Site, session: Session) -> None:
        poll = told(create(staff_client), 201)

        entries = select(AuditEntry.actor).where(AuditEntry.object_id == poll["id"])
        [actor] = session.scalars(entries)
        assert actor.startswith("token:")

    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            pytest.param({"article_urls": []}, "article_urls", id="no article"),
            pytest.param({"article_urls": ARTICLE_URL}, "article_urls", id="articles not in a list"),
            pytest.param({"article_urls": ["x"]}, "article_urls.0", id="no address"),
            pytest.param({"article_urls": ["ftp://news.example/"]}, "article_urls.0", id="another scheme"),
            pytest.param({"article_urls": [f"{OTHER_ORIGIN}/a"]}, "article_urls.0", id="host of no site"),
            pytest.param({"question": ""}, "question", id="empty question"),
            pytest.param({"question": "\u200b"}, "question", id="invisible question"),
            pytest.param({"question": None}, "question", id="null question"),
            pytest.param({"question": "x" * 501}, "question", id="question too long"),
            pytest.param({"question": "a\u202eb"}, "question", id="turned question"),
            pytest.param({"question": "a\nb"}, "question", id="question of two lines"),
            pytest.param({"choices": []}, "choices", id="no choices"),
            pytest.param({"choices": ["Yes"]}, "choices", id="one choice"),
            pytest.param({"choices": [str(n) for n in range(51)]}, "choices", id="51 choices"),
            pytest.param({"choices": ["Yes", ""]}, "choices.1", id="empty choice"),
            pytest.param({"choices": ["Yes", "x" * 201]}, "choices.1", id="choice too long"),
            pytest.param({"choices": ["Yes", "yes"]}, "choices.1", id="choice twice"),
            pytest.param({"choices": ["Yes", 5]}, "choices.1", id="choice that is a number"),
            pytest.param({"choices": ["Yes", None]}, "choices.1", id="null choice"),
            pytest.param({"choices": ["Yes", {"id": 1, "text": "No"}]}, "choices.1.id", id="id of no choice"),
            pytest.param(
                {"choices": ["Yes", {"id": "1", "text": "No"}]}, "choices.1", id="id that is a text"
            ),
            pytest.param({"choices": ["Yes", {"text": "No", "x": 1}]}, "choices.1", id="unknown in a choice"),
            pytest.param({"choices": ["Yes", {"id": 1}]}, "choices.1", id="choice without text"),
            pytest.param({"kind": "ranked"}, "kind", id="unknown kind"),
            pytest.param({"kind": None}, "kind", id="null kind"),
            pytest.param({"results_visibility": "later"}, "results_visibility", id="unknown visibility"),
            pytest.param({"allow_change": 1}, "allow_change", id="1 for true"),
            pytest.param({"allow_change": "true"}, "allow_change", id="a text for true"),
            pytest.param({"max_choices": 2}, "max_choices", id="single with two"),
            pytest.param({"kind": "multiple", "max_choices": 0}, "max_choices", id="none"),
            pytest.param({"kind": "multiple", "max_choices": 3}, "max_choices", id="more than there are"),
            pytest.param({"kind": "multiple", "max_choices": True}, "max_choices", id="true for 1"),
            pytest.param({"kind": "multiple", "max_choices": "1"}, "max_choices", id="a text for 1"),
            pytest.param({"kind": "multiple", "max_choices": 1.0}, "max_choices", id="a fraction for 1"),
            pytest.param({"opens_at": "2026-03-02"}, "opens_at", id="a day"),
            pytest.param({"opens_at": "2026-03-02T10:00:00"}, "opens_at", id="a time of no zone"),
            pytest.param({"closes_at": 1_772_000_000}, "closes_at", id="a number for a time"),
            pytest.param(
                {"opens_at": "2026-03-02T10:00:00Z", "closes_at": "2026-03-02T10:00:00+00:00"},
                "closes_at",
                id="ends as it begins",
            ),
            pytest.param({"consent_text_id": "x"}, "consent_text_id", id="no id"),
            pytest.param({"consent_text_id": str(NOWHERE)}, "consent_text_id", id="unknown text"),
            pytest.param({"status": "closed"}, "status", id="unknown field"),
            pytest.param({"results": {"total_voters": 9}}, "results", id="a count typed in"),
            pytest.param({"version": 1}, "version", id="version of what is new"),
        ],
    )
    def test_refusal_names_the_field_and_stores_nothing(
        self, staff_client: FlaskClient, site: Site, session: Session, changes: dict[str, Any], field: str
    ) -> None:
        response = create(staff_client, **changes)

        assert (response.status_code, read_problem(response)["code"]) == (422, "invalid")
        assert fields_of(response) == [field]
        assert polls_held(session) == {"polls": 0, "articles": 0, "audited": 0}

    @pytest.mark.parametrize("name", list(SMALLEST))
    def test_required_fields(self, staff_client: FlaskClient, site: Site, name: str) -> None:
        body = {key: value for key, value in SMALLEST.items() if key != name}

        response = staff_client.post("/v1/polls", json=body)

        assert (response.status_code, fields_of(response)) == (422, [name])

    def test_texts_are_composed_and_trimmed(self, staff_client: FlaskClient, site: Site) -> None:
        answer = told(create(staff_client, question=" Cafe\u0301? ", choices=["שלום", "👩‍👩‍👧"]), 201)

        assert answer["question"] == "Café?"
        assert [choice["text"] for choice in answer["choices"]] == ["שלום", "👩‍👩‍👧"]


class TestClosePoll:
    @pytest.mark.parametrize("body", [{}, None], ids=["an empty object", "no body"])
    def test_ends_the_vote(self, staff_client: FlaskClient, poll: Poll, body: object) -> None:
        answer = told(
            staff_client.post(f"/v1/polls/{poll.id}/close", json=body)
            if body is not None
            else staff_client.post(f"/v1/polls/{poll.id}/close")
        )

        assert (answer["status"], answer["version"]) == ("closed", 2)
        assert answer["closed_at"] is not None
        assert told(staff_client.get(f"/v1/polls/{poll.id}"))["status"] == "closed"

    def test_second_time_changes_nothing(self, staff_client: FlaskClient, poll: Poll) -> None:
        first = told(staff_client.post(f"/v1/polls/{poll.id}/close"))

        assert told(staff_client.post(f"/v1/polls/{poll.id}/close")) == first


class TestWithdrawPoll:
    def test_takes_it_off_every_page_and_keeps_its_ballots(
        self, staff_client: FlaskClient, poll: Poll, session: Session, keys: Keys
    ) -> None:
        cast(session, keys=keys, poll=poll, choices=[1])
        session.commit()

        answer = told(staff_client.post(f"/v1/polls/{poll.id}/withdraw"))

        assert answer["withdrawn_at"] is not None
        assert staff_client.get(f"/v1/polls/{poll.id}").status_code == 410
        assert told(staff_client.get(f"/v1/polls/{poll.id}/tally"))["total_voters"] == 1
        [listed] = told(staff_client.get("/v1/polls"))["items"]
        assert (listed["id"], listed["withdrawn_at"]) == (str(poll.id), answer["withdrawn_at"])
        assert session.scalars(select(func.count()).select_from(Ballot)).one() == 1


class TestShowTally:
    @pytest.mark.parametrize("visibility", ["always", "after_vote", "after_close", "never"])
    def test_is_shown_whatever_readers_may_see(
        self, staff_client: FlaskClient, site: Site, session: Session, keys: Keys, visibility: str
    ) -> None:
        poll = make_poll(session, results_visibility=visibility)
        make_ballots(session, keys=keys, poll=poll, counts=[3, 1])
        session.commit()

        answer = told(staff_client.get(f"/v1/polls/{poll.id}/tally"))

        assert answer.keys() == {"poll_id", "total_voters", "choices", "as_of"}
        assert [(c["votes"], c["percent"]) for c in answer["choices"]] == [(3, 75), (1, 25)]


class TestRecountPoll:
    def test_repairs_and_tells(
        self, staff_client: FlaskClient, poll: Poll, session: Session, keys: Keys
    ) -> None:
        cast(session, keys=keys, poll=poll, choices=[1])
        session.add(TallySlot(poll_id=poll.id, choice_id=2, slot=99, n=5, voters=4))
        session.commit()

        answer = told(staff_client.post(f"/v1/polls/{poll.id}/recount"))

        assert answer["differences"] == [{"choice_id": 2, "votes": 5, "voters": 4}]
        assert [choice["votes"] for choice in answer["choices"]] == [1, 0]
        assert told(staff_client.post(f"/v1/polls/{poll.id}/recount"))["differences"] == []
