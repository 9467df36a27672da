"""The comment box: comments that a process takes at the same moment are looked at and committed together. An edge of its own.

Each reader is answered after the commit that holds their comment, never before it.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial

from sqlalchemy import Engine
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, OperationalError
from sqlalchemy.orm import Session

from pollsvc.batching import Batcher
from pollsvc.comments.admission import Rules
from pollsvc.comments.arriving import Arrived, judge_comments, read_comment
from pollsvc.comments.batch_statement import find_written, insert_comments
from pollsvc.comments.entries import Entry, Judged, NewComment, make_entry
from pollsvc.comments.judging import Judge
from pollsvc.comments.service import submit_comment
from pollsvc.comments.status import Standing
from pollsvc.patience import HURRY, PATIENCE, again_if_cut, waited_in_vain


class CommentBox:
    """Takes the comments of one process.

    :param reading: the engine that comments are looked at with; each statement by itself.
    :param together: the engine that batches are committed on.
    :param alone: the engine for what is settled by itself.
    :param rules: what the installation set.
    :param clock: the application's.
    """

    def __init__(
        self,
        judge: Judge,
        *,
        reading: Engine,
        together: Engine,
        alone: Engine,
        rules: Rules,
        clock: Callable[[], datetime],
    ) -> None:
        self._judge = judge
        self._reading = reading
        self._together = together
        self._alone = alone
        self._rules = rules
        self._clock = clock
        self._batcher = Batcher(self._work_off, patience=PATIENCE)
        #: Whether the last batch waited in vain for SQLite's one lock.
        self._is_stuck = False

    def submit(self, new: NewComment) -> tuple[Standing, bool]:
        """Look at a comment and write it.

        :returns: how it stands, and whether it is new, as :func:`pollsvc.comments.service.submit_comment`.
        :raises PollsvcError: what that, :func:`pollsvc.comments.arriving.read_comment` and
            :func:`pollsvc.comments.arriving.judge_comments` raise.
        :raises WaitedTooLong: if the database let it wait too long before anything was done with it.
        """
        found = self._batcher.run(read_comment(self._judge, new))
        if isinstance(found, Exception):
            raise found
        if isinstance(found, Standing):
            return found, True
        # It is an article's first, was sent before, or something changed meanwhile: by itself.
        return again_if_cut(partial(self._submit_alone, found), is_write=True)

    def _submit_alone(self, judged: Judged) -> tuple[Standing, bool]:
        with Session(self._alone) as session:
            answer = submit_comment(session, self._judge, judged, self._rules, self._clock())
            session.commit()
        return answer

    def _work_off(self, arrived: Sequence[Arrived], patience: float) -> list[Standing | Judged | Exception]:
        """Give for each comment how it stands, what is to be settled by itself, or why it is not taken."""
        until = time.monotonic() + patience
        looked_at = again_if_cut(partial(self._look, arrived))
        entries: dict[bytes, Entry] = {}
        for judged in looked_at:
            if isinstance(judged, Judged) and judged.venue.article_id is not None:
                entry = make_entry(self._judge.keys, judged)
                # The same words sent twice are answered as if one came after the other.
                entries.setdefault(entry.key, entry)
        # Looking took its time; a lock is waited for as long as is left, and a moment at the least.
        left = max(until - time.monotonic(), HURRY)
        written = self._commit(list(entries.values()), left) if entries else set()
        standing = {
            id(entry.judged): entry.standing for entry in entries.values() if entry.standing.id in written
        }
        return [standing.get(id(judged), judged) for judged in looked_at]

    def _look(self, arrived: Sequence[Arrived]) -> list[Judged | Exception]:
        with self._reading.connect() as connection:
            return judge_comments(connection, self._judge, arrived, self._rules, self._clock())

    def _commit(self, entries: Sequence[Entry], patience: float) -> set[uuid.UUID]:
        try:
            return self._insert(entries, patience)
        except DBAPIError as error:
            if error.connection_invalidated:
                return self._insert_rest(entries, patience, error)
            if _is_for_one_alone(error):
                # It may be one's fault, but none is written: each tries by itself, and that one fails or waits alone.
                return set()
            raise
        except (TypeError, ValueError):
            # One of them cannot be told to a database at all; by itself it fails alone.
            return set()

    def _insert_rest(self, entries: Sequence[Entry], patience: float, cut: DBAPIError) -> set[uuid.UUID]:
        """Look what was committed before the connection was cut, and write the rest.

        :raises DBAPIError: the cut, where that fails too: then it is not known what was stored.
        """
        try:
            with self._reading.connect() as connection:
                written = find_written(connection, entries)
            rest = [entry for entry in entries if entry.standing.id not in written]
            return written | self._insert(rest, patience) if rest else written
        except DBAPIError as error:
            raise cut from error

    def _insert(self, entries: Sequence[Entry], patience: float) -> set[uuid.UUID]:
        # Who has waited for their turn already does not wait as long again for SQLite's one lock, and hardly where the last batch
        # waited in vain. On PostgreSQL the statement itself is in a hurry.
        seconds = HURRY if self._is_stuck else patience
        engine = self._together.execution_options(sqlite_patience=seconds)
        try:
            with engine.connect() as connection, connection.begin():
                written = insert_comments(connection, entries)
        except OperationalError as error:
            self._is_stuck = waited_in_vain(error)
            raise
        self._is_stuck = False
        return written


def _is_for_one_alone(error: DBAPIError) -> bool:
    """Whether what failed for all may do for each: what cannot be stored, and on PostgreSQL a lock that was not to be had."""
    # deadlock_detected, and lock_not_available.
    return isinstance(error, DataError | IntegrityError) or getattr(error.orig, "sqlstate", None) in (
        "40P01",
        "55P03",
    )
