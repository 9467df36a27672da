"""Editors make, edit, close and withdraw polls."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session, lazyload

from pollsvc.articles.models import Article
from pollsvc.articles.service import ensure_article, find_article
from pollsvc.consent.texts import ConsentTextNotFound, get_text, newsletter_text
from pollsvc.errors import Conflict, Gone, Invalid, NotFound, StaleVersion, one_field
from pollsvc.polls import tallies
from pollsvc.polls.changes import facts, note_change, note_made
from pollsvc.polls.choices import ChoiceEdit, arrange_choices
from pollsvc.polls.models import Ballot, Kind, Poll, poll_article
from pollsvc.polls.statements import lock_poll
from pollsvc.staff.service import record


class PollNotFound(NotFound):
    """No poll has this id."""

    code = "poll_not_found"
    detail = "There is no poll with this id."


class PollWithdrawn(Gone):
    """The poll was taken off every page."""

    code = "poll_withdrawn"
    detail = "This poll was withdrawn by the newsroom."


class BallotsIn(Conflict):
    """Ballots are in: how they were cast must stay."""

    code = "ballots_in"
    detail = "Ballots are in: kind and max_choices can no longer change."


@dataclass(frozen=True)
class NewPoll:
    """A poll as an editor asks for it; see DESIGN §4 for the defaults."""

    article_urls: Sequence[str]
    question: str
    choices: Sequence[ChoiceEdit]
    kind: str
    results_visibility: str
    allow_change: bool
    max_choices: int | None
    opens_at: datetime | None
    closes_at: datetime | None
    #: None stands for a poll without a consent line.
    consent_text_id: uuid.UUID | None = None
    #: Whether the site's own text is taken, which is the default of the API.
    has_site_text: bool = False


def create_poll(session: Session, new: NewPoll, *, actor: str, now: datetime) -> Poll:
    """Make a poll on one or more articles of one site.

    :raises Invalid: if an article is on no site or another one, or times or ``max_choices`` make no sense.
    """
    articles = _articles(session, new.article_urls, now)
    site = articles[0].site
    poll = Poll(
        site_id=site.id,
        question=new.question,
        kind=new.kind,
        results_visibility=new.results_visibility,
        allow_change=new.allow_change,
        max_choices=new.max_choices,
        opens_at=new.opens_at,
        closes_at=new.closes_at,
        next_choice_id=1,
        version=1,
        created_at=now,
        updated_at=now,
        articles=articles,
    )
    if new.has_site_text:
        poll.consent_text = newsletter_text(session, site, actor=actor, now=now)
    else:
        _set_consent_text(session, poll, new.consent_text_id)
    arrange_choices(poll, new.choices, has_ballots=False)
    _check(poll)
    session.add(poll)
    session.flush()
    note_made(session, poll, actor=actor, now=now)
    return poll


def edit_poll(
    session: Session,
    poll_id: uuid.UUID,
    changes: Mapping[str, Any],
    *,
    version: int | None,
    actor: str,
    now: datetime,
) -> Poll:
    """Change a poll; what it was is kept in the audit row.

    :param changes: fields of :class:`NewPoll` by name.
    :param version: the version the editor read, compared where given.
    :raises StaleVersion: if the poll changed since.
    :raises ChoicesFixed, BallotsIn: if ballots are in and the change would alter what they mean.
    """
    poll = _get_locked(session, poll_id)
    if version is not None and version != poll.version:
        raise StaleVersion(extra={"current": {"version": poll.version}})
    before = facts(poll)
    # The order leads to the key. Without it PostgreSQL reads the table from its beginning where it knows that many rows
    # are this poll's, and they may all stand at its end.
    first = select(Ballot.poll_id).where(Ballot.poll_id == poll_id).order_by(Ballot.voter_key).limit(1)
    has_ballots = session.scalar(first) is not None
    ballot_shape = (poll.kind, poll.most_choices)
    # A look-up would flush what was set before it, and the database refuse it without naming the field.
    with session.no_autoflush:
        for name, value in changes.items():
            if name == "choices":
                arrange_choices(poll, value, has_ballots=has_ballots)
            elif name == "article_urls":
                poll.articles = _articles(session, value, now, site_id=poll.site_id)
            elif name == "consent_text_id":
                _set_consent_text(session, poll, value)
            else:
                setattr(poll, name, value)
    _check(poll)
    if has_ballots and ballot_shape != (poll.kind, poll.most_choices):
        raise BallotsIn
    after = facts(poll)
    if after != before:
        note_change(session, poll, "poll.edited", actor=actor, now=now, before=before, after=after)
    return poll


def close_poll(session: Session, poll_id: uuid.UUID, *, actor: str, now: datetime) -> Poll:
    """End the vote now. Closing twice changes nothing."""
    poll = _get_locked(session, poll_id)
    if poll.closed_at is None:
        poll.closed_at = now
        note_change(session, poll, "poll.closed", actor=actor, now=now)
    return poll


def withdraw_poll(session: Session, poll_id: uuid.UUID, *, actor: str, now: datetime) -> Poll:
    """Take a wrong poll off every page; ballots are kept. Withdrawing twice changes nothing."""
    poll = _get_locked(session, poll_id)
    if poll.withdrawn_at is None:
        poll.withdrawn_at = now
        note_change(session, poll, "poll.withdrawn", actor=actor, now=now)
    return poll


def recount_poll(
    session: Session, poll_id: uuid.UUID, *, actor: str, now: datetime
) -> list[tallies.Difference]:
    """Rebuild the tally from the ballots, and tell what was different."""
    poll = get_poll(session, poll_id)
    differences = tallies.recount(session, poll_id, now)
    names = ("choice_id", "votes", "voters")
    found = [{name: getattr(each, name) for name in names} for each in differences]
    detail = {"differences": found}
    record(session, actor=actor, action="poll.recounted", subject=("poll", poll.id), now=now, detail=detail)
    return differences


def get_poll(session: Session, poll_id: uuid.UUID) -> Poll:
    """The poll with this id, withdrawn or not.

    :raises PollNotFound: if there is none.
    """
    poll = session.get(Poll, poll_id)
    if poll is None:
        raise PollNotFound
    return poll


def get_shown_poll(session: Session, poll_id: uuid.UUID) -> Poll:
    """The poll with this id, as long as readers may see it.

    :raises PollNotFound: if there is none.
    :raises PollWithdrawn: if it was taken off every page.
    """
    poll = get_poll(session, poll_id)
    if poll.withdrawn_at is not None:
        raise PollWithdrawn
    return poll


def list_article_polls(session: Session, article_url: str) -> list[uuid.UUID]:
    """The ids of the polls that readers may see on an article, oldest first.

    :raises Invalid: if no site owns the article's host.
    """
    article = find_article(session, article_url)
    if article is None:
        return []
    shown = (
        select(Poll.id)
        .join(poll_article)
        .where(poll_article.c.article_id == article.id, Poll.withdrawn_at.is_(None))
    )
    return list(session.scalars(shown.order_by(Poll.id)))


def list_polls(session: Session, article_url: str | None = None) -> Select[Poll]:
    """All polls, or those of an article, withdrawn ones included.

    :raises Invalid: if no site owns the article's host.
    """
    # Their own rows only: what belongs to them is read for a whole page at once.
    polls = select(Poll).options(lazyload("*"))
    if article_url is None:
        return polls
    article = find_article(session, article_url)
    article_id = article.id if article else None
    return polls.join(poll_article).where(poll_article.c.article_id == article_id)


def _get_locked(session: Session, poll_id: uuid.UUID) -> Poll:
    lock_poll(session, poll_id)
    poll = session.get(Poll, poll_id, populate_existing=True)
    if poll is None:
        raise PollNotFound
    return poll


def _articles(
    session: Session, urls: Sequence[str], now: datetime, site_id: uuid.UUID | None = None
) -> list[Article]:
    found: dict[uuid.UUID, Article] = {}
    for index, url in enumerate(urls):
        try:
            article = ensure_article(session, url, now, by_reader=False)
        except Invalid as error:
            raise one_field(f"article_urls.{index}", error.detail) from error
        site_id = site_id or article.site_id
        if article.site_id != site_id:
            raise one_field(
                f"article_urls.{index}", "All articles of a poll belong to one site; this one does not."
            )
        found[article.id] = article
    # As they are read again, so that an answer and the next one agree.
    return sorted(found.values(), key=lambda article: article.id)


def _set_consent_text(session: Session, poll: Poll, text_id: uuid.UUID | None) -> None:
    try:
        text = get_text(session, text_id) if text_id else None
    except ConsentTextNotFound as error:
        raise one_field("consent_text_id", error.detail) from error
    if text and text.site_id != poll.site_id:
        raise one_field("consent_text_id", "This text belongs to another site.")
    poll.consent_text = text


def _check(poll: Poll) -> None:
    if poll.opens_at and poll.closes_at and poll.closes_at <= poll.opens_at:
        raise one_field("closes_at", "Must lie after opens_at.")
    if poll.kind == Kind.SINGLE and poll.max_choices is not None:
        if poll.max_choices != 1:
            raise one_field("max_choices", "A single-choice poll takes one choice.")
        poll.max_choices = None
    if poll.max_choices is not None and poll.max_choices > len(poll.choices):
        raise one_field("max_choices", "Is more than there are choices.")
