"""What readers do with consent, in a test: sign up, and have it decided as the worker does."""

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from pollsvc.consent.links import Links
from pollsvc.consent.models import Consent, ConsentText, SignUp
from pollsvc.consent.service import take_sign_up
from pollsvc.consent.signing_up import Desk, process_sign_up
from pollsvc.keys import Keys
from tests.factories import ARTICLE_URL, ORIGIN

ADA = "ada@reader.example"


def links(keys: Keys) -> Links:
    """Links of the application under test."""
    return Links("http://localhost", "localhost", keys)


def sign_up(session: Session, keys: Keys, text: ConsentText, now: datetime, **changes: Any) -> SignUp:
    """Tick the box at a text, as Ada on the article unless told otherwise."""
    given: dict[str, Any] = {
        "text_id": text.id,
        "email": ADA,
        "article_url": ARTICLE_URL,
        "origin": ORIGIN,
        "is_suspect": False,
    }
    return take_sign_up(session, keys, **(given | changes), now=now)


def ask(session: Session, keys: Keys, text: ConsentText, now: datetime, **changes: Any) -> Consent:
    """Tick the box and have it decided: a consent that waits for its confirmation."""
    waiting = sign_up(session, keys, text, now, **changes)
    process_sign_up(session, Desk(links(keys)), waiting.id, now)
    return session.get_one(Consent, waiting.id)
