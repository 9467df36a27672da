"""What the newsroom sets about comments, over HTTP: lists of words, bans, policies. The desk's calls are `moderation`'s."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from flask import current_app

from pollsvc.comments import bans, lists, policy_drafts
from pollsvc.comments.checks.word_lists import DOMAIN_KINDS, EVERYWHERE
from pollsvc.comments.judging import Judge
from pollsvc.comments.lists import ListSize
from pollsvc.comments.newsroom_schemas import (
    BanQuerySchema,
    BanSchema,
    DeleteWordListSchema,
    NewBanSchema,
    NewWordListSchema,
    WordListSchema,
    WordListSizeSchema,
    WordListSizesSchema,
)
from pollsvc.comments.policy_drafts import PolicyVersion
from pollsvc.comments.policy_models import Ban, WordList
from pollsvc.comments.policy_schemas import (
    ActivationSchema,
    NewPolicySchema,
    NewSimulationSchema,
    PolicySchema,
    SimulationSchema,
)
from pollsvc.comments.simulating import Simulation, simulate
from pollsvc.db import db
from pollsvc.errors import one_field
from pollsvc.keys import BadToken
from pollsvc.web.api import JSONBlueprint, NothingSchema
from pollsvc.web.guards import actor, staff
from pollsvc.web.limits import limited
from pollsvc.web.paging import Page, PageQuerySchema, page_schema, read_page
from pollsvc.web.state import keys, now

blp = JSONBlueprint(
    "comments_newsroom",
    __name__,
    url_prefix="/v1/moderation",
    description="Lists of words, bans and policies of comments.",
)

#: Bytes of a list: a hundred thousand words.
LIST_CAP = 8 * 1024 * 1024
_LIST = "/lists/<kind>/<language>"
_POLICY = "/policies/<int:version>"
_LANGUAGE = re.compile(r"[a-z]{2,3}\Z")
_CURSOR = "cursor policies"


@blp.get("/lists")
@blp.response(200, WordListSizesSchema)
@limited("staff")
@staff("comments:moderate")
def list_lists() -> dict[str, Sequence[ListSize]]:
    """Every list of words, without them."""
    return {"items": lists.read_sizes(db.session)}


@blp.get(_LIST)
@blp.response(200, WordListSchema)
@blp.problems(404, 422)
@limited("staff")
@staff("comments:moderate")
def show_list(kind: str, language: str) -> WordList:
    """A list with its words."""
    return lists.get_list(db.session, *_place(kind, language))


@blp.put(_LIST)
@blp.body(NewWordListSchema, cap=LIST_CAP)
@blp.response(200, WordListSizeSchema)
@blp.problems(404, 409)
@limited("staff")
@staff("comments:moderate")
def replace_list(body: dict[str, Any], kind: str, language: str) -> ListSize:
    """Let a list say this from now on: `und` in every language, else in texts on sites of that language."""
    place = _place(kind, language)
    # Before the first lock: a long list takes a moment, in which readers write.
    lists.check_entries(kind, body["words"], body["exceptions"])
    found = lists.replace_list(db.writing, *place, **body, actor=actor().reference, now=now())
    db.writing.commit()
    return lists.size_of(found)


@blp.delete(_LIST)
@blp.body(DeleteWordListSchema)
@blp.response(200, WordListSizeSchema)
@blp.problems(404, 409)
@limited("staff")
@staff("comments:moderate")
def delete_list(body: dict[str, Any], kind: str, language: str) -> ListSize:
    """Take a list away. A later one of its name goes on counting its versions."""
    found = lists.delete_list(db.writing, *_place(kind, language), **body, actor=actor().reference, now=now())
    db.writing.commit()
    return lists.size_of(found)


@blp.post("/bans")
@blp.body(NewBanSchema)
@blp.response(201, BanSchema)
@blp.alt_response(200, schema=BanSchema, description="It was made before, and is in force.")
@blp.problems(404, 409)
@limited("staff")
@staff("comments:moderate")
def ban(body: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """Ban whoever wrote a comment, or hold what comes with the address that was typed there."""
    made, is_new = bans.ban(db.writing, **body, actor=actor().reference, now=now())
    db.writing.commit()
    return bans.describe_ban(made), 201 if is_new else 200


@blp.get("/bans")
@blp.query(BanQuerySchema)
@blp.response(200, page_schema(BanSchema))
@limited("staff")
@staff("comments:moderate")
def list_bans(query: dict[str, Any]) -> Page[dict[str, Any]]:
    """Bans, newest first; those that are over too, unless asked otherwise."""
    rows = bans.list_bans(now(), in_force=query["in_force"])
    page = read_page(db.session, rows, Ban.id, query, keys())
    return Page([bans.describe_ban(each) for each in page.items], page.next_cursor)


@blp.delete("/bans/<uuid:ban_id>")
@blp.body(NothingSchema)
@blp.response(200, BanSchema)
@blp.problems(404)
@limited("staff")
@staff("comments:moderate")
def lift_ban(_body: dict[str, Any], ban_id: uuid.UUID) -> dict[str, Any]:
    """End a ban at once."""
    lifted = bans.lift_ban(db.writing, ban_id, actor=actor().reference, now=now())
    db.writing.commit()
    return bans.describe_ban(lifted)


@blp.get("/policies")
@blp.query(PageQuerySchema)
@blp.response(200, page_schema(PolicySchema))
@limited("staff")
@staff("comments:moderate")
def list_policies(query: dict[str, Any]) -> Page[PolicyVersion]:
    """Every version of the policy, newest first; the last one is the built-in, version 0."""
    before = _read_cursor(query["cursor"])
    items, last = policy_drafts.read_versions(db.session, before=before, limit=query["limit"])
    return Page(items, None if last is None else keys().sign(_CURSOR, last.to_bytes(8)))


@blp.get(_POLICY)
@blp.response(200, PolicySchema)
@blp.problems(404)
@limited("staff")
@staff("comments:moderate")
def show_policy(version: int) -> PolicyVersion:
    """One version of the policy."""
    return policy_drafts.get_version(db.session, version)


@blp.post("/policies")
@blp.body(NewPolicySchema)
@blp.response(201, PolicySchema)
@limited("staff")
@staff("comments:moderate")
def draft_policy(body: dict[str, Mapping[str, Any]]) -> PolicyVersion:
    """Draft a version. It decides nothing until it is activated, and never changes: for another one, draft again."""
    judge: Judge = current_app.extensions["pollsvc.judge"]
    known = [check.name for check in judge.checks]
    drafted = policy_drafts.draft_policy(
        db.writing, body["checks"], known=known, actor=actor().reference, now=now()
    )
    db.writing.commit()
    return drafted


@blp.post(f"{_POLICY}/simulate")
@blp.body(NewSimulationSchema)
@blp.response(200, SimulationSchema)
@blp.problems(404)
@limited("staff")
@staff("comments:moderate")
def simulate_policy(body: dict[str, int], version: int) -> Simulation:
    """What a version would have done otherwise with the texts of the last days. Changes nothing."""
    policy = policy_drafts.policy_of(db.session, version)
    return simulate(db.session, policy, since=now() - timedelta(days=body["days"]), limit=body["limit"])


@blp.post(f"{_POLICY}/activate")
@blp.body(ActivationSchema)
@blp.response(200, PolicySchema)
@blp.problems(404, 409)
@limited("staff")
@staff("admin")
def activate_policy(body: dict[str, Any], version: int) -> PolicyVersion:
    """Let a version decide from now on; the one before is retired, and can be activated again. 0 is the built-in one."""
    live = policy_drafts.activate_policy(db.writing, version, **body, actor=actor().reference, now=now())
    db.writing.commit()
    return live


def _place(kind: str, language: str) -> tuple[str, str]:
    if kind not in lists.KINDS:
        raise lists.ListNotFound(f"The kinds of lists are {', '.join(lists.KINDS)}.")
    # The case of a language is nobody's meaning (BCP 47 §2.1.1).
    if not _LANGUAGE.match(language.lower()):
        raise one_field("language", "Must be a language such as en, or und for every one.")
    if kind in DOMAIN_KINDS and language.lower() != EVERYWHERE:
        raise one_field("language", "Domains are of no language: must be und.")
    return kind, language.lower()


def _read_cursor(cursor: str | None) -> int | None:
    if not cursor:
        return None
    try:
        return int.from_bytes(keys().unsign(_CURSOR, cursor))
    except BadToken as error:
        raise one_field("cursor", "Must be a next_cursor of an earlier answer.") from error
