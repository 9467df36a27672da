"""How a database goes about the statements that were really sent, by its own EXPLAIN."""

import dataclasses
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

from pollsvc.db import Model

#: Few rows, whatever grows: reading all of them is no mistake. A site has one text and, over years, a few versions of it.
SMALL = frozenset(
    {
        "site",
        "site_origin",
        "consent_text",
        "installation",
        "webhook_endpoint",
        "word_list",
        "comment_policy",
        "http_check",
    }
)
_SQLITE_STEP = re.compile(
    r"(?P<act>SCAN|SEARCH) (?P<table>\w+)(?: USING (?P<automatic>AUTOMATIC )?(?:PARTIAL )?(?:COVERING )?"
    r"(?P<index>INDEX \w+|(?:INTEGER )?PRIMARY KEY))?"
)
_EXPLAINED = ("SELECT", "WITH", "INSERT", "UPDATE", "DELETE")


@dataclass(frozen=True)
class Step:
    """How one table is read.

    :param index: what it is read by; None for the whole table, page by page.
    :param is_searched: whether a condition leads to the rows; else they are read one after the other.
    :param is_filtered: whether rows are read and thrown away. SQLite does not tell.
    """

    table: str
    index: str | None
    is_searched: bool
    is_filtered: bool


@dataclass(frozen=True)
class Sent:
    """A statement with its parameters, as the driver got them, and the engine that sent it."""

    engine: sa.Engine
    statement: str
    parameters: Any


@contextmanager
def watching(engines: Sequence[sa.Engine]) -> Iterator[list[Sent]]:
    """Collect the statements that engines send meanwhile."""
    sent: list[Sent] = []

    def note(
        connection: sa.Connection, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool
    ) -> None:
        if statement.lstrip().upper().startswith(_EXPLAINED):
            sent.append(Sent(connection.engine, statement, parameters[0] if many else parameters))

    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        for engine in engines:
            event.remove(engine, "before_cursor_execute", note)


def explain(sent: Sent) -> list[Step]:
    """Ask how a statement's tables would be read. Runs nothing."""
    with sent.engine.connect() as connection:
        if sent.engine.dialect.name == "sqlite":
            rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sent.statement}", sent.parameters).all()
            is_sorted = any("TEMP B-TREE" in str(row[3]) for row in rows)
            steps = [step for row in rows for step in _sqlite_steps(str(row[3]))]
            return steps if is_sorted else [_by_number(step, sent.statement) for step in steps]
        found = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {sent.statement}", sent.parameters)
        told = found.scalar_one()
        plan = json.loads(told) if isinstance(told, str) else told
        return list(_postgresql_steps(plan[0]["Plan"]))


def _by_number(step: Step, statement: str) -> Step:
    """Name what SQLite does not: a table whose key is a number lies in its order, and is read in it without a sort."""
    table = Model.metadata.tables.get(step.table)
    keys = [] if table is None else list(table.primary_key)
    is_number = len(keys) == 1 and isinstance(keys[0].type, sa.Integer)
    is_walked = step.index is None and is_number and f"ORDER BY {step.table}.id DESC" in statement
    return dataclasses.replace(step, index="INTEGER PRIMARY KEY") if is_walked else step


def growing(step: Step) -> bool:
    """Say whether a step reads a table of ours that grows."""
    return step.table in Model.metadata.tables.keys() - SMALL


def _sqlite_steps(told: str) -> Iterator[Step]:
    found = _SQLITE_STEP.match(told)
    if found:
        index = (found["index"] or "").removeprefix("INDEX ") or None
        # An automatic index is made for this one statement, of the whole table.
        is_whole = found["act"] == "SCAN" or found["automatic"] is not None
        # Where a table has an alias, that is what is told: site_1.
        table = re.sub(r"_\d+$", "", found["table"])
        yield Step(table, None if found["automatic"] else index, not is_whole, False)


def _postgresql_steps(node: dict[str, Any]) -> Iterator[Step]:
    children = node.get("Plans", [])
    if "Scan" in node["Node Type"] and "Relation Name" in node:
        by = [node, *_below(children)] if node["Node Type"] == "Bitmap Heap Scan" else [node]
        indexes = [each["Index Name"] for each in by if "Index Name" in each]
        is_searched = any("Index Cond" in each for each in by)
        yield Step(node["Relation Name"], indexes[0] if indexes else None, is_searched, "Filter" in node)
    for child in children:
        yield from _postgresql_steps(child)


def _below(nodes: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for node in nodes:
        yield node
        yield from _below(node.get("Plans", []))
