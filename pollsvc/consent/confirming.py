"""What a link that confirms is about, whether it still may, and the mail that it waits in."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from pollsvc.consent.models import Confirmation, Consent, ConsentEvent, ConsentText, Kind
from pollsvc.consent.states import ENDS
from pollsvc.outbox.service import drop_waiting_mails


def find_request(session: Session, confirmation: Confirmation) -> ConsentEvent | None:
    """The sign-up that a link confirms; None where the consent was ended since."""
    request = session.scalar(
        select(ConsentEvent).where(
            ConsentEvent.consent_id == confirmation.consent_id,
            ConsentEvent.kind == Kind.REQUESTED,
            ConsentEvent.evidence["request_id"].as_string() == str(confirmation.request_id),
        )
    )
    return None if request is None or _ended_since(session, request) else request


def may_renew(session: Session, consent: Consent, confirmation: Confirmation, text: ConsentText) -> bool:
    """Whether a link renews a consent: it was mailed since that was last given, and to something newer.

    :param text: what the link's mail showed.
    """
    mailed = session.scalar(
        select(ConsentEvent).where(
            ConsentEvent.consent_id == consent.id,
            ConsentEvent.kind == Kind.RENEWAL_SENT,
            ConsentEvent.evidence["token_hash"].as_string() == confirmation.token_hash.hex(),
        )
    )
    if mailed is None or _ended_since(session, mailed):
        return False
    return text.version > session.get_one(ConsentText, consent.text_id).version


def drop_unsent(session: Session, consent: Consent) -> None:
    """Delete the mails whose links would confirm a consent, where they still wait: their links do nothing any more.

    One under way goes too: its reader has left, and no server's "later" sends it again.

    :param consent: locked by the caller.
    """
    sent = select(Confirmation.message_id).where(
        Confirmation.subscriber_id == consent.subscriber_id, Confirmation.consent_id == consent.id
    )
    for kind in ("confirmation", "renewal"):
        subject = f"subscriber:{consent.subscriber_id}"
        drop_waiting_mails(session, kind, subject=subject, message_ids=sent, even_under_way=True)


def _ended_since(session: Session, event: ConsentEvent) -> bool:
    """Whether the consent was ended after this event, and so after the link that was made in the same step."""
    # By number, which tells the order also where clocks do not.
    ended = select(ConsentEvent.id).where(
        ConsentEvent.consent_id == event.consent_id,
        ConsentEvent.kind.in_(ENDS),
        ConsentEvent.id > event.id,
    )
    return session.scalar(ended.limit(1)) is not None
