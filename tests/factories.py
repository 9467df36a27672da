"""Rows that tests begin with, made through the services' own doors and flushed, not committed.

Each takes a session and, by name, what the test is about; the rest is always the same.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.orm import Session

from pollsvc.articles import service as articles
from pollsvc.articles.models import Article, Site
from pollsvc.comments import editing
from pollsvc.comments import service as comments
from pollsvc.comments.admission import Rules
from pollsvc.comments.arriving import judge_comments, read_comment
from pollsvc.comments.entries import Judged, NewComment
from pollsvc.comments.judging import Judge
from pollsvc.comments.status import Standing
from pollsvc.comments.writers import Writer, writer_of_token
from pollsvc.consent import texts
from pollsvc.consent.models import ConsentText
from pollsvc.corrections import service as corrections
from pollsvc.corrections.models import Correction
from pollsvc.keys import Keys
from pollsvc.moderation import service as desk
from pollsvc.polls import ballots
from pollsvc.polls import service as polls
from pollsvc.polls.choices import ChoiceEdit
from pollsvc.polls.models import Poll
from pollsvc.staff import service as staff
from pollsvc.voters import service as voters

THEN = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)  # a day before the `now` of the tests
ACTOR = "test"
#: Whose decisions are a human's: an actor of the newsroom.
MODERATOR = "token:0198c0de-0000-7000-8000-000000000001"
#: As deep as replies go, and as long as a comment can be edited, where a test says nothing else.
RULES = Rules(depth=3, edit_window=timedelta(minutes=15))
ORIGIN = "https://news.example"
ARTICLE_URL = f"{ORIGIN}/harbour/new-ferry"


def make_site(
    session: Session, *, name: str = "The Harbour Gazette", origins: Sequence[str] = (ORIGIN,), **links: str
) -> Site:
    """Make a site with all its links, of which `links` changes some."""
    defaults = {
        "privacy_url": f"{ORIGIN}/privacy",
        "terms_url": f"{ORIGIN}/terms",
        "standards_url": f"{ORIGIN}/standards",
        "desk_email": "desk@news.example",
    }
    return articles.create_site(
        session, name=name, origins=origins, actor=ACTOR, now=THEN, **(defaults | links)
    )


def make_article(session: Session, *, url: str = ARTICLE_URL) -> Article:
    """Make an article of a site that exists."""
    return articles.ensure_article(session, url, THEN, by_reader=False)


def make_token(
    session: Session, *, name: str = "a desk", scopes: Sequence[str] = ("admin",), **changes: Any
) -> str:
    """Make an API token and give its secret."""
    defaults: dict[str, Any] = {"name": name, "scopes": scopes, "actor": ACTOR, "now": THEN}
    _, secret = staff.create_token(session, **(defaults | changes))
    return secret


def make_voter_token(keys: Keys, *, number: int = 1, now: datetime | None = None) -> str:
    """Make the token of the reader of this number: the same number is the same reader.

    It is signed for 400 days from now on, or from the `now` given: HTTP reads the real clock.
    """
    return voters.issue_token(keys, now or datetime.now(UTC), number.to_bytes(16, "big")).voter_token


def make_consent_text(session: Session, *, site: Site, **changes: Any) -> ConsentText:
    """Make the next version of a site's newsletter text."""
    defaults: dict[str, Any] = {
        "body": f"Send me the newsletter of {site.name}. It is free, and I may leave at any time.",
        "actor": ACTOR,
        "now": THEN,
    }
    return texts.publish_text(session, site_id=site.id, **(defaults | changes))


def make_poll(session: Session, *, choices: Sequence[str] = ("Yes", "No"), **changes: Any) -> Poll:
    """Make an open poll on an article of a site that exists; `changes` are the fields of NewPoll."""
    defaults: dict[str, Any] = {
        "article_urls": [ARTICLE_URL],
        "question": "Should the ferry run at night?",
        "kind": "single",
        "results_visibility": "always",
        "allow_change": False,
        "max_choices": None,
        "opens_at": None,
        "closes_at": None,
    }
    edits = [ChoiceEdit(None, text) for text in choices]
    return polls.create_poll(
        session, polls.NewPoll(choices=edits, **(defaults | changes)), actor=ACTOR, now=THEN
    )


def make_voter(*, number: int = 1, tier: voters.Tier = voters.Tier.STORAGE) -> voters.Voter:
    """Make the reader of this number; the same as `make_voter_token` gives a token to."""
    return voters.Voter(number.to_bytes(16, "big"), tier)


