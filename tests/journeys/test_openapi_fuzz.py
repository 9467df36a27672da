"""Every call of `/openapi.json`, with input made from its schemas, right and wrong, is answered as is documented there.

Schemathesis makes the input. Ids, addresses and tokens that exist are put into a part of it, because nobody guesses those.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import Case
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.core.parameters import ParameterLocation
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from sqlalchemy.orm import Session

from pollsvc.comments.policy_models import Ban, HttpCheck, WordList
from pollsvc.keys import Keys
from pollsvc.staff.service import create_token
from tests import factories
from tests.consent.subscribers import make_consent
from tests.factories import ARTICLE_URL, ORIGIN, THEN, make_comment, make_voter_token
from tests.outbox.endpoints import make_endpoint
from tests.outbox.messages import make_mail

EXAMPLES = 10  # of each call, right and wrong
AS_DOCUMENTED = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
LIMITS = (
    *("staff", "voters", "votes", "votes_per_voter", "consents", "corrections"),
    *("comments", "comments_per_voter"),
)

#: Whose bodies are files, of which nobody makes a right one by chance.
FILES = {"POST /v1/consents/import"}

#: What exists: by operation ("" for every one), then by the name of a field or parameter.
Known = Mapping[str, Mapping[str, Any]]


@pytest.fixture
def application(make_app: Callable[..., Flask]) -> Flask:
    """An application whose limits are out of reach: thousands of calls come from one network."""
    return make_app(**{f"limit_{name}": "1000000/second" for name in LIMITS})


@pytest.fixture
def credentials(session: Session) -> dict[str, str]:
    """An administrator's."""
    secret = factories.make_token(session)
    session.commit()
    return {"Authorization": f"Bearer {secret}"}


@pytest.fixture
def known(session: Session, keys: Keys) -> Known:
    """One of everything; what ends or edits a poll has one of its own."""
    site = factories.make_site(session)
    text = factories.make_consent_text(session, site=site)
    polls = [str(factories.make_poll(session).id) for _ in range(4)]
    correction = factories.make_correction(session, keys=keys)
    webhooks = [str(make_endpoint(session, "https://hooks.example/").id) for _ in range(3)]
    consent = make_consent(session, keys, text, THEN)
    token, _ = create_token(session, name="old", scopes=["admin"], actor="test", now=THEN)
    message = make_mail(session, state={"state": "dead"})
    at_hand = datetime.now(UTC)
    shown, edited, withdrawn, decided = (
        make_comment(
            session, keys=keys, number=1, is_approved=number == 0, body=f"Let it ring {number}.", now=at_hand
        )
        for number in range(4)
    )
    ban = Ban(
        comment_id=shown.id, writer_key=bytes(32), reason_code="spam", created_by="test", created_at=THEN
    )
    checks = [
        HttpCheck(
            name=f"tone-{number}",
            url="https://checks.example/",
            secret="whsec_bm90aGluZw==",
            timeout=5,
            is_active=False,
            version=1,
            created_at=THEN,
        )
        for number in range(3)
    ]
    words = WordList(
        kind="banned",
        language="en",
        version=1,
        words=["bell"],
        exceptions=[],
        updated_at=THEN,
        updated_by="test",
    )
    session.add_all([ban, words, *checks])
    session.commit()
    anywhere = {
        "poll_id": polls[0],
        "site_id": str(site.id),
        "correction_id": str(correction.id),
        "token_id": str(token.id),
        "webhook_id": webhooks[0],
        "message_id": message.id,
        "comment_id": str(shown.id),
        "ban_id": str(ban.id),
        "check_id": str(checks[0].id),
        "kind": "banned",
        "language": "en",
        "parent_id": None,
        "account_token": None,
        "X-Account-Token": None,
        "reason_code": None,
        "name": "Ada",
        "body": "Let it ring at night as well.",
        "url": "https://hooks.example/",
        "text_id": str(text.id),
        "consent_id": str(consent.id),
        "consent_text_id": str(text.id),
        "voter_token": make_voter_token(keys),
        "X-Voter-Token": make_voter_token(keys),
        "article_url": ARTICLE_URL,
        "article_urls": [ARTICLE_URL],
        "question": "Should the bell stay?",
        "email": "ada@reader.example",
        "message": "The ferry has two decks, not three.",
        "quote": None,
        "origins": [ORIGIN],
        "cursor": "",
        "version": 1,
    }
    new_poll = {"choices": ["Yes", "No"], "opens_at": None, "max_choices": None}
    return {
        "": anywhere,
        "POST /v1/polls": new_poll,
        "PATCH /v1/polls/{poll_id}": {"poll_id": polls[1], **new_poll},
        "POST /v1/polls/{poll_id}/close": {"poll_id": polls[2]},
        "POST /v1/polls/{poll_id}/withdraw": {"poll_id": polls[3]},
        "POST /v1/polls/{poll_id}/votes": {"choices": [1]},
        "PATCH /v1/webhooks/{webhook_id}": {"webhook_id": webhooks[1]},
        "DELETE /v1/webhooks/{webhook_id}": {"webhook_id": webhooks[2]},
        "POST /v1/consent-texts": {
            "body": f"Send me the newsletter of {site.name}. I may unsubscribe at any time.",
            **dict.fromkeys(("controller", "withdrawal", "mode")),
            **dict.fromkeys(("default_checked", "is_required"), False),
        },
        "POST /v1/sites": {"origins": ["https://another.example"]},
        "PATCH /v1/comments/{comment_id}": {"comment_id": str(edited.id)},
        "DELETE /v1/comments/{comment_id}": {"comment_id": str(withdrawn.id)},
        "POST /v1/moderation/comments/{comment_id}/decisions": {"comment_id": str(decided.id)},
        "POST /v1/moderation/bans": {"reason_code": "spam", "ends_at": None},
        "POST /v1/moderation/checks": {"name": "tone-9"},
        "PUT /v1/moderation/lists/{kind}/{language}": {"words": ["bell", "rope"], "exceptions": []},
        "PATCH /v1/moderation/checks/{check_id}": {"check_id": str(checks[1].id)},
        "DELETE /v1/moderation/checks/{check_id}": {"check_id": str(checks[2].id)},
        "GET /v1/moderation/policies/{version}": {"version": 0},
        "POST /v1/moderation/policies/{version}/simulate": {"version": 0},
        "POST /v1/moderation/policies/{version}/activate": {"version": 0, "replaces": None},
    }


