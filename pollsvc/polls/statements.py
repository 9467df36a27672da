"""The vote's SQL: one statement on PostgreSQL, one short write transaction on SQLite. Both do the same.

Nothing outside this module knows which database it is talking to.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy import bindparam, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from pollsvc.db import UtcDateTime
from pollsvc.polls import stepwise
from pollsvc.polls.models import Ballot
from pollsvc.polls.verdicts import NewBallot, Verdict

# Votes share this lock, and a close, an edit or a recount has it alone. A lock on the poll's row would not do: it knows
# no queue, so that on a busy poll votes keep joining those under way and an editor waits until his statement's patience
# ends. Here, who comes after a waiting editor waits too, and who only tries is turned away while one waits. Beside the
# commit's wait for the disk its cost cannot be seen.
_TURN = "hashtextextended(CAST({poll_id} AS text), 0)"
_SHARE_TURN = text(f"SELECT pg_advisory_xact_lock_shared({_TURN.format(poll_id=':poll_id')})").bindparams(
    bindparam("poll_id", type_=sa.Uuid)
)
_TAKE_TURN = text(f"SELECT pg_advisory_xact_lock({_TURN.format(poll_id=':poll_id')})").bindparams(
    bindparam("poll_id", type_=sa.Uuid)
)

# How ballots come by their polls: by waiting for an editor, or by leaving out the polls that one has to himself.
_WAITING = {
    "turn": f"CAST(pg_advisory_xact_lock_shared({_TURN.format(poll_id='poll_id')}) AS text) IS NOT NULL",
    "row": "FOR SHARE OF poll",
}
_TRYING = {
    "turn": f"pg_try_advisory_xact_lock_shared({_TURN.format(poll_id='poll_id')})",
    "row": "FOR SHARE OF poll SKIP LOCKED",
}

# FOR SHARE shows the polls as they are now, and not as they were when the statement began; without it a vote that waited
# for a close would land in a poll whose close was already acknowledged. Where the two versions differ (`is_stale`), the
# vote waited for an edit and has looked at choices of before it: nothing is written, and it is told of a race.
#
# An array in an array would have to be rectangular, so that choices come as text: '{1,2}'.
_GATE = """
b AS MATERIALIZED (
  SELECT u.place, u.poll_id, u.voter_key, CAST(u.choices AS smallint[]) AS choices, u.tier, u.at
    FROM unnest(CAST(:poll_ids AS uuid[]), CAST(:voter_keys AS bytea[]), CAST(:choices AS text[]),
                CAST(:tiers AS text[]), CAST(:times AS timestamptz[]))
         WITH ORDINALITY AS u (poll_id, voter_key, choices, tier, at, place)),
turn AS MATERIALIZED (
  SELECT poll_id, {turn} AS is_ours FROM (SELECT DISTINCT poll_id FROM b ORDER BY poll_id) AS wanted),
p AS MATERIALIZED (
  SELECT poll.id, poll.version, poll.kind, poll.max_choices, poll.allow_change, poll.opens_at, poll.closes_at,
         poll.withdrawn_at IS NOT NULL AS is_withdrawn, poll.closed_at IS NOT NULL AS is_closed
    FROM turn JOIN poll ON poll.id = turn.poll_id WHERE turn.is_ours ORDER BY poll.id {row}),
gate AS MATERIALIZED (
  SELECT b.*, COALESCE(p.allow_change, false) AS allow_change, p.version <> seen.version AS is_stale,
         CASE WHEN p.id IS NULL THEN 'busy'
              WHEN p.is_withdrawn THEN 'withdrawn'
              WHEN p.is_closed OR p.closes_at <= b.at THEN 'closed'
              WHEN p.opens_at > b.at THEN 'not_open'
              WHEN cardinality(b.choices) <>
                   (SELECT count(*) FROM choice c WHERE c.poll_id = p.id AND c.id = ANY(b.choices))
                THEN 'unknown_choice'
              WHEN cardinality(b.choices) > CASE p.kind WHEN 'single' THEN 1 ELSE COALESCE(p.max_choices, 32767) END
                THEN 'too_many'
              ELSE 'open' END AS state
    FROM b JOIN poll AS seen ON seen.id = b.poll_id LEFT JOIN p ON p.id = b.poll_id)
