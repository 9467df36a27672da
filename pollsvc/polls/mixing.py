"""Ballots are written again among others, so that PostgreSQL's own columns put none of them beside a person (promise 7).

PostgreSQL numbers transactions across all tables (``xmin``), and keeps rows about where they were first put (``ctid``).
The reader's next act, a sign-up, has the next number. SQLite keeps neither, and orders ballots by their random keys.

Nothing here waits for a vote: what one holds just now is left for the next time.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import CursorResult, Row, TextClause, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session
from sqlalchemy.types import Uuid

from pollsvc.db import UtcDateTime

#: Ballots of a poll and hour that are always written again together, those that came before with those that came now:
#: an address leads to this many ballots, or to all of its hour where there are fewer.
POOL = 100
#: Ballots in one transaction. A reader who votes a second time meanwhile waits for it, and whoever shares the batch.
ROWS = 2_000
#: How long after its end an hour may still get ballots: a vote may wait, and clocks of hosts differ.
GRACE = timedelta(minutes=1)
#: Seconds between two turns, at the least, and what a turn takes at the most before the others are let go on.
PAUSE, TURN = 2.0, 0.5
#: Of all the time, the part that is spent on this at the most.
SHARE = 0.2

#: Any number, the same in every process: two workers would split a pool between them.
_ALONE = text("SELECT pg_try_advisory_xact_lock(7077554)")

# By key, whatever the statistics say: they may be of a time when the table was empty. And no wait worth the name.
_BY_KEY = "; ".join(
    f"SET LOCAL {setting}"
    for setting in (
        "enable_seqscan = off",
        "enable_bitmapscan = off",
        "enable_hashjoin = off",
        "enable_mergejoin = off",
        "lock_timeout = 200",
    )
)

# A poll is settled when all its ballots that wait were written by one transaction, and their hour is not over. Those that
# are alone in their poll and hour are settled when one transaction wrote them all: they hide among each other, as far as
# one transaction holds them. The walk from poll to poll reads an entry of the index each; of a poll no more rows than
# tell that it is not settled.
_UNSETTLED = text("""
WITH RECURSIVE waiting (poll_id) AS (
  (SELECT poll_id FROM ballot WHERE NOT is_mixed ORDER BY poll_id LIMIT 1)
  UNION ALL
  SELECT (SELECT b.poll_id FROM ballot AS b WHERE NOT b.is_mixed AND b.poll_id > waiting.poll_id
           ORDER BY b.poll_id LIMIT 1)
    FROM waiting WHERE waiting.poll_id IS NOT NULL),
seen AS (
  SELECT waiting.poll_id, sum(hours.n) AS n, min(hours.hour) AS hour, min(hours.first) <> max(hours.last) AS is_told,
         min(hours.first) FILTER (WHERE hours.n = 1) AS single, max(hours.last) FILTER (WHERE hours.n = 1) AS other
    FROM waiting, LATERAL (
      SELECT each.hour, count(*) AS n, min(each.writer) AS first, max(each.writer) AS last
        FROM (SELECT CAST(b.xmin AS text) AS writer, b.voted_hour AS hour FROM ballot AS b
               WHERE NOT b.is_mixed AND b.poll_id = waiting.poll_id LIMIT :settled + 1) AS each
       GROUP BY each.hour) AS hours
   WHERE waiting.poll_id IS NOT NULL GROUP BY waiting.poll_id),
singles AS (
  SELECT min(single) <> max(other) AND sum(n) <= :rows AS are_told FROM seen WHERE single IS NOT NULL),
due AS (
  SELECT seen.*, sum(seen.n) OVER (ORDER BY seen.single IS NULL, random(), seen.poll_id) AS total
    FROM seen, singles
   WHERE seen.is_told OR seen.hour < :running OR seen.n > :settled
      OR (seen.single IS NOT NULL AND singles.are_told))
SELECT poll_id, hour, n > :settled AS is_long FROM due WHERE total <= :rows ORDER BY total
""").bindparams(bindparam("running", type_=UtcDateTime))

# Whoever is not taken here is held by a vote, and waits for the next time. The polls' rows are locked first, because a
# ballot's foreign key does so when it is written again, and would wait for an editor.
_MIX = """
WITH p AS MATERIALIZED (
  SELECT poll.id FROM poll WHERE poll.id = ANY(:poll_ids) ORDER BY poll.id FOR KEY SHARE SKIP LOCKED),
taken AS MATERIALIZED (
  SELECT b.poll_id, b.voter_key FROM p JOIN ballot AS b ON b.poll_id = p.id
   WHERE NOT b.is_mixed AND (CAST(:hour AS timestamptz) IS NULL OR b.voted_hour = :hour)
   LIMIT :rows FOR UPDATE OF b SKIP LOCKED),
gone AS (
  DELETE FROM ballot USING taken
   WHERE ballot.poll_id = taken.poll_id AND ballot.voter_key = taken.voter_key
  RETURNING ballot.*),
again AS (
  SELECT gone.*, row_number() OVER (PARTITION BY gone.poll_id, gone.voted_hour ORDER BY random()) AS place FROM gone)
INSERT INTO ballot ({columns}, is_mixed)
SELECT {columns}, NOT (voted_hour >= :running OR (SELECT count(*) FROM taken) >= :rows) OR place > :pool
  FROM again ORDER BY random()
