"""New comments are looked at, as many as came at one moment: reads only, so that nothing waits for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from pollsvc.articles.service import no_site, read_address
from pollsvc.articles.urls import ArticleAddress
from pollsvc.articles.venues import Surroundings, find_surroundings
from pollsvc.comments.admission import (
    Parent,
    Rules,
    find_parents,
    place_below,
    refuse_banned,
    take_comments,
)
from pollsvc.comments.entries import Judged, NewComment
from pollsvc.comments.facts import Facts, Questioned, find_facts
from pollsvc.comments.in_force import InForce, find_in_force
from pollsvc.comments.judging import Draft, Judge, Text, judge, read_text
from pollsvc.consent.service import email_hash


@dataclass(frozen=True)
class Arrived:
    """A comment, read as far as that needs nobody else.

    :param context: of its request: what is logged about it is logged as its own, whoever's thread looks at it.
    """

    new: NewComment
    address: ArticleAddress
    email_hash: bytes | None
    text: Text
    context: Context


def read_comment(judge_: Judge, new: NewComment) -> Arrived:
    """Read a comment before the database is asked anything.

    :raises Invalid: if its article has no address, or nothing of it would be seen.
    """
    address = read_address(new.article_url)
    hashed = email_hash(judge_.keys, new.email) if new.email else None
    return Arrived(new, address, hashed, read_text(judge_, new.body), copy_context())


def judge_comments(
    connection: Connection, judge_: Judge, arrived: Sequence[Arrived], rules: Rules, now: datetime
) -> list[Judged | Exception]:
    """Look at comments that came at one moment, with every check and with what the database knows of all of them.

    :param connection: reads only.
    :returns: what became of each, in their order. An error is its sender's alone: ``Invalid`` if no site owns the article, or the
        place of the reply is none; ``CommentsClosed``, ``CommentsOff`` and ``ParentClosed`` if the article, or what is answered,
        takes none; ``WriterBanned`` if the writer may not.
    """
    asked = [
        Questioned(each.new.writer, each.email_hash, each.new.body, each.text.fingerprint) for each in arrived
    ]
    answered = {each.new.parent_id for each in arrived if each.new.parent_id}
    looking = _Looking(
        connection,
        judge_,
        rules,
        now,
        find_surroundings(connection, list({each.address for each in arrived})),
        find_in_force(connection),
        find_parents(connection, answered),
    )
    facts = find_facts(connection, asked, now)
    return [looking.judged_or_why_not(*each) for each in zip(arrived, facts, strict=True)]


@dataclass(frozen=True)
class _Looking:
    """What is known of all comments that are looked at."""

    connection: Connection
    judge: Judge
    rules: Rules
    now: datetime
    around: Mapping[ArticleAddress, Surroundings]
    in_force: InForce
    parents: Mapping[UUID, Parent]

    def judged_or_why_not(self, arrived: Arrived, facts: Facts) -> Judged | Exception:
        try:
            return arrived.context.run(self._judged, arrived, facts)
        except DBAPIError:
            raise  # of all
        except Exception as error:  # noqa: BLE001 (what is wrong with one holds up no other)
            return error

    def _judged(self, arrived: Arrived, facts: Facts) -> Judged:
        new, now = arrived.new, self.now
        around = self.around.get(arrived.address)
        if around is None:
            raise no_site(arrived.address)
        venue = around.venue
        mode = take_comments(venue.site, venue.article, now)
        if facts.is_banned:
            refuse_banned(self.connection, new.writer, now)
        above = place_below(self.parents, venue.article_id, new.parent_id, self.rules)
        draft = Draft(
            text=arrived.text,
            name=new.name,
            hosts=around.hosts,
            words=self.judge.lists.of_language(self.connection, self.in_force.lists, around.locale),
            is_premoderated=mode == "premoderated",
            is_suspect=new.is_suspect,
        )
        judgement = judge(self.judge, draft, facts, self.in_force)
        return Judged(new, venue, above, arrived.email_hash, mode, judgement, now)
