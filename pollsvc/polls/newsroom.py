"""Polls over HTTP: the newsroom's calls."""

from __future__ import annotations

import csv
import io
import uuid
from typing import Any

import marshmallow as ma
from flask import Response, current_app

from pollsvc.db import db
from pollsvc.polls import service
from pollsvc.polls.models import Poll
from pollsvc.polls.reading import PollReading, read_poll, read_polls
from pollsvc.polls.schemas import (
    EditPollSchema,
    NewPollSchema,
    PollQuerySchema,
    PollSchema,
    RecountSchema,
    StaffPollSchema,
    StaffPollWithSnippetSchema,
    TallySchema,
)
from pollsvc.polls.service import NewPoll
from pollsvc.polls.tallies import Tally, read_tally
from pollsvc.text import defuse_csv_cell
from pollsvc.web.api import JSONBlueprint, NothingSchema
from pollsvc.web.guards import actor, staff
from pollsvc.web.limits import limited
from pollsvc.web.paging import page_schema, read_page
from pollsvc.web.state import keys, now, ring

blp = JSONBlueprint("newsroom", __name__, url_prefix="/v1", description="Polls, as the newsroom makes them.")


class ExportSchema(ma.Schema):
    """A poll and its tally, to keep."""

    poll = ma.fields.Nested(StaffPollSchema, required=True)
    tally = ma.fields.Nested(TallySchema, required=True)


@blp.post("/polls")
@blp.body(NewPollSchema, cap=65_536)
@blp.response(201, StaffPollWithSnippetSchema)
@limited("staff")
@staff("polls:write")
def create_poll(body: dict[str, Any]) -> dict[str, Any]:
    """Make a poll; the answer carries the HTML to paste into the article."""
    new = NewPoll(**body, has_site_text="consent_text_id" not in body)
    poll = service.create_poll(db.writing, new, actor=actor().reference, now=now())
    db.writing.commit()
    ring()
    return _shown(poll)


@blp.get("/polls")
@blp.query(PollQuerySchema)
@blp.response(200, page_schema(StaffPollSchema))
@limited("staff")
@staff("polls:write")
def list_polls(query: dict[str, Any]) -> dict[str, Any]:
    """Every poll, newest first, withdrawn ones included."""
    polls = service.list_polls(db.session, query.pop("article_url"))
    page = read_page(db.session, polls, Poll.id, query, keys())
    shown = read_polls(db.session.connection(), [poll.id for poll in page.items], now())
    return {"items": shown, "next_cursor": page.next_cursor}


@blp.patch("/polls/<uuid:poll_id>")
@blp.body(EditPollSchema, cap=65_536)
@blp.response(200, StaffPollWithSnippetSchema)
@blp.problems(404, 409)
@limited("staff")
@staff("polls:write")
def edit_poll(body: dict[str, Any], poll_id: uuid.UUID) -> dict[str, Any]:
    """Change a poll. Once ballots are in, only the wording of its choices may change."""
    version = body.pop("version")
    poll = service.edit_poll(db.writing, poll_id, body, version=version, actor=actor().reference, now=now())
    db.writing.commit()
    ring()
    return _shown(poll)


@blp.post("/polls/<uuid:poll_id>/close")
@blp.body(NothingSchema)
@blp.response(200, StaffPollWithSnippetSchema)
@blp.problems(404)
@limited("staff")
@staff("polls:write")
def close_poll(_body: dict[str, Any], poll_id: uuid.UUID) -> dict[str, Any]:
    """End the vote now."""
    poll = service.close_poll(db.writing, poll_id, actor=actor().reference, now=now())
    db.writing.commit()
    ring()
    return _shown(poll)


@blp.post("/polls/<uuid:poll_id>/withdraw")
@blp.body(NothingSchema)
@blp.response(200, StaffPollWithSnippetSchema)
@blp.problems(404)
@limited("staff")
@staff("polls:write")
def withdraw_poll(_body: dict[str, Any], poll_id: uuid.UUID) -> dict[str, Any]:
    """Take a wrong poll off every page; its ballots are kept."""
    poll = service.withdraw_poll(db.writing, poll_id, actor=actor().reference, now=now())
    db.writing.commit()
    ring()
    return _shown(poll)


@blp.get("/polls/<uuid:poll_id>/tally")
@blp.response(200, TallySchema)
@blp.problems(404)
@limited("staff")
@staff("polls:write")
def show_tally(poll_id: uuid.UUID) -> Tally:
    """How a poll stands, whatever readers may see."""
    service.get_poll(db.session, poll_id)
    return read_tally(db.session, poll_id)


@blp.post("/polls/<uuid:poll_id>/recount")
@blp.body(NothingSchema)
@blp.response(200, RecountSchema)
@blp.problems(404)
@limited("staff")
@staff("polls:write")
def recount_poll(_body: dict[str, Any], poll_id: uuid.UUID) -> dict[str, Any]:
    """Rebuild the tally from the ballots."""
    differences = service.recount_poll(db.writing, poll_id, actor=actor().reference, now=now())
    db.writing.commit()
    tally = read_tally(db.writing, poll_id)
    return {**vars(tally), "differences": differences}


@blp.get("/polls/<uuid:poll_id>/export.json")
@blp.response(200, ExportSchema)
@blp.problems(404)
@limited("staff")
@staff("polls:write")
def export_json(poll_id: uuid.UUID) -> dict[str, Any]:
    """The poll and its tally, as JSON."""
    poll = service.get_poll(db.session, poll_id)
    return {"poll": read_poll(db.session, poll.id, now()), "tally": read_tally(db.session, poll_id)}


@blp.get("/polls/<uuid:poll_id>/export.csv")
@blp.response(200, {"type": "string"}, content_type="text/csv")
@blp.problems(404)
@limited("staff")
@staff("polls:write")
def export_csv(poll_id: uuid.UUID) -> Response:
    """The tally, as CSV: a row a choice."""
    poll = service.get_poll(db.session, poll_id)
    tally = read_tally(db.session, poll_id)
    sheet = io.StringIO()
    # Quoted, so that a spreadsheet which splits at semicolons too finds no cell within a cell.
    rows = csv.writer(sheet, quoting=csv.QUOTE_NONNUMERIC)
    rows.writerow(["poll_id", "question", "choice_id", "choice", "votes", "percent", "total_voters", "as_of"])
    for count in tally.choices:
        texts = [defuse_csv_cell(poll.question), count.id, defuse_csv_cell(count.text)]
        rows.writerow(
            [poll.id, *texts, count.votes, count.percent, tally.total_voters, tally.as_of.isoformat()]
        )
    named = {"Content-Disposition": f'attachment; filename="poll-{poll.id}.csv"'}
    return Response(sheet.getvalue(), content_type="text/csv; charset=utf-8", headers=named)


def _shown(poll: Poll) -> dict[str, Any]:
    reading: PollReading = read_poll(db.writing, poll.id, now())
    told = {**PollSchema().dump(reading), "is_for_accounts": reading.is_for_accounts}
    snippet = current_app.extensions["pollsvc.snippet"](told)
    return {**vars(reading), "embed_html": snippet}
