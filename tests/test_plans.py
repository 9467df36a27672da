"""Each call on long tables reads by an index what it answers with, and walks no table that grows.

Asked of the database for the statements that the call really sent. A list may walk its own table from the newest row on, because
it stops at the page's end; nothing else may, and never past rows that it throws away.
"""

import dataclasses
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from pollsvc.app import create_app
from pollsvc.config import Settings
from pollsvc.keys import Keys
from pollsvc.privacy.retention import all_clocks
from tests.bench.filling import HOT_ARTICLE
from tests.conftest import ENVIRON, close, reset_limits
from tests.databases import SuiteDatabase, migrate
from tests.factories import ORIGIN, THEN, make_voter_token
from tests.long_tables import EMAIL, Known, lengthen
from tests.plans import explain, growing, watching


@dataclass(frozen=True)
class House:
    """The application on long tables."""

    app: Flask
    engines: list[sa.Engine]
    known: Known
    keys: Keys


@dataclass(frozen=True)
class Call:
    """A call and how its tables may be read.

    :param path: with names of `Known` in braces.
    :param walked: the table whose rows are listed, newest first.
    :param summed: the table of counts that are added up, all of them: a few for each article.
    :param by: indexes of which one must be used; those of keys and constraints have no name on SQLite.
    :param page: 2 for the page behind the first one's cursor.
    """

    method: str
    path: str
    status: int = 200
    body: dict[str, Any] | None = None
    walked: str | None = None
    summed: str | None = None
    by: tuple[str, ...] = ()
    page: int = 1
    is_voter: bool = False


