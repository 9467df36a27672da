"""The vote's SQL: one statement on PostgreSQL, one short write transaction on SQLite. Both do the same.

Nothing outside this module knows which database it is talking to.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import bindparam, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from pollsvc.db import UtcDateTime, insert_into
from pollsvc.polls.models import Ballot, Choice, Poll, TallyClock, TallySlot


@dataclass(frozen=True)
class NewBallot:
    """What is to be written: choices in ascending order, the slot drawn by the caller."""

    poll_id: uuid.UUID
    voter_key: bytes
    choices: list[int]
    tier: str
    slot: int
    now: datetime

    @property
    def second(self) -> datetime:
        """The time as the tally's clock keeps it."""
        return self.now.replace(microsecond=0)

    @property
    def hour(self) -> datetime:
        """The time as the ballot keeps it."""
        return self.now.replace(minute=0, second=0, microsecond=0)


@dataclass(frozen=True)
class Verdict:
    """What the database said to a ballot.

    :param gate: ``open``, or why not: ``withdrawn``, ``closed``, ``not_open``, ``unknown_choice``, ``too_many``.
    :param is_counted: whether the ballot is now in.
    :param previous: the choices of the voter's earlier ballot, or None.
    :param allow_change: whether the poll lets a voter choose again.
    """

    gate: str
    is_counted: bool
    previous: list[int] | None
    allow_change: bool


_PARAMETERS = (
    bindparam("poll_id", type_=sa.Uuid),
    bindparam("voter_key", type_=sa.LargeBinary),
    bindparam("choices", type_=ARRAY(sa.SmallInteger)),
    bindparam("slot", type_=sa.SmallInteger),
    bindparam("now", type_=UtcDateTime),
    bindparam("second", type_=UtcDateTime),
)

# FOR SHARE makes a vote wait for a close, an edit or a recount under way and then see its outcome; without it a vote
# could land in a poll whose close was already acknowledged. It costs an eighth of the rate.
_GATE = """
p AS MATERIALIZED (
  SELECT id, kind, max_choices, allow_change,
         withdrawn_at IS NOT NULL AS is_withdrawn,
         closed_at IS NOT NULL OR COALESCE(closes_at <= :now, false) AS is_closed,
         COALESCE(opens_at > :now, false) AS is_early
    FROM poll WHERE id = :poll_id FOR SHARE),
gate AS MATERIALIZED (
  SELECT p.id, p.allow_change,
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
"""

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
_CAST = text(
    f"""
WITH {_GATE},
ins AS (
  INSERT INTO ballot (poll_id, voter_key, choices, tier, state, voted_hour)
  SELECT gate.id, :voter_key, CAST(:choices AS smallint[]), :tier, 'counted', :hour FROM gate WHERE gate.state = 'open'
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

    A verdict of an open gate, not counted and without a previous ballot is a race: another request of the same voter
    committed while this one ran. Run again, it sees the other's ballot.
    """
    if _is_sqlite(session):
        return _insert_stepwise(session, ballot)
    return _verdict(session, _CAST, ballot, tier=ballot.tier, hour=ballot.hour)


def change_ballot(session: Session, ballot: NewBallot) -> Verdict | None:
    """Put other choices on a voter's ballot, where the poll is open and lets them; ``is_counted`` when it did."""
    if _is_sqlite(session):
        return _change_stepwise(session, ballot)
    return _verdict(session, _CHANGE, ballot)


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


def _insert_stepwise(session: Session, ballot: NewBallot) -> Verdict | None:
    gate = _gate_stepwise(session, ballot)
    if gate is None:
        return None
    state, allow_change = gate
    previous = _previous(session, ballot)
    if state != "open" or previous is not None:
        return Verdict(state, False, previous, allow_change)
    row = insert_into(session, Ballot).values(
        poll_id=ballot.poll_id,
        voter_key=ballot.voter_key,
        choices=ballot.choices,
        tier=ballot.tier,
        state="counted",
        voted_hour=ballot.hour,
    )
    # The write lock is ours, so that the look before was not a guess; the primary key would still refuse a second one.
    session.execute(row)
    _move(session, ballot, [], ballot.choices)
    return Verdict(state, True, None, allow_change)


def _change_stepwise(session: Session, ballot: NewBallot) -> Verdict | None:
    gate = _gate_stepwise(session, ballot)
    if gate is None:
        return None
    state, allow_change = gate
    previous = _previous(session, ballot)
    if state != "open" or not allow_change or previous is None or previous == ballot.choices:
        return Verdict(state, False, previous, allow_change)
    mine = sa.and_(Ballot.poll_id == ballot.poll_id, Ballot.voter_key == ballot.voter_key)
    session.execute(sa.update(Ballot).where(mine).values(choices=ballot.choices))
    _move(session, ballot, previous, ballot.choices)
    return Verdict(state, True, previous, allow_change)


def _gate_stepwise(session: Session, ballot: NewBallot) -> tuple[str, bool] | None:
    columns = (
        Poll.kind,
        Poll.max_choices,
        Poll.allow_change,
        Poll.withdrawn_at,
        Poll.closed_at,
        Poll.closes_at,
        Poll.opens_at,
    )
    poll = session.execute(select(*columns).where(Poll.id == ballot.poll_id)).one_or_none()
    if poll is None:
        return None
    known = select(sa.func.count()).where(Choice.poll_id == ballot.poll_id, Choice.id.in_(ballot.choices))
    if poll.withdrawn_at is not None:
        state = "withdrawn"
    elif poll.closed_at is not None or (poll.closes_at is not None and poll.closes_at <= ballot.now):
        state = "closed"
    elif poll.opens_at is not None and poll.opens_at > ballot.now:
        state = "not_open"
    elif session.scalar(known) != len(ballot.choices):
        state = "unknown_choice"
    elif len(ballot.choices) > (1 if poll.kind == "single" else poll.max_choices or 32767):
        state = "too_many"
    else:
        state = "open"
    return state, poll.allow_change


def _previous(session: Session, ballot: NewBallot) -> list[int] | None:
    found = select(Ballot.choices).where(
        Ballot.poll_id == ballot.poll_id, Ballot.voter_key == ballot.voter_key
    )
    return session.scalar(found)


def _move(session: Session, ballot: NewBallot, old: Sequence[int], new: Sequence[int]) -> None:
    changes: dict[int, list[int]] = {}
    for sign, choices in ((-1, old), (1, new)):
        for place, choice in enumerate(choices):
            change = changes.setdefault(choice, [0, 0])
            change[0] += sign
            change[1] += sign if place == 0 else 0
    for choice, (n, voters) in sorted(changes.items()):
        if n or voters:
            row = insert_into(session, TallySlot).values(
                poll_id=ballot.poll_id, choice_id=choice, slot=ballot.slot, n=n, voters=voters
            )
            session.execute(
                row.on_conflict_do_update(
                    index_elements=["poll_id", "choice_id", "slot"],
                    set_={"n": TallySlot.n + n, "voters": TallySlot.voters + voters},
                )
            )
    clock = insert_into(session, TallyClock).values(poll_id=ballot.poll_id, changed_at=ballot.second)
    session.execute(
        clock.on_conflict_do_update(
            index_elements=["poll_id"],
            set_={"changed_at": clock.excluded.changed_at},
            where=TallyClock.changed_at < clock.excluded.changed_at,
        )
    )


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
