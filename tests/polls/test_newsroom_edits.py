"""PATCH /v1/polls/{id}"""

from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from pollsvc.articles.models import Site
from pollsvc.keys import Keys
from pollsvc.polls.models import Poll
from tests.factories import (
    cast,
    make_site,
)
from tests.polls.evidence import polls_held
from tests.polls.http import create, patch, refusal, told
from tests.web.problems import fields_of, read_problem

OTHER_ORIGIN = "https://sports.example"


class TestEditPoll:
    def test_what_is_left_out_stays(self, staff_client: FlaskClient, site: Site) -> None:
        before = told(create(staff_client, kind="multiple", max_choices=1), 201)

        after = told(staff_client.patch(f"/v1/polls/{before['id']}", json={"allow_change": True}))

        assert after.keys() == before.keys()
        changed = {name for name in before if before[name] != after[name]}
        assert changed == {"allow_change", "version", "updated_at"}
        assert (after["allow_change"], after["version"]) == (True, 2)

    def test_null_takes_away(self, staff_client: FlaskClient, site: Site) -> None:
        made = told(
            create(staff_client, kind="multiple", max_choices=1, closes_at="2099-01-01T00:00:00Z"), 201
        )
        nulls = dict.fromkeys(("opens_at", "closes_at", "max_choices", "consent_text_id"))

        answer = told(staff_client.patch(f"/v1/polls/{made['id']}", json=nulls))

        assert (answer["closes_at"], answer["max_choices"], answer["consent_text"]) == (None, 2, None)

    def test_choices_by_id_and_by_text(self, staff_client: FlaskClient, poll: Poll) -> None:
        answer = told(patch(staff_client, poll, choices=[{"id": 2, "text": "Nay"}, "Yes", "Perhaps"]))

        assert answer["choices"] == [
            {"id": 2, "text": "Nay"},
            {"id": 1, "text": "Yes"},
            {"id": 3, "text": "Perhaps"},
        ]

    def test_new_wording_after_the_first_ballot_keeps_the_votes(
        self, staff_client: FlaskClient, poll: Poll, session: Session, keys: Keys
    ) -> None:
        cast(session, keys=keys, poll=poll, choices=[1])
        session.commit()

        answer = told(patch(staff_client, poll, choices=["Aye", "No"]))

        shown = [(choice["text"], choice["votes"]) for choice in answer["results"]["choices"]]
        assert shown == [("Aye", 1), ("No", 0)]

    @pytest.mark.parametrize(
        ("changes", "code"),
        [
            pytest.param({"choices": ["Yes", "No", "Perhaps"]}, "choices_fixed", id="added"),
            pytest.param({"choices": ["No", "Yes"]}, "choices_fixed", id="reordered"),
            pytest.param({"kind": "multiple"}, "ballots_in", id="kind"),
        ],
    )
    def test_after_the_first_ballot_its_meaning_stays(
        self, staff_client: FlaskClient, ballots_in: Poll, changes: dict[str, Any], code: str
    ) -> None:
        assert refusal(patch(staff_client, ballots_in, **changes)) == (409, code)

    @pytest.fixture
    def ballots_in(self, session: Session, keys: Keys, poll: Poll) -> Poll:
        cast(session, keys=keys, poll=poll, choices=[1])
        session.commit()
        return poll

    def test_stale_version_is_told_the_current_one(self, staff_client: FlaskClient, poll: Poll) -> None:
        told(patch(staff_client, poll, question="Really?", version=1))

        response = patch(staff_client, poll, question="Really not?", version=1)

        assert refusal(response) == (409, "stale_version")
        assert read_problem(response)["current"] == {"version": 2}

    @pytest.mark.parametrize("version", [0, "1", True, 1.0])
    def test_version_of_a_wrong_type(self, staff_client: FlaskClient, poll: Poll, version: object) -> None:
        response = patch(staff_client, poll, version=version)

        assert (response.status_code, fields_of(response)) == (422, ["version"])

    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            pytest.param({"question": None}, "question", id="null question"),
            pytest.param({"choices": None}, "choices", id="null choices"),
            pytest.param({"choices": ["Yes"]}, "choices", id="one choice"),
            pytest.param({"article_urls": []}, "article_urls", id="no article"),
            pytest.param({"article_urls": [f"{OTHER_ORIGIN}/a"]}, "article_urls.0", id="another site"),
            pytest.param({"allow_change": None}, "allow_change", id="null allow_change"),
            pytest.param({"max_choices": 2}, "max_choices", id="single with two"),
            pytest.param({"closed_at": None}, "closed_at", id="opening it again"),
            pytest.param({"status": "open"}, "status", id="status"),
            pytest.param({"results": None}, "results", id="results"),
        ],
    )
    def test_refusal_names_the_field_and_changes_nothing(
        self, staff_client: FlaskClient, poll: Poll, session: Session, changes: dict[str, Any], field: str
    ) -> None:
        make_site(session, name="Sports", origins=[OTHER_ORIGIN])
        session.commit()

        response = patch(staff_client, poll, **changes)

        assert (response.status_code, fields_of(response)) == (422, [field])
        assert polls_held(session) == {"polls": 1, "articles": 1, "audited": 1}
        assert told(patch(staff_client, poll))["version"] == 1