@pytest.mark.slow
class TestEveryCall:
    def test_right_input_is_answered_as_documented(
        self, application: Flask, credentials: dict[str, str], known: Known
    ) -> None:
        statuses: dict[str, set[int]] = defaultdict(set)

        def call(case: Case[Any], has_known: bool) -> None:
            if has_known:
                put_known(case, known)
            response = case.call_and_validate(headers=credentials, checks=AS_DOCUMENTED)
            statuses[case.operation.label].add(response.status_code)

        for cases in calls_of(application, GenerationMode.POSITIVE):
            examples(cases, call)

        # Otherwise what is known here has grown old, and only refusals were looked at.
        assert {label for label, seen in statuses.items() if min(seen) >= 300} <= FILES

    # What is refused by its shape never reaches a database.
    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    def test_wrong_input_is_refused_as_documented(
        self, application: Flask, credentials: dict[str, str], known: Known
    ) -> None:
        accepted: list[str] = []

        def call(case: Case[Any], has_known: bool) -> None:
            if is_sound(case, ParameterLocation.PATH) and has_known:
                put_known(case, known, only=ParameterLocation.PATH)
            response = case.call_and_validate(headers=credentials, checks=AS_DOCUMENTED)
            if not is_sound(case, ParameterLocation.BODY) and response.status_code < 400:
                accepted.append(f"{case.operation.label} {case.body!r}")

        for cases in calls_of(application, GenerationMode.NEGATIVE):
            examples(cases, call)

        assert accepted == []


def calls_of(application: Flask, mode: GenerationMode) -> Iterator[st.SearchStrategy[Case[Any]]]:
    """Give every call of the description, with the input to make for it."""
    described = schemathesis.openapi.from_wsgi("/openapi.json", application)
    for found in described.get_all_operations():
        assert isinstance(found, Ok)
        yield found.ok().as_strategy(generation_mode=mode)


def examples(cases: st.SearchStrategy[Case[Any]], call: Callable[[Case[Any], bool], None]) -> None:
    """Make calls, the same ones in every run."""
    repeatable = settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    with suppress(Unsatisfiable):  # a call without input cannot be made wrongly
        repeatable(given(cases, st.integers(0, 3).map(bool))(call))()


def is_sound(case: Case[Any], location: ParameterLocation) -> bool:
    """Say whether this part of the input was made to fit its schema, or there is none."""
    assert case.meta is not None
    component = case.meta.components.get(location)
    return component is None or component.mode.is_positive


def put_known(case: Case[Any], known: Known, only: ParameterLocation | None = None) -> None:
    """Put what exists in the place of what was made up."""
    values = {**known[""], **known.get(case.operation.label, {})}
    parts = {
        ParameterLocation.PATH: case.path_parameters,
        ParameterLocation.QUERY: case.query,
        ParameterLocation.HEADER: case.headers,
        ParameterLocation.BODY: case.body,
    }
    for location, part in parts.items():
        if only in (None, location) and isinstance(part, MutableMapping):
            found = {name: values[name] for name in part if name in values}
            part.update(found)
            for name in [
                name for name in found if location == ParameterLocation.HEADER and found[name] is None
            ]:
                del part[name]
