"""The content of the demo article: a made-up paper, its poll, and 642 ballots cast by the service's own rules."""

from __future__ import annotations

import hashlib
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from pollsvc.articles.models import Site
from pollsvc.articles.service import create_site, edit_site
from pollsvc.keys import Keys
from pollsvc.polls.ballots import cast_vote
from pollsvc.polls.choices import ChoiceEdit
from pollsvc.polls.models import Kind, Poll, Visibility
from pollsvc.polls.service import NewPoll, create_poll
from pollsvc.voters.service import Tier, Voter

NAME = "The Tarrowby Courier"
ARTICLE_PATH = "/"
QUESTION = "Should Tarrowby keep the ferry bell?"
VOTES = {1: 634, 2: 8}
_ACTOR = "demo"


def make_demo(session: Session, keys: Keys, public_url: str, now: datetime) -> Poll:
    """Make the demo site and its poll where there is none; what is there is kept.

    :param public_url: where the service is reached; another one than before becomes an alias of the site.
    """
    origins = [public_url]
    if "//127.0.0.1" in public_url:
        origins.append(public_url.replace("//127.0.0.1", "//localhost"))
    site = session.scalar(select(Site).where(Site.name == NAME))
    if site is None:
        links = {name: f"{public_url}/demo/{name.removesuffix('_url')}" for name in _LINKS}
        site = create_site(session, name=NAME, origins=origins, actor=_ACTOR, now=now, **links)
    known = [row.origin for row in site.origins]
    if missing := [origin for origin in origins if origin not in known]:
        edit_site(session, site.id, {"origins": [*missing, *known]}, actor=_ACTOR, now=now)
    return find_demo_poll(session) or _make_poll(session, keys, public_url, now)


def find_demo_poll(session: Session) -> Poll | None:
    """The demo article's poll, if it was made."""
    return session.scalar(
        select(Poll).join(Site, Site.id == Poll.site_id).where(Site.name == NAME).order_by(Poll.id).limit(1)
    )


_LINKS = ("privacy_url", "terms_url", "standards_url")


def _make_poll(session: Session, keys: Keys, public_url: str, now: datetime) -> Poll:
    new = NewPoll(
        article_urls=[public_url + ARTICLE_PATH],
        question=QUESTION,
        choices=[ChoiceEdit(None, "Yes"), ChoiceEdit(None, "No")],
        kind=Kind.SINGLE,
        results_visibility=Visibility.ALWAYS,
        allow_change=False,
        max_choices=None,
        opens_at=None,
        closes_at=None,
        has_site_text=True,
    )
    poll = create_poll(session, new, actor=_ACTOR, now=now)
    for choice, votes in VOTES.items():
        for number in range(votes):
            identity = hashlib.sha256(f"demo voter {choice} {number}".encode()).digest()[:16]
            voter = Voter(identity, Tier.STORAGE)
            cast_vote(session, keys, poll_id=poll.id, choices=[choice], voter=voter, now=now)
    return poll