def make_ballots(session: Session, *, keys: Keys, poll: Poll, counts: Sequence[int], first: int = 1) -> None:
    """Cast `counts[0]` ballots for the first choice, and so on, each by a reader of its own from number `first` on."""
    number = first
    for choice, count in zip(poll.choices, counts, strict=True):
        for _ in range(count):
            voter = make_voter(number=number)
            ballot = ballots.new_ballot(keys, poll_id=poll.id, choices=[choice.id], voter=voter, now=THEN)
            ballots.cast_vote(session, ballot)
            number += 1


def cast(
    session: Session,
    *,
    keys: Keys,
    poll: Poll,
    choices: Sequence[int],
    number: int = 1,
    tier: voters.Tier = voters.Tier.STORAGE,
    now: datetime = THEN,
) -> ballots.Outcome:
    """Vote as the reader of this number; what becomes of it, or the refusal, is what the rule says."""
    voter = make_voter(number=number, tier=tier)
    ballot = ballots.new_ballot(keys, poll_id=poll.id, choices=choices, voter=voter, now=now)
    return ballots.cast_vote(session, ballot)


def make_correction(session: Session, *, keys: Keys, **changes: Any) -> Correction:
    """Make a reader's report on an article of a site that exists."""
    defaults: dict[str, Any] = {
        "article_url": ARTICLE_URL,
        "name": "Ada Reader",
        "email": "ada@reader.example",
        "message": "The ferry has two decks, not three.",
        "quote": None,
        "is_suspect": False,
        "now": THEN,
    }
    return corrections.submit_correction(session, keys, **(defaults | changes))


def make_writer(keys: Keys, *, number: int = 1) -> Writer:
    """Make the commenting reader of this number; the same as `make_voter_token` gives a token to."""
    return writer_of_token(keys, make_voter_token(keys, number=number, now=THEN), THEN)


def new_comment(keys: Keys, *, number: int = 1, parent: Standing | None = None, **changes: Any) -> NewComment:
    """What the reader of this number sends."""
    defaults: dict[str, Any] = {
        "article_url": parent.article_url if parent else ARTICLE_URL,
        "parent_id": parent.id if parent else None,
        "writer": make_writer(keys, number=number),
        "name": f"Reader {number}",
        "email": f"reader-{number}@reader.example",
        "body": f"Well said, {number}.",
        "is_suspect": False,
    }
    return NewComment(**(defaults | changes))


def judge_comment(
    connection: Connection, judge: Judge, new: NewComment, rules: Rules = RULES, now: datetime = THEN
) -> Judged:
    """Look at one comment; raises why it is not taken."""
    found = judge_comments(connection, judge, [read_comment(judge, new)], rules, now)[0]
    if isinstance(found, Exception):
        raise found
    return found


def make_comment(
    session: Session,
    *,
    keys: Keys,
    number: int = 1,
    parent: Standing | None = None,
    is_approved: bool = False,
    rules: Rules = RULES,
    judge: Judge | None = None,
    now: datetime = THEN,
    **changes: Any,
) -> Standing:
    """Write a comment of the reader of this number on an article of a site that exists.

    The same words of the same reader in the same place are the same comment. `judge` is one with other checks.
    """
    new = new_comment(keys, number=number, parent=parent, **changes)
    judge = judge or Judge(keys)
    session.flush()
    judged = judge_comment(session.connection(), judge, new, rules, now)
    standing, _ = comments.submit_comment(session, judge, judged, rules, now)
    return decide_comment(session, standing, now=now) if is_approved else standing


def decide_comment(
    session: Session,
    seen: Standing,
    action: str = "approve",
    *,
    reason_code: str | None = None,
    note: str | None = None,
    actor: str = MODERATOR,
    now: datetime = THEN,
) -> Standing:
    """Decide about a comment as it was seen."""
    return desk.decide(
        session,
        seen.id,
        action=action,
        version=seen.version,
        reason_code=reason_code,
        note=note,
        actor=actor,
        now=now,
    )


def edit_comment(
    session: Session,
    seen: Standing,
    body: str,
    *,
    keys: Keys,
    number: int = 1,
    rules: Rules = RULES,
    judge: Judge | None = None,
    now: datetime = THEN,
) -> Standing:
    """Edit a comment as it was seen, as the reader of this number."""
    edit = editing.judge_edit(
        session,
        judge or Judge(keys),
        seen.id,
        writer=make_writer(keys, number=number),
        body=body,
        version=seen.version,
        rules=rules,
        now=now,
    )
    return editing.edit_comment(session, edit, now)
