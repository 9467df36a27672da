"""The vote's SQL: one statement on PostgreSQL, one short write transaction on SQLite. Both do the same.

Nothing outside this module knows which database it is talking to.
"""

from __future__ import annotations

import uuid

import sqlalchemy as sa
from sqlalchemy import bindparam, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from pollsvc.db import UtcDateTime
from pollsvc.polls import stepwise
from pollsvc.polls.models import Ballot
from pollsvc.polls.verdicts import NewBallot, Verdict

_PARAMETERS = (
    bindparam("poll_id", type_=sa.Uuid),
    bindparam("voter_key", type_=sa.LargeBinary),
    bindparam("choices", type_=ARRAY(sa.SmallInteger)),
    bindparam("slot", type_=sa.SmallInteger),
    bindparam("now", type_=UtcDateTime),
    bindparam("second", type_=UtcDateTime),
)

# Votes share this lock, and a close, an edit or a recount has it alone. A lock on the poll's row would not do: it knows
# no queue, so that on a busy poll votes keep joining those under way and an editor waits until his statement's patience
# ends. Here, who comes after a waiting editor waits too. Beside the commit's wait for the disk its cost cannot be seen.
_TURN = "hashtextextended(CAST(:poll_id AS text), 0)"
_TAKE_TURN = text(f"SELECT pg_advisory_xact_lock({_TURN})").bindparams(bindparam("poll_id", type_=sa.Uuid))

# FOR SHARE shows the poll as it is now, and not as it was when the statement began; without it a vote that waited for a
# close would land in a poll whose close was already acknowledged.
_GATE = f"""
turn AS MATERIALIZED (SELECT pg_advisory_xact_lock_shared({_TURN})),
p AS MATERIALIZED (
  SELECT id, version, kind, max_choices, allow_change,
         withdrawn_at IS NOT NULL AS is_withdrawn,
         closed_at IS NOT NULL OR COALESCE(closes_at <= :now, false) AS is_closed,
         COALESCE(opens_at > :now, false) AS is_early
    FROM poll, turn WHERE id = :poll_id FOR SHARE OF poll),
gate AS MATERIALIZED (
  SELECT p.id, p.version, p.allow_change,
         CASE WHEN p.is_withdrawn THEN 'withdrawn'
              WHEN p.is_closed THEN 'closed'
              WHEN p.is_early THEN 'not_open'
              WHEN cardinality(CAST(:choices AS smallint[])) <>
                   (SELECT count(*) FROM choice c WHERE c.poll_id = p.id AND c.id = ANY(CAST(:choices AS smallint[])))
                THEN 'unknown_choice'
              WHEN cardinality(CAST(:choices AS smallint[])) >
                   CASE p.kind WHEN 'single' THEN 1 ELSE COALESCE(p.max_choices, 32767) END
                THEN 'too_many'
              ELSE 'open' END AS state
    FROM p)
"""  # noqa: S608 (put together from constants of this module)

# Touched at most once a second and poll: most votes find the second already there and leave the row alone.
_CLOCK = """
clock AS (
  INSERT INTO tally_clock AS k (poll_id, changed_at)
  SELECT {source}.poll_id, :second FROM {source}
   WHERE NOT EXISTS (SELECT 1 FROM tally_clock WHERE poll_id = :poll_id AND changed_at >= :second)
  ON CONFLICT ON CONSTRAINT pk_tally_clock DO UPDATE SET changed_at = EXCLUDED.changed_at
   WHERE k.changed_at < EXCLUDED.changed_at)
"""

# Rows are touched in the order of choices, so that two voters in one slot cannot wait for each other in a circle.
# The lock shows the poll as it is now, everything else is seen as it was when the statement began. Where the two
# versions differ, the vote waited for an edit and has looked at choices of before it: nothing is written, and the vote
# is told that there was a race.
_CAST = text(
    f"""
WITH {_GATE},
ins AS (
  INSERT INTO ballot (poll_id, voter_key, choices, tier, state, voted_hour)
  SELECT gate.id, :voter_key, CAST(:choices AS smallint[]), :tier, 'counted', :hour
    FROM gate WHERE gate.state = 'open' AND gate.version = (SELECT version FROM poll WHERE id = :poll_id)
  ON CONFLICT ON CONSTRAINT pk_ballot DO NOTHING RETURNING poll_id),
tally AS (
  INSERT INTO tally_slot AS t (poll_id, choice_id, slot, n, voters)
  SELECT ins.poll_id, u.choice_id, :slot, 1, CASE u.place WHEN 1 THEN 1 ELSE 0 END
    FROM ins, unnest(CAST(:choices AS smallint[])) WITH ORDINALITY AS u (choice_id, place) ORDER BY u.choice_id
  ON CONFLICT ON CONSTRAINT pk_tally_slot DO UPDATE SET n = t.n + EXCLUDED.n, voters = t.voters + EXCLUDED.voters),
{_CLOCK.format(source="ins")}
SELECT gate.state, EXISTS (SELECT 1 FROM ins),
       (SELECT b.choices FROM ballot b WHERE b.poll_id = :poll_id AND b.voter_key = :voter_key), gate.allow_change
  FROM gate
"""  # noqa: S608 (put together from constants of this module)
).bindparams(*_PARAMETERS, bindparam("hour", type_=UtcDateTime))

