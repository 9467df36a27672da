"""The content of the demo article: a made-up paper, its poll, and 642 ballots cast by the service's own rules."""

from __future__ import annotations

import hashlib
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from pollsvc.articles.models import Site
from pollsvc.articles.service import create_site, edit_site
from pollsvc.consent.texts import publish_text
from pollsvc.keys import Keys
from pollsvc.polls.ballots import draw_slot, new_ballot
from pollsvc.polls.choices import ChoiceEdit
from pollsvc.polls.models import Kind, Poll, Visibility
from pollsvc.polls.service import NewPoll, create_poll, edit_poll
from pollsvc.polls.statements import insert_ballots
from pollsvc.voters.service import Tier, Voter

NAME = "The Tarrowby Courier"
ARTICLE_PATH = "/"
QUESTION = "Should Tarrowby keep the ferry bell?"
VOTES = {1: 634, 2: 8}
_ACTOR = "demo"


def make_demo(session: Session, keys: Keys, public_url: str, now: datetime) -> Poll:
    """Make the demo site and its poll where there is none; what is there is kept, and follows to another address.

    :param public_url: where the service is reached; where it was reached before stays an alias of the site.
    """
    origins = [public_url]
    if "//127.0.0.1" in public_url:
        origins.append(public_url.replace("//127.0.0.1", "//localhost"))
    links = {name: f"{public_url}/demo/{name.removesuffix('_url')}" for name in _LINKS}
    site = session.scalar(select(Site).where(Site.name == NAME))
    if site is None:
        create_site(session, name=NAME, origins=origins, actor=_ACTOR, now=now, **links)
        return _make_poll(session, keys, public_url, now)
    others = [row.origin for row in site.origins if row.origin not in origins]
    edit_site(session, site.id, {"origins": [*origins, *others], **links}, actor=_ACTOR, now=now)
    poll = find_demo_poll(session) or _make_poll(session, keys, public_url, now)
    shown = poll.consent_text
    if shown is not None and shown.privacy_url != links["privacy_url"]:
        # The text's links moved: what readers are shown from now on is another version.
        text = publish_text(session, site_id=site.id, body=shown.body, actor=_ACTOR, now=now)
        edit_poll(session, poll.id, {"consent_text_id": text.id}, version=None, actor=_ACTOR, now=now)
    return poll


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
        ballots = [
            new_ballot(keys, poll_id=poll.id, choices=[choice], voter=_voter(choice, number), now=now)
            for number in range(votes)
        ]
        insert_ballots(session.connection(), ballots, draw_slot())
    return poll


def _voter(choice: int, number: int) -> Voter:
    return Voter(hashlib.sha256(f"demo voter {choice} {number}".encode()).digest()[:16], Tier.STORAGE)