CORRECTION = {
    "article_url": f"{ORIGIN}/growth/9",
    "name": "Ada",
    "email": "a@reader.example",
    "message": "No.",
}
COMMENT = {
    "article_url": HOT_ARTICLE,
    "name": "Ada",
    "email": EMAIL,
    "body": "The ferry should run at night, and the bell should ring for it.",
}
CALLS = {
    # Readers.
    "polls of an article": Call(
        "GET", f"/v1/articles/polls?article_url={HOT_ARTICLE}", by=("ix_poll_article_article_id",)
    ),
    "a poll": Call("GET", "/v1/polls/{hot_poll}"),
    "results": Call("GET", "/v1/polls/{hot_poll}/results"),
    "a poll's page": Call("GET", "/embed/polls/{hot_poll}"),
    "results for those who voted": Call("GET", "/v1/polls/{secret_poll}/results", 403, is_voter=True),
    "a vote": Call("POST", "/v1/polls/{new_poll}/votes", 201, {"choices": [1]}, is_voter=True),
    "a sign-up": Call(
        "POST",
        "/v1/consents",
        202,
        {"email": EMAIL, "accepted": True, "article_url": HOT_ARTICLE, "text_id": "{text}"},
    ),
    "a correction": Call("POST", "/v1/corrections", 201, CORRECTION),
    "a thread": Call("GET", f"/v1/comments?article_url={HOT_ARTICLE}", by=("ix_comment_thread",)),
    "a thread, next page": Call(
        "GET", f"/v1/comments?article_url={HOT_ARTICLE}", by=("ix_comment_thread",), page=2
    ),
    "a thread, oldest first": Call(
        "GET", f"/v1/comments?order=oldest&article_url={HOT_ARTICLE}", by=("ix_comment_thread",), page=2
    ),
    "a thread, most replied first": Call(
        "GET", f"/v1/comments?order=most_replied&article_url={HOT_ARTICLE}", by=("ix_comment_discussed",)
    ),
    "a thread, most replied first, next page": Call(
        "GET",
        f"/v1/comments?order=most_replied&article_url={HOT_ARTICLE}",
        by=("ix_comment_discussed",),
        page=2,
    ),
    "replies": Call(
        "GET",
        f"/v1/comments?parent_id={{comment}}&article_url={HOT_ARTICLE}",
        by=("ix_comment_thread",),
        page=2,
    ),
    "a comment": Call("GET", "/v1/comments/{comment}"),
    "counts of comments": Call(
        "GET", f"/v1/comments/counts?article_url={HOT_ARTICLE}&article_url={ORIGIN}/growth/9"
    ),
    "own comments": Call("GET", "/v1/comments/mine", by=("ix_comment_writer_key_id",), is_voter=True),
    "own comments on an article": Call(
        "GET",
        f"/v1/comments/mine?article_url={HOT_ARTICLE}",
        by=("ix_comment_writer_key_article_id_id",),
        is_voter=True,
    ),
    "a comment sent": Call("POST", "/v1/comments", 202, COMMENT, is_voter=True),
    "a reply sent": Call("POST", "/v1/comments", 202, {**COMMENT, "parent_id": "{comment}"}, is_voter=True),
    "a comment reported": Call(
        "POST", "/v1/comments/{comment}/reports", 202, {"reason": "spam"}, is_voter=True
    ),
    # The newsroom.
    "queue": Call("GET", "/v1/moderation/queue", summed="comment_count", by=("ix_comment_status_id",)),
    "queue, newest first, next page": Call(
        "GET",
        "/v1/moderation/queue?order=newest&limit=2",
        summed="comment_count",
        by=("ix_comment_status_id",),
        page=2,
    ),
    "queue of an article": Call(
        "GET",
        f"/v1/moderation/queue?article_url={HOT_ARTICLE}",
        by=("ix_comment_article_id_status_id", "ix_comment_status_id"),
    ),
    "queue of what is reported": Call(
        "GET",
        "/v1/moderation/queue?state=reported",
        walked="comment",
        summed="comment_count",
        by=("ix_comment_reported",),
    ),
    "queue of what was rejected": Call(
        "GET",
        "/v1/moderation/queue?state=rejected&limit=2",
        summed="comment_count",
        by=("ix_comment_status_id",),
        page=2,
    ),
    "queue of what was rejected, newest first": Call(
        "GET",
        "/v1/moderation/queue?state=rejected&order=newest&limit=2",
        summed="comment_count",
        by=("ix_comment_status_id",),
        page=2,
    ),
    "queue of spam": Call(
        "GET",
        "/v1/moderation/queue?state=spam&limit=2",
        summed="comment_count",
        by=("ix_comment_status_id",),
        page=2,
    ),
    "queue of spam, newest first": Call(
        "GET",
        "/v1/moderation/queue?state=spam&order=newest&limit=2",
        summed="comment_count",
        by=("ix_comment_status_id",),
        page=2,
    ),
    "queue of what was rejected on an article": Call(
        "GET",
        f"/v1/moderation/queue?state=rejected&article_url={HOT_ARTICLE}",
        by=("ix_comment_article_id_status_id", "ix_comment_status_id"),
    ),
    "queue of spam on an article, newest first": Call(
        "GET",
        f"/v1/moderation/queue?state=spam&order=newest&article_url={HOT_ARTICLE}",
        by=("ix_comment_article_id_status_id", "ix_comment_status_id"),
    ),
    "a claim": Call("POST", "/v1/moderation/claims", 201, {"limit": 1}),
    "everything about a comment": Call("GET", "/v1/moderation/comments/{comment}"),
    "a comment decided": Call(
        "POST", "/v1/moderation/comments/{held}/decisions", 200, {"action": "approve", "version": 1}
    ),
    "lists of words": Call("GET", "/v1/moderation/lists"),
    "a list of words": Call("GET", "/v1/moderation/lists/{kind}/{language}"),
    "bans": Call("GET", "/v1/moderation/bans", walked="ban"),
    "a ban": Call(
        "POST",
        "/v1/moderation/bans",
        201,
        {"comment_id": "{comment}", "by": "writer", "reason_code": "spam"},
    ),
    "policies": Call("GET", "/v1/moderation/policies"),
    "a policy": Call("GET", "/v1/moderation/policies/{policy}"),
    "a policy tried": Call(
        "POST", "/v1/moderation/policies/{policy}/simulate", body={"days": 90}, walked="comment_revision"
    ),
    "checks over HTTP": Call("GET", "/v1/moderation/checks"),
    "a check over HTTP": Call("GET", "/v1/moderation/checks/{check}", 404),
    "an article edited": Call("PATCH", f"/v1/articles?article_url={HOT_ARTICLE}", body={"comments": "open"}),
    "staff list": Call("GET", "/v1/polls", walked="poll"),
    "staff list, next page": Call("GET", "/v1/polls", walked="poll", page=2),
    "staff list of an article": Call(
        "GET", f"/v1/polls?article_url={HOT_ARTICLE}", by=("ix_poll_article_article_id",)
    ),
    "an edit": Call("PATCH", "/v1/polls/{hot_poll}", body={"question": "And by day?"}),
    "tally": Call("GET", "/v1/polls/{hot_poll}/tally"),
    "export as JSON": Call("GET", "/v1/polls/{hot_poll}/export.json"),
    "export as CSV": Call("GET", "/v1/polls/{hot_poll}/export.csv"),
    "recount": Call("POST", "/v1/polls/{secret_poll}/recount", body={}),
    "corrections": Call("GET", "/v1/corrections", walked="correction"),
    "corrections, next page": Call("GET", "/v1/corrections", walked="correction", page=2),
    "new corrections": Call("GET", "/v1/corrections?status=new", by=("ix_correction_status_id",)),
    "suspect corrections": Call(
        "GET", "/v1/corrections?is_suspect=true", by=("ix_correction_is_suspect_id",)
    ),
    "suspect corrections, next page": Call(
        "GET", "/v1/corrections?is_suspect=true&limit=5", by=("ix_correction_is_suspect_id",), page=2
    ),
    "suspect corrections in a status": Call(
        "GET",
        "/v1/corrections?status=handled&is_suspect=true",
        by=("ix_correction_is_suspect_id", "ix_correction_is_suspect_status_id"),
    ),
    "new corrections without the suspect": Call(
        "GET",
        "/v1/corrections?status=new&is_suspect=false",
        by=("ix_correction_status_id", "ix_correction_is_suspect_status_id"),
    ),
    "one correction": Call("GET", "/v1/corrections/{correction}"),
    "a correction decided": Call(
        "PATCH", "/v1/corrections/{correction}", body={"status": "handled", "version": 1}
    ),
    "audit": Call("GET", "/v1/audit", walked="audit_entry"),
    "audit, next page": Call("GET", "/v1/audit", walked="audit_entry", page=2),
    "audit of a kind": Call(
        "GET", "/v1/audit?object_type=consent_text", by=("ix_audit_entry_object_type_id",)
    ),
    "audit of one object": Call(
        "GET", "/v1/audit?object_id=00000000-0000-0000-0000-00000000002a", by=("ix_audit_entry_object_id_id",)
    ),
    "audit of one object of a kind": Call(
        "GET",
        "/v1/audit?object_type=poll&object_id=00000000-0000-0000-0000-00000000002a",
        by=("ix_audit_entry_object_id_id", "ix_audit_entry_object_type_object_id_id"),
    ),
    "consents of an address": Call("POST", "/v1/consents/search", body={"email": EMAIL}),
    "a consent": Call("GET", "/v1/consents/{consent}"),
    "proof of a consent": Call("GET", "/v1/consents/{consent}/proof"),
    "consents as CSV": Call("GET", "/v1/consents/export.csv", walked="consent"),
    "consents of a state as JSON lines": Call(
        "GET", "/v1/consents/export.jsonl?state=withdrawn", walked="consent"
    ),
    "a sign-up taken back": Call("POST", "/v1/consents/withdrawals", body={"withdrawal_key": "k" * 22}),
    "consent texts": Call("GET", "/v1/consent-texts", walked="consent_text"),
    "consent texts of a site": Call(
        "GET",
        "/v1/consent-texts?site_id={other_site}",
        by=("uq_consent_text_site_id_purpose_version", "sqlite_autoindex_consent_text_2"),
    ),
    "webhooks": Call("GET", "/v1/webhooks"),
    "a webhook": Call("GET", "/v1/webhooks/{webhook}"),
    "deliveries": Call("GET", "/v1/webhooks/{webhook}/deliveries", by=("ix_outbox_message_endpoint_id_id",)),
    "deliveries, next page": Call(
        "GET", "/v1/webhooks/{webhook}/deliveries", by=("ix_outbox_message_endpoint_id_id",), page=2
    ),
    "deliveries in a state": Call(
        "GET",
        "/v1/webhooks/{webhook}/deliveries?state=dead",
        by=(
            "ix_outbox_message_endpoint_id_id",
            "ix_outbox_message_state_available_at_id",
            "ix_outbox_message_state_id",
        ),
    ),
    "outbox": Call("GET", "/v1/outbox", walked="outbox_message"),
    "outbox, next page": Call("GET", "/v1/outbox", walked="outbox_message", page=2),
    "what was given up": Call("GET", "/v1/outbox?state=dead&limit=3", by=("ix_outbox_message_state_id",)),
    "what was given up, next page": Call(
        "GET", "/v1/outbox?state=dead&limit=3", by=("ix_outbox_message_state_id",), page=2
    ),
    "a message": Call("GET", "/v1/outbox/{message}", by=("ix_outbox_attempt_message_id",)),
    "tokens": Call("GET", "/v1/tokens", walked="staff_token"),
    "a token revoked": Call("DELETE", "/v1/tokens/{other_token}", body={}),
    "sites": Call("GET", "/v1/sites", walked="site"),
    "a site": Call("GET", "/v1/sites/{site}"),
}