_CHANGE = text(
    f"""
WITH {_GATE},
old AS MATERIALIZED (
  SELECT b.poll_id, b.choices FROM ballot b, gate
   WHERE b.poll_id = gate.id AND b.voter_key = :voter_key AND gate.state = 'open' AND gate.allow_change FOR UPDATE OF b),
upd AS (
  UPDATE ballot b SET choices = CAST(:choices AS smallint[]) FROM old
   WHERE b.poll_id = :poll_id AND b.voter_key = :voter_key AND old.choices <> CAST(:choices AS smallint[])
  RETURNING b.poll_id),
moved AS (
  SELECT m.choice_id, sum(m.n) AS n, sum(m.voters) AS voters FROM (
    SELECT u.choice_id, -1 AS n, CASE u.place WHEN 1 THEN -1 ELSE 0 END AS voters
      FROM upd, old, unnest(old.choices) WITH ORDINALITY AS u (choice_id, place)
    UNION ALL
    SELECT u.choice_id, 1, CASE u.place WHEN 1 THEN 1 ELSE 0 END
      FROM upd, unnest(CAST(:choices AS smallint[])) WITH ORDINALITY AS u (choice_id, place)) m
   GROUP BY m.choice_id HAVING sum(m.n) <> 0 OR sum(m.voters) <> 0),
tally AS (
  INSERT INTO tally_slot AS t (poll_id, choice_id, slot, n, voters)
  SELECT :poll_id, moved.choice_id, :slot, moved.n, moved.voters FROM moved ORDER BY moved.choice_id
  ON CONFLICT ON CONSTRAINT pk_tally_slot DO UPDATE SET n = t.n + EXCLUDED.n, voters = t.voters + EXCLUDED.voters),
{_CLOCK.format(source="upd")}
SELECT gate.state, EXISTS (SELECT 1 FROM upd), (SELECT old.choices FROM old), gate.allow_change FROM gate
"""  # noqa: S608 (put together from constants of this module)
).bindparams(*_PARAMETERS)


def insert_ballot(session: Session, ballot: NewBallot) -> Verdict | None:
    """Write a ballot and its tally where the poll is open and the voter has none; None where there is no poll.

    A verdict of an open gate, not counted and without a previous ballot is a race: another request of the same voter,
    or an edit of the poll, committed while this one ran. Run again, it sees what the other one left.
    """
    if _is_sqlite(session):
        return stepwise.insert_ballot(session, ballot)
    return _verdict(session, _CAST, ballot, tier=ballot.tier, hour=ballot.hour)


def change_ballot(session: Session, ballot: NewBallot) -> Verdict | None:
    """Put other choices on a voter's ballot, where the poll is open and lets them; ``is_counted`` when it did."""
    if _is_sqlite(session):
        return stepwise.change_ballot(session, ballot)
    return _verdict(session, _CHANGE, ballot)


def lock_poll(session: Session, poll_id: uuid.UUID) -> None:
    """Have a poll to oneself until the transaction ends; the votes that wait then see what was decided.

    Waits for the votes under way, not for those that come after. On SQLite a writing transaction is alone anyway.
    """
    if not _is_sqlite(session):
        session.execute(_TAKE_TURN, {"poll_id": poll_id})


def _verdict(session: Session, statement: sa.TextClause, ballot: NewBallot, **more: object) -> Verdict | None:
    parameters = {
        "poll_id": ballot.poll_id,
        "voter_key": ballot.voter_key,
        "choices": ballot.choices,
        "slot": ballot.slot,
        "now": ballot.now,
        "second": ballot.second,
        **more,
    }
    row = session.execute(statement, parameters).one_or_none()
    return Verdict(row[0], row[1], row[2], row[3]) if row else None


def _is_sqlite(session: Session) -> bool:
    return session.get_bind().dialect.name == "sqlite"


def counted_choices(session: Session) -> sa.Subquery:
    """Every choice of every counted ballot: ``poll_id, choice_id, is_first``; the truth that tallies are held to."""
    if _is_sqlite(session):
        each = sa.func.json_each(Ballot.choices).table_valued("key", "value")
        choice_id, is_first = each.c.value, each.c.key == 0
    else:
        each = (
            sa.func.unnest(Ballot.choices).table_valued("choice_id", with_ordinality="place").render_derived()
        )
        choice_id, is_first = each.c.choice_id, each.c.place == 1
    rows = select(
        Ballot.poll_id, choice_id.label("choice_id"), sa.cast(is_first, sa.Integer).label("is_first")
    )
    return rows.select_from(Ballot).join(each, sa.true()).where(Ballot.state == "counted").subquery("counted")
