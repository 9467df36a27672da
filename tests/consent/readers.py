"""Readers who sign up, and what a worker makes of it, in a session of the test."""

from __future__ import annotations

import json
import uuid
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from pollsvc.consent import service
from pollsvc.consent.links import Links
from pollsvc.consent.models import Consent, ConsentEvent, ConsentText, Reason, SignUp, Suppression
from pollsvc.consent.service import email_hash, take_sign_up
from pollsvc.consent.signing_up import Desk, Outcome, process_sign_up
from pollsvc.consent.tokens import leaving_token
from pollsvc.keys import Keys
from pollsvc.outbox.models import OutboxMessage
from tests.factories import ARTICLE_URL, make_consent_text, make_site

PUBLIC_URL = "http://localhost"
EMAIL = "ada@reader.example"
#: What pages keep to take their own sign-ups back.
KEY = "k" * 43
OTHER_KEY = "o" * 43
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
WEEK = timedelta(days=7)


class Newsletter:
    """A site's newsletter, and the rules that readers meet, with the clock in the test's hand."""

    def __init__(self, session: Session, keys: Keys, now: datetime, *, disposable: str = "") -> None:
        self.session, self.keys, self.now = session, keys, now
        self.links = Links(PUBLIC_URL, "localhost", keys)
        self.desk = Desk(self.links, frozenset(filter(None, [disposable])))
        self.text = make_consent_text(session, site=make_site(session))
        session.commit()

    def take(
        self,
        email: str = EMAIL,
        *,
        key: str | None = None,
        text: ConsentText | None = None,
        article_url: str = ARTICLE_URL,
    ) -> uuid.UUID:
        """Tick the box: what a request does."""
        sign_up = take_sign_up(
            self.session,
            self.keys,
            text_id=(text or self.text).id,
            email=email,
            article_url=article_url,
            origin="https://news.example",
            is_suspect=False,
            withdrawal_key=key,
            now=self.now,
        )
        self.session.commit()
        return sign_up.id

    def decide(self, sign_up: uuid.UUID) -> Outcome | None:
        """Let the worker decide a sign-up."""
        outcome = process_sign_up(self.session, self.desk, sign_up, self.now)
        self.session.commit()
        return outcome

    def sign_up(self, email: str = EMAIL, **how: Any) -> Outcome | None:
        """Tick the box, and let the worker decide it."""
        return self.decide(self.take(email, **how))

    def confirm(self, token: str) -> bool:
        """Press the button behind a mail's link."""
        changed = service.confirm(self.session, self.links, token, self.now)
        self.session.commit()
        return changed

    def leave(self, consent: Consent, **how: Any) -> bool:
        """Press the other one."""
        token = leaving_token(self.keys, consent.id)
        changed = service.leave(self.session, self.links, token, **({"method": "page"} | how), now=self.now)
        self.session.commit()
        return changed

    def take_back(self, key: str) -> bool:
        """Untick the box."""
        changed = service.take_back(self.session, self.links, key, self.now)
        self.session.commit()
        return changed

    def activate(self, email: str = EMAIL, **how: Any) -> Consent:
        """Sign up and confirm."""
        assert self.sign_up(email, **how) == Outcome.MAILED
        assert self.confirm(self.tokens()[-1])
        return self.consent(email)

    def suppress(self, email: str = EMAIL) -> None:
        """Never write to this address again."""
        self.session.add(
            Suppression(email_hash=email_hash(self.keys, email), reason=Reason.OBJECTED, since=self.now)
        )
        self.session.commit()

    def pass_time(self, time: timedelta) -> None:
        """Let time pass."""
        self.now += time

    def letters(self) -> list[OutboxMessage]:
        """The confirmation mails that wait or were sent, oldest first."""
        mails = select(OutboxMessage).where(OutboxMessage.channel == "mail").order_by(OutboxMessage.id)
        return list(self.session.scalars(mails))

    def tokens(self) -> list[str]:
        """What stands in the links that confirm, oldest first."""
        return [token_of(letter) for letter in self.letters()]

    def waiting(self) -> list[SignUp]:
        """The sign-ups that no worker decided yet."""
        return list(self.session.scalars(select(SignUp)))

    def consent(self, email: str = EMAIL) -> Consent:
        """How the address's consent stands."""
        subscriber = service.find_subscriber(self.session, self.keys, email)
        return self.session.scalars(select(Consent).where(Consent.subscriber_id == subscriber)).one()

    def happened(self) -> list[str]:
        """The kinds of all events, oldest first."""
        return list(self.session.scalars(select(ConsentEvent.kind).order_by(ConsentEvent.id)))


def token_of(letter: OutboxMessage) -> str:
    """What stands in the link of a mail that confirms."""
    assert letter.payload
    url: str = json.loads(letter.payload)["params"]["confirm_url"]
    return url.rpartition("/")[2]