"""

# Touched at most once a second and poll: most votes find the second already there and leave the row alone.
_CLOCK = """
clock AS (
  INSERT INTO tally_clock AS k (poll_id, changed_at)
  SELECT DISTINCT done.poll_id, CAST(:second AS timestamptz) FROM {source} AS done
   WHERE NOT EXISTS (SELECT 1 FROM tally_clock c WHERE c.poll_id = done.poll_id AND c.changed_at >= :second)
   ORDER BY done.poll_id
  ON CONFLICT ON CONSTRAINT pk_tally_clock DO UPDATE SET changed_at = EXCLUDED.changed_at
   WHERE k.changed_at < EXCLUDED.changed_at)
"""

_ADDED = "ON CONFLICT ON CONSTRAINT pk_tally_slot DO UPDATE SET n = t.n + EXCLUDED.n, voters = t.voters + EXCLUDED.voters"

# Ballots are written in the order of their keys and slots in that of polls and choices, so that two statements cannot
# wait for each other in a circle.
_CAST = """
WITH {gate},
ins AS (
  INSERT INTO ballot (poll_id, voter_key, choices, tier, is_tier_sealed, state, voted_hour)
  SELECT gate.poll_id, gate.voter_key, gate.choices, gate.tier, true, 'counted', date_trunc('hour', gate.at, 'UTC')
    FROM gate WHERE gate.state = 'open' AND NOT gate.is_stale ORDER BY gate.poll_id, gate.voter_key
  ON CONFLICT ON CONSTRAINT pk_ballot DO NOTHING RETURNING poll_id, voter_key, choices),
tally AS (
  INSERT INTO tally_slot AS t (poll_id, choice_id, slot, n, voters)
  SELECT ins.poll_id, u.choice_id, :slot, count(*), count(*) FILTER (WHERE u.place = 1)
    FROM ins, unnest(ins.choices) WITH ORDINALITY AS u (choice_id, place)
   GROUP BY ins.poll_id, u.choice_id ORDER BY ins.poll_id, u.choice_id
  {added}),
{clock}
SELECT gate.place, gate.state, ins.poll_id IS NOT NULL, mine.choices, gate.allow_change
  FROM gate LEFT JOIN ins ON ins.poll_id = gate.poll_id AND ins.voter_key = gate.voter_key
       LEFT JOIN ballot AS mine ON mine.poll_id = gate.poll_id AND mine.voter_key = gate.voter_key
"""

_CHANGE = """
WITH {gate},
old AS MATERIALIZED (
  SELECT ballot.poll_id, ballot.voter_key, ballot.choices, gate.choices AS wanted, gate.at FROM ballot
    JOIN gate ON ballot.poll_id = gate.poll_id AND ballot.voter_key = gate.voter_key
   WHERE gate.state = 'open' AND gate.allow_change FOR UPDATE OF ballot),
upd AS (
  UPDATE ballot SET choices = old.wanted, voted_hour = date_trunc('hour', old.at, 'UTC'), is_mixed = false FROM old
   WHERE ballot.poll_id = old.poll_id AND ballot.voter_key = old.voter_key AND old.choices <> old.wanted
  RETURNING ballot.poll_id),
moved AS (
  SELECT m.poll_id, m.choice_id, sum(m.n) AS n, sum(m.voters) AS voters FROM (
    SELECT old.poll_id, u.choice_id, -1 AS n, CASE u.place WHEN 1 THEN -1 ELSE 0 END AS voters
      FROM upd, old, unnest(old.choices) WITH ORDINALITY AS u (choice_id, place)
    UNION ALL
    SELECT old.poll_id, u.choice_id, 1, CASE u.place WHEN 1 THEN 1 ELSE 0 END
      FROM upd, old, unnest(old.wanted) WITH ORDINALITY AS u (choice_id, place)) AS m
   GROUP BY m.poll_id, m.choice_id HAVING sum(m.n) <> 0 OR sum(m.voters) <> 0),