@pytest.fixture(scope="module")
def house(
    request: pytest.FixtureRequest,
    database: SuiteDatabase,
    keys: Keys,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[House]:
    folder: Path = tmp_path_factory.mktemp("long")
    is_sqlite = database.url.startswith("sqlite")
    server = None if is_sqlite else request.getfixturevalue("postgres")
    url = f"sqlite:///{folder / 'long.db'}" if server is None else server.create_database("long_tables")
    migrate(url, keys)
    known = lengthen(url, keys)
    settings = Settings.from_environ({**ENVIRON, "POLLSVC_DATABASE_URL": url}, folder)
    application = create_app(dataclasses.replace(settings, limit_staff="1000000/minute"))
    with application.app_context():
        # The other names are of these two, with other options.
        engines = [application.extensions["sqlalchemy"].engines[name] for name in ("default", "hot")]
    yield House(application, engines, known, keys)
    close(application)
    if server is not None:
        server.drop_database("long_tables")


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_what_a_call_reads_is_found_by_an_index(house: House, call: Call) -> None:
    reset_limits(house.app)
    client = house.app.test_client()

    with watching(house.engines) as sent:
        answer = _made(client, house, call, None)
    if call.page == 2:
        with watching(house.engines) as sent:
            answer = _made(client, house, call, answer["next_cursor"])

    steps = [(step, each) for each in sent for step in explain(each)]
    read = [(step, each) for step, each in steps if growing(step) or step.table == call.walked]
    assert read, "nothing that was sent could be explained"
    for step, each in read:
        if step.table == call.summed:
            continue
        assert step.index is not None, f"all of {step.table} is read by: {each.statement}"
        may_walk = step.table == call.walked and not step.is_filtered
        assert step.is_searched or may_walk, f"{step.table} is walked by: {each.statement}"
    assert not call.by or set(call.by) & {step.index for step, _ in steps}


def test_reports_that_are_over_are_found_by_an_index(house: House) -> None:
    (clock,) = (
        each for each in all_clocks(house.app.extensions["pollsvc"].settings) if "reports" in each.kind
    )

    with watching(house.engines) as sent, Session(house.engines[0]) as session:
        assert clock.due(session, THEN + clock.keep)

    (step,) = (step for each in sent for step in explain(each) if growing(step))
    assert (step.index, step.is_searched) == ("ix_comment_report_settled_at", True)


def test_every_call_that_reads_is_looked_at(house: House) -> None:
    looked_at = {re.sub(r"\{\w+\}", "{}", call.path.partition("?")[0]) for call in CALLS.values()}
    read = {
        re.sub(r"<[^>]*>", "{}", rule.rule)
        for rule in house.app.url_map.iter_rules()
        if "GET" in (rule.methods or set()) and rule.rule.startswith("/v1/")
    }

    # A token is signed, and no table read; a report compares every consent with what its endpoint knows.
    assert read - looked_at == {"/v1/form-token", "/v1/webhooks/{}/outstanding"}


def _made(client: FlaskClient, house: House, call: Call, cursor: str | None) -> dict[str, Any]:
    known = house.known
    names = {
        **vars(known),
        **vars(known.filled),
        "other_site": "00000000-0000-0000-0000-000000000007",
        "message": 7,
        "kind": "banned",
        "language": "en",
        "policy": 1,
        "check": "00000000-0000-0000-0000-000000000007",
    }

    def named(text: str) -> str:
        return re.sub(r"\{(\w+)\}", lambda found: str(names[found[1]]), text)

    body = {
        key: named(value) if isinstance(value, str) else value for key, value in (call.body or {}).items()
    }
    headers = {"Authorization": f"Bearer {known.filled.token}"}
    if call.is_voter:
        voter_token = make_voter_token(house.keys)
        headers = {"X-Voter-Token": voter_token}
        body |= {"voter_token": voter_token} if call.body else {}
    path = named(call.path)
    if cursor:
        path += f"{'&' if '?' in path else '?'}cursor={cursor}"
    answer = client.open(
        path,
        method=call.method,
        headers=headers,
        json=None if call.body is None else body,
    )
    assert answer.status_code == call.status, answer.text
    found = answer.get_json(silent=True)
    return found if isinstance(found, dict) else {}
