"""``pollsvc consents``: subscribers in and out, as the API's import and export do it."""

from __future__ import annotations

import io
import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, BinaryIO

import click
import orjson

from pollsvc.commands.starting import ACTOR, Checked, now, read_settings
from pollsvc.consent import exporting, importing
from pollsvc.consent.exporting import Wanted
from pollsvc.consent.import_files import open_rows
from pollsvc.consent.import_rows import batches
from pollsvc.consent.importing import Import, Report
from pollsvc.consent.links import Links
from pollsvc.consent.schemas import MODES, STATES
from pollsvc.consent.texts import get_text
from pollsvc.opening import open_database
from pollsvc.web.fields import Time
from pollsvc.web.spooling import Spool

_WRITERS: Mapping[str, tuple[bytes, Callable[[Sequence[Mapping[str, Any]]], bytes]]] = {
    "csv": (exporting.csv_head(), exporting.csv_lines),
    "jsonl": (b"", exporting.json_lines),
}


@click.group()
def consents() -> None:
    """Consents: take subscribers in, and hand them out."""


@consents.command("import")
@click.argument("file", type=click.File("rb"))
@click.option("--text-id", required=True, type=click.UUID, help="What they agreed to.")
@click.option(
    "--format", "kind", type=click.Choice(["csv", "jsonl"]), help="By the file's name where left out."
)
@click.option("--dry-run", "is_dry_run", is_flag=True, help="Only tell what would become of each row.")
def import_file(*, file: BinaryIO, text_id: uuid.UUID, kind: str | None, is_dry_run: bool) -> None:
    """Take in the subscribers of FILE (- for standard input): a line for each row that was not taken, then totals.

    Exit status 1 if a row was refused.
    """
    settings = read_settings()
    is_json = kind == "jsonl" or (kind is None and file.name.endswith((".jsonl", ".ndjson")))
    links = Links.of(settings, settings.keys())
    with open_database(settings, is_writing=not is_dry_run) as session, Spool(file) as spool:
        text = get_text(session, text_id)
        hashed = importing.keyed_file_hash(links.keys, spool.sha256)
        plan = Import(text=text, file_hash=hashed, actor=ACTOR, is_dry_run=is_dry_run)
        rows = open_rows(io.BufferedReader(spool), "application/x-ndjson" if is_json else "text/csv")
        report = Report(plan)
        importing.begin_import(session, plan, size=spool.size, now=now())
        session.commit()
        for batch in batches(rows, links.keys, now()):
            outcomes = importing.store(session, links, plan, batch.entries, now())
            session.commit()
            for line in report.lines(batch, outcomes):
                click.echo(orjson.dumps(line))
        importing.end_import(session, plan, report.totals, now=now())
        session.commit()
        click.echo(orjson.dumps(report.last()))
    sys.exit(1 if report.totals["refused"] else 0)


@consents.command("export")
@click.option("--format", "kind", default="csv", show_default=True, type=click.Choice(sorted(_WRITERS)))
@click.option("--site-id", type=click.UUID, help="Of one site.")
@click.option("--purpose", help="Such as newsletter.")
@click.option("--state", type=click.Choice(STATES))
@click.option("--mode", type=click.Choice(MODES))
@click.option("--changed-since", type=Checked("time", Time()), help="Such as 2026-03-02T00:00:00Z.")
def export(kind: str, **wanted: Any) -> None:
    """Write consents to standard output, with their addresses. Leaves an audit row."""
    settings = read_settings()
    links = Links.of(settings, settings.keys())
    chosen = Wanted(**wanted)
    head, write = _WRITERS[kind]
    with open_database(settings) as session:
        exporting.note_export(session, chosen, kind=kind, actor=ACTOR, now=now())
        session.commit()
    out = sys.stdout.buffer
    out.write(head)
    last: uuid.UUID | None = None
    with open_database(settings, is_writing=False) as session:
        while rows := exporting.read_rows(session, links, chosen, last):
            session.commit()
            out.write(write(rows))
            last = rows[-1]["id"]