"""

# What else a vote leaves its number in. A slot says for which choice; so does the choice's row, which the first vote of
# a slot locks (`xmax`).
_SLOTS = """
WITH held AS MATERIALIZED (
  SELECT poll_id, choice_id, slot FROM tally_slot WHERE poll_id = ANY(:poll_ids)
   ORDER BY poll_id, choice_id, slot FOR UPDATE SKIP LOCKED)
UPDATE tally_slot SET n = tally_slot.n FROM held
 WHERE tally_slot.poll_id = held.poll_id AND tally_slot.choice_id = held.choice_id AND tally_slot.slot = held.slot
"""
_CLOCKS = """
WITH held AS MATERIALIZED (
  SELECT poll_id FROM tally_clock WHERE poll_id = ANY(:poll_ids) ORDER BY poll_id FOR UPDATE SKIP LOCKED)
UPDATE tally_clock SET changed_at = tally_clock.changed_at FROM held WHERE tally_clock.poll_id = held.poll_id
"""
_CHOICES = (
    "SELECT id FROM choice WHERE poll_id = ANY(:poll_ids) ORDER BY poll_id, id FOR KEY SHARE SKIP LOCKED"
)

# As the table has them now: a worker of this release must lose nothing of what a later one added.
_COLUMNS = text(
    "SELECT quote_ident(attname) FROM pg_attribute WHERE attrelid = CAST('ballot' AS regclass) "
    "AND attnum > 0 AND NOT attisdropped AND attgenerated = '' AND attname <> 'is_mixed' ORDER BY attnum"
)


def has_unsettled(session: Session, now: datetime) -> bool:
    """Whether SQL could tell ballots apart by when they were written, or those of an hour that is over wait."""
    if session.get_bind().dialect.name != "postgresql":
        return False
    session.connection().exec_driver_sql(_BY_KEY)
    return bool(_unsettled(session, now))


def mix_ballots(session: Session, now: datetime) -> bool:
    """Write ballots of some polls again, in an order drawn by lot and all in this transaction.

    Of each poll and hour a pool is kept, to be written again together with what comes, until the hour is over.

    :returns: whether it did any, and there may be more.
    """
    session.connection().exec_driver_sql(_BY_KEY)
    if not session.scalar(_ALONE):
        return False
    polls = _unsettled(session, now)
    if not polls:
        return False
    # A long one is taken by itself and, where it is late, hour by hour; the others whole, several at once.
    long = next((poll for poll in polls if poll.is_long), None)
    chosen = [long] if long else polls
    hour = long.hour if long and long.hour < _running_hour(now) else None
    return _write_again(session, [poll.poll_id for poll in chosen], hour, now)


def _unsettled(session: Session, now: datetime) -> Sequence[Row[tuple[uuid.UUID, datetime, bool]]]:
    """Some polls whose ballots fit into one transaction; of a long one more than that may wait."""
    wanted = {"running": _running_hour(now), "settled": 2 * POOL, "rows": ROWS}
    return session.execute(_UNSETTLED, wanted).all()


def _write_again(
    session: Session, poll_ids: Sequence[uuid.UUID], hour: datetime | None, now: datetime
) -> bool:
    columns = ", ".join(session.scalars(_COLUMNS))
    of_polls = {"poll_ids": poll_ids}
    mix = _of_polls(_MIX.format(columns=columns)).bindparams(
        bindparam("hour", type_=UtcDateTime), bindparam("running", type_=UtcDateTime)
    )
    wanted = {"hour": hour, "running": _running_hour(now), "rows": ROWS, "pool": POOL}
    if not cast(CursorResult[Any], session.execute(mix, of_polls | wanted)).rowcount:
        return False
    for statement in (_SLOTS, _CLOCKS, _CHOICES):
        session.execute(_of_polls(statement), of_polls)
    return True


def _of_polls(statement: str) -> TextClause:
    return text(statement).bindparams(bindparam("poll_ids", type_=ARRAY(Uuid)))


def _running_hour(now: datetime) -> datetime:
    """The first hour that may still get ballots."""
    return (now - GRACE).replace(minute=0, second=0, microsecond=0)


class Pace:
    """How often it is done: votes come first.

    :param clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._again_at = 0.0
        self._spent = 0.0
        self._has_mixed = False

    def allows(self) -> bool:
        """Whether it is time for a turn, or one is under way."""
        return self._clock() >= self._again_at

    @contextmanager
    def look(self) -> Iterator[None]:
        """Count what it takes to find out whether there is anything."""
        began = self._clock()
        try:
            yield
        finally:
            self._spent += self._clock() - began

    @contextmanager
    def step(self) -> Iterator[None]:
        """Count what a step takes; a turn that took long enough ends with it."""
        self._has_mixed = True
        try:
            with self.look():
                yield
        finally:
            if self._spent >= TURN:
                self.rest()

    def rest(self) -> None:
        """End a turn: for as long as keeps the share, and for a while in any case, unless it was but a look."""
        self._again_at = self._clock() + max(PAUSE * self._has_mixed, self._spent / SHARE - self._spent)
        self._spent, self._has_mixed = 0.0, False
