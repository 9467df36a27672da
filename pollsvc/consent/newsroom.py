"""Consent over HTTP: the newsroom's calls."""

from __future__ import annotations

import io
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import orjson
from flask import Response, request, stream_with_context

from pollsvc.consent import exporting, importing, timelines
from pollsvc.consent.exporting import Wanted
from pollsvc.consent.import_files import open_rows
from pollsvc.consent.import_rows import ImportRowSchema, batches
from pollsvc.consent.importing import Import, Report
from pollsvc.consent.links import Links
from pollsvc.consent.schemas import (
    ExportQuerySchema,
    ImportQuerySchema,
    StaffWithdrawalSchema,
    TimelineSchema,
)
from pollsvc.consent.texts import get_text
from pollsvc.consent.timelines import Timeline
from pollsvc.db import db
from pollsvc.web import errors
from pollsvc.web.api import JSONBlueprint
from pollsvc.web.guards import actor, staff
from pollsvc.web.limits import limited
from pollsvc.web.spooling import spool_body
from pollsvc.web.state import keys, now, ring, settings

blp = JSONBlueprint("consents", __name__, url_prefix="/v1", description="Consent, as the newsroom keeps it.")

#: Bytes of an import: some millions of rows.
IMPORT_CAP = 512 * 1024 * 1024
KINDS = ("text/csv", "application/x-ndjson")


@blp.get("/consents/<uuid:consent_id>")
@blp.response(200, TimelineSchema)
@blp.problems(404)
@limited("staff")
@staff("consents:read")
def show_consent(consent_id: uuid.UUID) -> Timeline:
    """How a consent stands and all that happened to it. Leaves an audit row."""
    found = timelines.look_at_consent(db.writing, consent_id, actor=actor().reference, now=now())
    db.writing.commit()
    return found


@blp.post("/consents/<uuid:consent_id>/withdraw")
@blp.body(StaffWithdrawalSchema)
@blp.response(200, TimelineSchema)
@blp.problems(404)
@limited("staff")
@staff("consents:manage")
def withdraw_consent(body: dict[str, Any], consent_id: uuid.UUID) -> Timeline:
    """End a consent because its person asked the newsroom to; one that ended already is left as it is."""
    found = timelines.end_consent(
        db.writing,
        Links.of(settings(), keys()),
        consent_id,
        note=body["note"],
        actor=actor().reference,
        now=now(),
    )
    db.writing.commit()
    ring()
    return found


@blp.get("/consents/export.csv")
@blp.query(ExportQuerySchema)
@blp.response(200, {"type": "string"}, content_type="text/csv")
@limited("staff")
@staff("consents:read")
def export_csv(query: dict[str, Any]) -> Response:
    """Consents as CSV, a row each. Leaves an audit row before the first byte."""
    return _export(Wanted(**query), "csv", exporting.csv_head(), exporting.csv_lines)


@blp.get("/consents/export.jsonl")
@blp.query(ExportQuerySchema)
@blp.response(200, {"type": "string"}, content_type="application/x-ndjson")
@limited("staff")
@staff("consents:read")
def export_jsonl(query: dict[str, Any]) -> Response:
    """Consents as JSON, a line each. Leaves an audit row before the first byte."""
    return _export(Wanted(**query), "jsonl", b"", exporting.json_lines)


@blp.post("/consents/import")
@blp.upload(ImportRowSchema, cap=IMPORT_CAP, kinds=KINDS)
@blp.query(ImportQuerySchema)
@blp.response(200, {"type": "string"}, content_type="application/x-ndjson")
@blp.problems(404)
@limited("staff")
@staff("consents:manage")
def import_consents(query: dict[str, Any]) -> Response:
    """Take in subscribers that the publisher had before; answers a line for each row that was not taken, then totals."""
    text = get_text(db.writing, query["text_id"])
    # The file arrives at its sender's pace: nothing of the database is held meanwhile.
    db.writing.commit()
    file = spool_body()
    plan = Import(
        text=text,
        file_hash=importing.keyed_file_hash(keys(), file.sha256),
        actor=actor().reference,
        is_dry_run=query["dry_run"],
    )
    rows = open_rows(io.BufferedReader(file), request.mimetype)
    importing.begin_import(db.writing, plan, size=file.size, now=now())
    db.writing.commit()

    def told() -> Iterator[bytes]:
        report = Report(plan)
        session = db.session if plan.is_dry_run else db.writing
        try:
            for batch in batches(rows, keys(), now()):
                outcomes = importing.store(session, Links.of(settings(), keys()), plan, batch.entries, now())
                session.commit()
                ring()
                yield _lines(report.lines(batch, outcomes))
            importing.end_import(db.writing, plan, report.totals, now=now())
            db.writing.commit()
            yield _lines([report.last()])
        except Exception as error:  # noqa: BLE001 (the status is sent: this line stands for it)
            problem = errors.problem_of(error)
            errors.note(error, problem)
            why = "The database did not answer." if problem.status == 503 else "Something failed on our side."
            yield _lines([{"error": problem.code, "detail": f"{why} {_CUT}", "totals": report.totals}])
        finally:
            file.close()

    return Response(stream_with_context(told()), content_type=KINDS[1])


_CUT = "What is told above was stored; send the same file again, and the rest will be."


def _export(
    wanted: Wanted, kind: str, head: bytes, write: Callable[[Sequence[Mapping[str, Any]]], bytes]
) -> Response:
    exporting.note_export(db.writing, wanted, kind=kind, actor=actor().reference, now=now())
    db.writing.commit()

    def pages() -> Iterator[bytes]:
        yield head
        last: uuid.UUID | None = None
        while rows := exporting.read_rows(db.session, Links.of(settings(), keys()), wanted, last):
            # A reader may be slow: no transaction waits for him, which would keep SQLite's log and PostgreSQL's dead rows.
            db.session.commit()
            yield write(rows)
            last = rows[-1]["id"]

    named = {"Content-Disposition": f'attachment; filename="consents.{kind}"'}
    content_type = "text/csv; charset=utf-8" if kind == "csv" else KINDS[1]
    return Response(stream_with_context(pages()), content_type=content_type, headers=named)


def _lines(lines: Sequence[Mapping[str, Any]]) -> bytes:
    return b"".join(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in lines)
