"""Polls, choices, ballots and tallies."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    false,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from pollsvc.articles.models import Article
from pollsvc.consent.models import ConsentText
from pollsvc.db import ChoiceIds, Hash, Id, Model


class Kind(StrEnum):
    """How many choices a ballot may hold."""

    SINGLE = "single"
    MULTIPLE = "multiple"


class Visibility(StrEnum):
    """When readers see the tally."""

    ALWAYS = "always"
    AFTER_VOTE = "after_vote"
    AFTER_CLOSE = "after_close"
    NEVER = "never"


class Status(StrEnum):
    """Where a poll stands at a moment."""

    SCHEDULED = "scheduled"
    OPEN = "open"
    CLOSED = "closed"


@dataclass(frozen=True)
class Course:
    """When a poll opens and closes, and who sees its tally meanwhile; the vote's statement asks the same columns."""

    results_visibility: str
    #: None stands for at once, or never.
    opens_at: datetime | None
    closes_at: datetime | None
    #: When somebody closed it by hand, or took it off every page.
    closed_at: datetime | None
    withdrawn_at: datetime | None

    def status_at(self, now: datetime) -> Status:
        """Where the poll stands."""
        if self.closed_at is not None or (self.closes_at is not None and self.closes_at <= now):
            return Status.CLOSED
        if self.opens_at is not None and self.opens_at > now:
            return Status.SCHEDULED
        return Status.OPEN

    def shows_results(self, now: datetime, *, has_voted: bool) -> bool:
        """Whether somebody may see the tally."""
        if self.results_visibility == Visibility.AFTER_VOTE:
            return has_voted
        if self.results_visibility == Visibility.AFTER_CLOSE:
            return self.status_at(now) == Status.CLOSED
        return self.results_visibility == Visibility.ALWAYS


def most_choices(kind: str, max_choices: int | None, choices: int) -> int:
    """How many of a poll's choices one ballot may hold."""
    return 1 if kind == Kind.SINGLE else min(max_choices or choices, choices)


poll_article = Table(
    "poll_article",
    Model.metadata,
    Column("poll_id", ForeignKey("poll.id"), primary_key=True),
    Column("article_id", ForeignKey("article.id"), primary_key=True),
    Index("ix_poll_article_article_id", "article_id"),
)


class Poll(Model):
    """A question on one or more articles of a site."""

    __tablename__ = "poll"
    __table_args__ = (
        CheckConstraint("kind IN ('single', 'multiple')", name="known_kind"),
        CheckConstraint(
            "results_visibility IN ('always', 'after_vote', 'after_close', 'never')", name="known_visibility"
        ),
        CheckConstraint("closes_at > opens_at", name="closes_after_opening"),
        CheckConstraint("max_choices IS NULL OR max_choices >= 1", name="max_choices_from_one"),
        CheckConstraint("kind = 'multiple' OR max_choices IS NULL", name="single_has_no_max_choices"),
    )

    id: Mapped[Id]
    site_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("site.id"), index=True)
    question: Mapped[str]
    kind: Mapped[str]
    results_visibility: Mapped[str]
    allow_change: Mapped[bool]
    #: None stands for as many as there are choices.
    max_choices: Mapped[int | None] = mapped_column(SmallInteger)
    consent_text_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("consent_text.id"))
    #: None stands for at once, or never.
    opens_at: Mapped[datetime | None]
    closes_at: Mapped[datetime | None]
    #: When somebody closed it by hand, or took it off every page.
    closed_at: Mapped[datetime | None]
    withdrawn_at: Mapped[datetime | None]
    #: The id of the next choice; ids of removed choices are never given again.
    next_choice_id: Mapped[int] = mapped_column(SmallInteger)
    version: Mapped[int]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    choices: Mapped[list[Choice]] = relationship(
        order_by="Choice.position", lazy="selectin", cascade="all, delete-orphan"
    )
    articles: Mapped[list[Article]] = relationship(
        secondary=poll_article, lazy="selectin", order_by=Article.id
    )
    consent_text: Mapped[ConsentText | None] = relationship(lazy="selectin")

    @property
    def course(self) -> Course:
        """When it opens and closes, and who sees its tally."""
        return Course(
            self.results_visibility, self.opens_at, self.closes_at, self.closed_at, self.withdrawn_at
        )

    def status_at(self, now: datetime) -> Status:
        """Where the poll stands."""
        return self.course.status_at(now)

    @property
    def most_choices(self) -> int:
        """How many choices one ballot may hold."""
        return most_choices(self.kind, self.max_choices, len(self.choices))


