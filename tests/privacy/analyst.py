"""Somebody who may read every table, and who tries to put ballots beside addresses.

Rows are read past the models, with the columns that a database keeps for itself. Who is behind a row, the test knows and
the analyst does not: it is the truth that guesses are held to.
"""

import json
import math
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from pollsvc.db import Model

#: Tables in which an address stands, or that lead to one by what they hold.
PERSONAL = (
    "sign_up",
    "subscriber",
    "consent",
    "consent_event",
    "consent_seal",
    "confirmation",
    "mail_permit",
    "suppression",
    "correction",
    "comment",
    "comment_revision",
    "comment_verdict",
    "comment_change",
    "comment_report",
    "ban",
    "check_request",
    "outbox_event",
    "outbox_message",
    "outbox_attempt",
    "webhook_acknowledgement",
    "data_request",
    "leftover",
)
#: So few may stand in any order by chance, and there are thousands of pairs of orders to compare.
FEW = 30
#: What is so of fewer, or of all but fewer, goes together with something by chance.
SEVERAL = 10
#: Tables that a vote writes to.
OF_VOTES = ("ballot", "tally_slot", "tally_clock")
#: What belongs to the newsroom, an article or the installation.
OF_NOBODY = (
    "site",
    "site_origin",
    "article",
    "article_quota",
    "poll",
    "poll_article",
    "choice",
    "consent_text",
    "staff_token",
    "audit_entry",
    "installation",
    "webhook_endpoint",
    "comment_count",
    "comment_policy",
    "word_list",
    "http_check",
)

Row = dict[str, Any]
#: Whom a row belongs to, by every key that the row may hold, written as :func:`spelled` does.
Known = Mapping[str, int]


@dataclass(frozen=True)
class Guess:
    """The n-th ballot in one order is given to the n-th address in another; which, and how well that went."""

    ballots_by: str
    table: str
    people_by: str
    right: int
    correlation: float


@dataclass(frozen=True)
class Alike:
    """Something that is so of some ballots, something that is so of some people, and how far they are the same readers."""

    vote: str
    person: str
    correlation: float


def rows_of(session: Session, table: str) -> list[Row]:
    """Give the rows of a table as they lie, with the database's own columns."""
    if session.get_bind().dialect.name == "sqlite":
        own = "" if _is_without_rowid(session, table) else ", rowid AS rowid"
    else:
        numbers = ", ".join(f"CAST(CAST({name} AS text) AS bigint) AS {name}" for name in ("xmin", "xmax"))
        own = f", {numbers}, CAST(cmin AS text) AS cmin, CAST(ctid AS text) AS ctid"
    found = session.connection().exec_driver_sql(f"SELECT *{own} FROM {table}").mappings()
    return [{name: _comparable(name, value) for name, value in row.items()} for row in found]


def spelled(value: object) -> str:
    """Write a value so that equal ones are equal, whatever the database stores them as."""
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    if isinstance(value, uuid.UUID):
        return value.hex
    if isinstance(value, dict | list):
        return json.dumps(value).replace("-", "")
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value).replace("-", "")


def whose_rows(session: Session, known: Known) -> dict[str, list[tuple[int, Row]]]:
    """Give the rows about people with the reader that each belongs to, by what stands in them and what they refer to."""
    found: dict[str, list[tuple[int, Row]]] = {}
    readers: dict[tuple[str, object], int] = {}
    for table in PERSONAL:
        for row in rows_of(session, table):
            values = " ".join(map(spelled, row.values()))
            named = {reader for key, reader in known.items() if key in values}
            for key in Model.metadata.tables[table].foreign_keys:
                referred = readers.get((key.column.table.name, row[key.parent.name]))
                named |= set() if referred is None else {referred}
            if len(named) == 1:
                [reader] = named
                found.setdefault(table, []).append((reader, row))
                readers[table, row.get("id")] = reader
    return found


def best_guess(ballots: Sequence[tuple[int, Row]], people: Mapping[str, Sequence[tuple[int, Row]]]) -> Guess:
    """Try every order of the ballots with every order of every table, and give what met the truth best."""
    guesses = [
        _guess(ballots_by, voters, table, people_by, readers)
        for ballots_by, voters in _orders(ballots)
        for table, rows in people.items()
        for people_by, readers in _orders(rows)
    ]
    return max(guesses, key=lambda guess: (guess.right, abs(guess.correlation)))


def best_attribute(
    ballots: Sequence[tuple[int, Row]], people: Mapping[str, Sequence[tuple[int, Row]]]
) -> Alike:
    """Try each thing that is so of some ballots with each that is so of some people, and give the two that go together most.

    Such as: the vote came by a form, and so did the sign-up.
    """
    everybody = sorted({reader for reader, _ in ballots})
    of_votes, of_people = _attributes({"ballot": ballots}), _attributes(people)
    found = [
        Alike(vote, person, abs(_agreement(everybody, voters, readers)))
        for vote, voters in of_votes.items()
        for person, readers in of_people.items()
    ]
    return max(found, key=lambda alike: alike.correlation)