tally AS (
  INSERT INTO tally_slot AS t (poll_id, choice_id, slot, n, voters)
  SELECT moved.poll_id, moved.choice_id, :slot, moved.n, moved.voters FROM moved ORDER BY moved.choice_id
  {added}),
{clock}
SELECT gate.place, gate.state, EXISTS (SELECT 1 FROM upd), (SELECT old.choices FROM old), gate.allow_change FROM gate
"""


def _statement(body: str, way: dict[str, str], changed: str) -> sa.TextClause:
    # Put together from constants of this module; what readers send comes as parameters.
    sql = body.format(gate=_GATE.format(**way), added=_ADDED, clock=_CLOCK.format(source=changed))
    return text(sql).bindparams(
        bindparam("poll_ids", type_=ARRAY(sa.Uuid)),
        bindparam("voter_keys", type_=ARRAY(sa.LargeBinary)),
        bindparam("choices", type_=ARRAY(sa.Text)),
        bindparam("tiers", type_=ARRAY(sa.Text)),
        bindparam("times", type_=ARRAY(UtcDateTime)),
        bindparam("slot", type_=sa.SmallInteger),
        bindparam("second", type_=UtcDateTime),
    )


CAST_TRYING = _statement(_CAST, _TRYING, "ins")
_CAST_WAITING = _statement(_CAST, _WAITING, "ins")
_CHANGE_WAITING = _statement(_CHANGE, _WAITING, "upd")


def insert_ballots(
    connection: sa.Connection, ballots: Sequence[NewBallot], slot: int
) -> list[Verdict | None]:
    """Write ballots and their tallies where the poll is open and the voter has none; None where there is no poll.

    A verdict of an open gate, not counted and without a previous ballot is a race: another request of the same voter,
    or an edit of the poll, committed while this one ran. Run again, it sees what the other one left.

    :param ballots: each of another voter or for another poll. Where somebody has a poll to himself, the verdict on its
        ballots is ``busy`` and the others do not wait.
    :param slot: which part of each tally is touched.
    """
    if connection.dialect.name == "sqlite":
        return stepwise.insert_ballots(connection, ballots, slot)
    return _verdicts(connection, CAST_TRYING, ballots, slot)


def insert_ballots_of_poll(
    connection: sa.Connection, ballots: Sequence[NewBallot], slot: int
) -> list[Verdict | None]:
    """The same for ballots of one poll, which wait for whoever has it to himself."""
    if connection.dialect.name == "sqlite":
        return stepwise.insert_ballots(connection, ballots, slot)
    return _verdicts(connection, _CAST_WAITING, ballots, slot)


def wait_for_editor(connection: sa.Connection, poll_id: uuid.UUID) -> None:
    """Wait until nobody has the poll to himself, and keep editors out of it until the transaction ends.

    A statement of its own: the next one sees what the editor left, and tells no ballot of a race.
    """
    if connection.dialect.name != "sqlite":
        connection.execute(_SHARE_TURN, {"poll_id": poll_id})


def change_ballot(connection: sa.Connection, ballot: NewBallot, slot: int) -> Verdict | None:
    """Put other choices on a voter's ballot, where the poll is open and lets them; ``is_counted`` when it did.

    A verdict of an open gate without a previous ballot is a race: the ballot was written again (mixed) meanwhile.
    """
    if connection.dialect.name == "sqlite":
        return stepwise.change_ballot(connection, ballot, slot)
    return _verdicts(connection, _CHANGE_WAITING, [ballot], slot)[0]


def lock_poll(session: Session, poll_id: uuid.UUID) -> None:
    """Have a poll to oneself until the transaction ends; the votes that wait then see what was decided.

    Waits for the votes under way, not for those that come after. On SQLite a writing transaction is alone anyway.
    """
    if not _is_sqlite(session):
        session.execute(_TAKE_TURN, {"poll_id": poll_id})


def _verdicts(
    connection: sa.Connection, statement: sa.TextClause, ballots: Sequence[NewBallot], slot: int
) -> list[Verdict | None]:
    parameters = {
        "poll_ids": [ballot.poll_id for ballot in ballots],
        "voter_keys": [ballot.voter_key for ballot in ballots],
        "choices": ["{%s}" % ",".join(map(str, ballot.choices)) for ballot in ballots],  # noqa: UP031 (braces)
        "tiers": [ballot.tier for ballot in ballots],
        "times": [ballot.now for ballot in ballots],
        "slot": slot,
        "second": max(ballot.second for ballot in ballots),
    }
    verdicts: list[Verdict | None] = [None] * len(ballots)
    for place, *verdict in connection.execute(statement, parameters):
        verdicts[place - 1] = Verdict(*verdict)
    return verdicts


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
