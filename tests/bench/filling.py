"""A database as it looks after years: one poll with most of the ballots, many polls with few, each on an article of its own.

Ballots are made by SQL in bulk. What the product would have written is written: voter keys as random as keyed hashes are,
counts spread over slots, and a tally that equals its ballots.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from pollsvc.articles.models import Article, Site
from pollsvc.db import Model
from pollsvc.keys import Keys
from pollsvc.patience import lift_patience
from pollsvc.polls.models import Ballot, Choice, Poll, TallyClock, TallySlot, poll_article
from tests.databases import open_engine
from tests.factories import ORIGIN, THEN, make_site, make_token

#: Of ten ballots so many are in the one hot poll.
HOT_OF_TEN = 6
#: An article of every list that is read: it carries the hot poll and so many newer ones.
POLLS_OF_HOT_ARTICLE = 5
HOT_ARTICLE = f"{ORIGIN}/growth/1"
_BATCH = 1_000

# The i-th ballot. The golden ratio's multiples are spread evenly over 0 to 1, and the cube leans them towards the first
# polls of the list, which are the newest.
_POSTGRESQL = (
    # Foreign keys are checked row by row, which would take longer than all the rest; they hold by construction.
    "SET LOCAL session_replication_role = replica",
    "SET LOCAL maintenance_work_mem = '512MB'",
    "ALTER TABLE ballot DROP CONSTRAINT pk_ballot",
    """
    INSERT INTO ballot (poll_id, voter_key, choices, tier, state, voted_hour)
    SELECT f.poll_id, sha256(int8send(s.i)), ARRAY[CASE s.i % 3 WHEN 0 THEN 2 ELSE 1 END]::smallint[],
           'storage', 'counted', CAST(:hour AS timestamptz) - (s.i % 9000) * interval '1 hour'
      FROM (SELECT i, CASE WHEN i % 10 < :hot THEN 0
                           ELSE 1 + CAST(floor((:polls - 1) * power(golden - floor(golden), 3)) AS integer) END AS place
              FROM generate_series(1, CAST(:ballots AS bigint)) AS i,
                   LATERAL (SELECT i * CAST(0.6180339887498949 AS float8)) g (golden)
           ) s
      JOIN filled f ON f.place = s.place
    """,
    "ALTER TABLE ballot ADD CONSTRAINT pk_ballot PRIMARY KEY (poll_id, voter_key)",
    """
    INSERT INTO tally_slot (poll_id, choice_id, slot, n, voters)
    SELECT poll_id, choices[1], get_byte(voter_key, 0) % 16, count(*), count(*) FROM ballot GROUP BY 1, 2, 3
    """,
)
_SQLITE = (
    # In the order of the key, which is the table's own.
    """
    INSERT INTO ballot (poll_id, voter_key, choices, tier, state, voted_hour)
    WITH RECURSIVE counting (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM counting WHERE i < :ballots),
    spread AS (SELECT i, i * 0.6180339887498949 - CAST(i * 0.6180339887498949 AS INTEGER) AS u FROM counting),
    placed AS (SELECT i, CASE WHEN i % 10 < :hot THEN 0
                              ELSE 1 + CAST((:polls - 1) * u * u * u AS INTEGER) END AS place FROM spread)
    SELECT f.poll_id, randomblob(32), CASE s.i % 3 WHEN 0 THEN '[2]' ELSE '[1]' END, 'storage', 'counted', :hour
      FROM placed s JOIN filled f ON f.place = s.place ORDER BY 1, 2
    """,
    """
    INSERT INTO tally_slot (poll_id, choice_id, slot, n, voters)
    SELECT poll_id, json_extract(choices, '$[0]'), instr('0123456789ABCDEF', substr(hex(voter_key), 1, 1)) - 1,
           count(*), count(*) FROM ballot GROUP BY 1, 2, 3
    """,
)


@dataclass(frozen=True)
class Filled:
    """What is asked of a filled database.

    :param hot_poll: the poll with most of the ballots.
    :param new_poll: a poll without any.
    :param token: the secret of an administrator.
    """

    hot_poll: uuid.UUID
    new_poll: uuid.UUID
    token: str


def fill(url: str, keys: Keys, *, ballots: int, polls: int | None = None) -> Filled:
    """Fill a migrated, empty database.

    :param polls: on as many articles; one for each 500 ballots where left out, and at least 200.
    """
    engine = open_engine(url, keys)
    statements = _SQLITE if engine.dialect.name == "sqlite" else _POSTGRESQL
    with Session(engine.execution_options(sqlite_write=True)) as session:
        site = make_site(session)
        token = make_token(session)
        made = _make_polls(session, site, polls or max(200, ballots // 500))
        _number(session, made)
        lift_patience(session)
        given = {"ballots": ballots, "hot": HOT_OF_TEN, "polls": len(made) - 1}
        for statement in statements:
            names = set(sa.text(statement).compile().params)
            values: Mapping[str, object] = {**given, "hour": THEN.replace(tzinfo=None).isoformat(" ")}
            session.execute(sa.text(statement), {name: values[name] for name in names})
        session.execute(insert(TallyClock).from_select(["poll_id", "changed_at"], _clocks()))
        session.execute(sa.text("DROP TABLE filled"))
        session.commit()
    _settle(engine)
    engine.dispose()
    return Filled(hot_poll=made[0], new_poll=made[-1], token=token)


def sizes(url: str, keys: Keys) -> dict[str, int]:
    """Count rows of the growing tables, and bytes of the whole database."""
    engine = open_engine(url, keys)
    with Session(engine) as session:
        lift_patience(session)
        counted = {
            model.__tablename__: session.scalars(select(func.count()).select_from(model)).one()
            for model in (Ballot, Poll, Article, TallySlot)
        }
        bytes_of = {
            "postgresql": "SELECT pg_database_size(current_database())",
            "sqlite": "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size",
        }[engine.dialect.name]
        counted["bytes"] = session.scalars(sa.text(bytes_of)).one()
    engine.dispose()
    return counted


def _make_polls(session: Session, site: Site, number: int) -> list[uuid.UUID]:
    """Make polls on articles; the first is the hot one, the last has no ballots, those between are newest first."""
    ids = sorted((uuid7() for _ in range(number)), reverse=True)
    polls = [ids[number // 2], *ids[: number // 2], *ids[number // 2 + 1 :]]
    articles = {poll: uuid7() for poll in polls}
    rows: dict[type[Model] | sa.Table, list[dict[str, object]]] = {
        Article: [
            {"id": article, "site_id": site.id, "url": f"{ORIGIN}/growth/{place}", "created_at": THEN}
            for place, article in enumerate(articles.values(), start=1)
        ],
        Poll: [_poll(poll, site.id, place) for place, poll in enumerate(polls)],
        Choice: [
            {"poll_id": poll, "id": choice, "text": text, "position": choice}
            for poll in polls
            for choice, text in enumerate(("Yes", "No"), start=1)
        ],
        poll_article: [
            {"poll_id": poll, "article_id": article}
            for poll, article in (
                *articles.items(),
                *((poll, articles[polls[0]]) for poll in polls[1 : POLLS_OF_HOT_ARTICLE + 1]),
            )
        ],
    }
    for table, given in rows.items():
        for begin in range(0, len(given), _BATCH):
            session.execute(insert(table), given[begin : begin + _BATCH])
    return polls


def _poll(poll_id: uuid.UUID, site_id: uuid.UUID, place: int) -> dict[str, object]:
    at = THEN - timedelta(hours=place)
    return {
        "id": poll_id,
        "site_id": site_id,
        "question": f"Should ferry {place} run at night?",
        "kind": "single",
        "results_visibility": "always",
        "allow_change": False,
        "next_choice_id": 3,
        "version": 1,
        "created_at": at,
        "updated_at": at,
    }


def _number(session: Session, polls: list[uuid.UUID]) -> None:
    """Number the polls that get ballots, for the statements that spread them: all but the last."""
    filled = sa.Table(
        "filled",
        sa.MetaData(),
        sa.Column("place", sa.Integer, primary_key=True),
        sa.Column("poll_id", sa.Uuid),
    )
    filled.create(session.connection())
    rows = [{"place": place, "poll_id": poll} for place, poll in enumerate(polls[:-1])]
    for begin in range(0, len(rows), _BATCH):
        session.execute(insert(filled), rows[begin : begin + _BATCH])


def _clocks() -> sa.Select[Any, Any]:
    return select(TallySlot.poll_id, sa.literal(THEN, TallyClock.changed_at.type)).distinct()


def _settle(engine: sa.Engine) -> None:
    """Let nothing that filling left behind fall on what is measured: dirty pages, missing statistics, unset hint bits."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if engine.dialect.name == "sqlite":
            # No ANALYZE: nobody runs it in production either.
            connection.exec_driver_sql("COMMIT")
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
            return
        connection.exec_driver_sql("SET statement_timeout = 0")
        connection.exec_driver_sql("VACUUM (ANALYZE, FREEZE)")
        connection.exec_driver_sql("CHECKPOINT")