class Choice(Model):
    """An answer; its id is 1, 2, 3… in the order given, never reused."""

    __tablename__ = "choice"
    __table_args__ = (PrimaryKeyConstraint("poll_id", "id"),)

    poll_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("poll.id"))
    id: Mapped[int] = mapped_column(SmallInteger, autoincrement=False)
    text: Mapped[str]
    position: Mapped[int] = mapped_column(SmallInteger)


class Ballot(Model):
    """One reader's choices in one poll. The primary key is promise 1.

    Nothing here leads to a person (promise 7): no id of its own, the hour instead of the time, and on SQLite no rowid.
    """

    __tablename__ = "ballot"
    __table_args__ = (
        PrimaryKeyConstraint("poll_id", "voter_key"),
        CheckConstraint("state IN ('counted', 'held')", name="known_state"),
        CheckConstraint("tier IN ('login', 'cookie', 'storage', 'frame', 'form')", name="known_tier"),
        # The few that wait to be mixed. SQLite keeps ballots in the order of their random keys: nothing to mix there.
        Index(
            "ix_ballot_is_mixed",
            "poll_id",
            postgresql_where=text("NOT is_mixed"),
            info={"dialect": "postgresql"},
        ).ddl_if(dialect="postgresql"),
        {"sqlite_with_rowid": False},
    )

    poll_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("poll.id"))
    voter_key: Mapped[Hash]
    choices: Mapped[list[int]] = mapped_column(ChoiceIds)
    #: Sealed: :func:`pollsvc.voters.service.open_tier` gives what the identity rests on.
    tier: Mapped[str]
    #: False on ballots of the first release, which stored it in the open.
    is_tier_sealed: Mapped[bool] = mapped_column(default=True, server_default=false())
    state: Mapped[str]
    #: Of the vote that stands: a changed one is of the hour of the change.
    voted_hour: Mapped[datetime]
    #: False as long as its row is to be written again among others: it came or was changed just now, or it is kept to
    #: hide those that come (docs/adr/0014).
    is_mixed: Mapped[bool] = mapped_column(default=False, server_default=false())


class TallySlot(Model):
    """A part of a choice's count; the count is the sum over slots, so that voters seldom wait for one row.

    ``voters`` counts each ballot once, at its first choice: its sum is the number of voters.
    """

    __tablename__ = "tally_slot"
    __table_args__ = (
        PrimaryKeyConstraint("poll_id", "choice_id", "slot"),
        ForeignKeyConstraint(["poll_id", "choice_id"], ["choice.poll_id", "choice.id"]),
        {"sqlite_with_rowid": False, "postgresql_with": {"fillfactor": 50}},
    )

    poll_id: Mapped[uuid.UUID]
    choice_id: Mapped[int] = mapped_column(SmallInteger, autoincrement=False)
    slot: Mapped[int] = mapped_column(SmallInteger, autoincrement=False)
    n: Mapped[int]
    voters: Mapped[int]


class TallyClock(Model):
    """The second in which a poll's tally last changed. By poll, not by choice: it tells nothing of a ballot."""

    __tablename__ = "tally_clock"
    __table_args__ = (PrimaryKeyConstraint("poll_id"), {"postgresql_with": {"fillfactor": 50}})

    poll_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("poll.id"))
    changed_at: Mapped[datetime]