def _attributes(tables: Mapping[str, Sequence[tuple[int, Row]]]) -> dict[str, set[int]]:
    """Give whom each value is true of, where it is true of several."""
    holders: dict[str, set[int]] = {}
    for table, rows in tables.items():
        for reader, row in rows:
            for name, value in _facts(row):
                holders.setdefault(f"{table}.{name} = {value}", set()).add(reader)
    everybody = {reader for rows in tables.values() for reader, _ in rows}
    return {
        fact: whose for fact, whose in holders.items() if SEVERAL <= len(whose) <= len(everybody) - SEVERAL
    }


def _facts(row: Row) -> Iterable[tuple[str, str]]:
    """Give each column's value, and those of an object in one."""
    for name, value in row.items():
        yield name, spelled(value)
        inner = json.loads(value) if isinstance(value, str) and value.startswith("{") else value
        if isinstance(inner, dict):
            yield from ((f"{name}.{key}", spelled(each)) for key, each in inner.items())


def _agreement(everybody: Sequence[int], some: set[int], others: set[int]) -> float:
    """Phi: 1 where two things are true of the same readers, -1 of the opposite ones, about 0 where they have nothing in common."""
    n, first, second = len(everybody), len(some), len(others & set(everybody))
    spread = math.sqrt(first * (n - first) * second * (n - second))
    return (n * len(some & others) - first * second) / spread if spread else 0.0


def neighbours_met(ballots: Sequence[tuple[int, Row]], rows: Sequence[tuple[int, Row]]) -> float:
    """How many people would be met by going from each of their rows to the ballots written nearest before, after, or near it.

    Of several that are equally near one is drawn: by chance one is met in all.
    """
    if "xmin" not in ballots[0][1]:
        return 0.0
    directions = (abs, lambda d: d if d > 0 else None, lambda d: -d if d < 0 else None)
    return max(_met(ballots, rows, distance) for distance in directions)


def _met(ballots: Sequence[tuple[int, Row]], rows: Sequence[tuple[int, Row]], distance: Any) -> float:
    met = 0.0
    for reader, row in dict(reversed(rows)).items():
        away = [(distance(ballot["xmin"] - row["xmin"]), voter) for voter, ballot in ballots]
        near = [(far, voter) for far, voter in away if far is not None]
        nearest = [voter for far, voter in near if far == min(near)[0]]
        met += nearest.count(reader) / len(nearest) if nearest else 0
    return met


def _guess(
    ballots_by: str, voters: Sequence[int], table: str, people_by: str, readers: Sequence[int]
) -> Guess:
    common = set(voters) & set(readers)
    mine = [reader for reader in voters if reader in common]
    theirs = [reader for reader in readers if reader in common]
    right = sum(one == other for one, other in zip(mine, theirs, strict=True))
    # Both ways round: an order that is kept backwards is kept.
    right = max(right, sum(one == other for one, other in zip(mine, reversed(theirs), strict=True)))
    return Guess(ballots_by, table, people_by, right, _rank_correlation(mine, theirs))


def _rank_correlation(mine: Sequence[int], theirs: Sequence[int]) -> float:
    """Spearman's: 1 for the same order, -1 for the opposite, about 0 for two that have nothing to do with each other."""
    n = len(mine)
    if n < FEW:
        return 0.0
    place = {reader: rank for rank, reader in enumerate(theirs)}
    differences = sum((rank - place[reader]) ** 2 for rank, reader in enumerate(mine))
    return 1 - 6 * differences / (n * (n * n - 1))


def _orders(rows: Sequence[tuple[int, Row]]) -> Iterable[tuple[str, list[int]]]:
    """Each order that the rows can be asked for in; where a column tells no difference, they stay as they lie."""
    for name in rows[0][1]:
        ordered = sorted(rows, key=lambda each: (each[1][name] is not None, spelled_in_order(each[1][name])))
        # Of several rows of one reader the first counts.
        yield name, list(dict.fromkeys(reader for reader, _ in ordered))


def spelled_in_order(value: object) -> tuple[object, str]:
    """Give what sorts as the database would."""
    if isinstance(value, tuple):
        return value, ""
    return ((float(value),), "") if isinstance(value, int | float) else ((), spelled(value))


def _comparable(name: str, value: object) -> object:
    if name == "ctid":
        return tuple(int(part) for part in str(value).strip("()").split(","))
    return bytes(value) if isinstance(value, memoryview) else value


def _is_without_rowid(session: Session, table: str) -> bool:
    made = sa.text("SELECT sql FROM sqlite_master WHERE name = :table")
    return "WITHOUT ROWID" in str(session.scalar(made, {"table": table}))
