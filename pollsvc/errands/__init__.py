"""What the worker does whenever it looks: each feature's errands, and the ways that messages leave."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy.orm import Session

from pollsvc.config import Settings
from pollsvc.consent.links import Links
from pollsvc.consent.signing_up import Desk
from pollsvc.errands import of_comments, of_consent, of_outbox, of_polls, of_privacy
from pollsvc.errands.errand import Errand, Outing
from pollsvc.keys import Keys
from pollsvc.outbox.delivery import Transport
from pollsvc.outbox.smtp import mail_transport
from pollsvc.outbox.webhooks import webhook_transport
from pollsvc.polls.mixing import Pace


def all_transports(settings: Settings, open_session: Callable[[], Session]) -> Mapping[str, Transport]:
    """How messages leave, by channel.

    :param open_session: opens a session for a look at the tables.
    """
    return {"mail": mail_transport(settings), "webhook": webhook_transport(settings, open_session)}


def all_outings(settings: Settings, open_session: Callable[[], Session]) -> tuple[Outing[Any, Any], ...]:
    """Everything there is to do outside, beside messages.

    :param open_session: opens a session for a look at the tables.
    """
    return (of_comments.checks(settings, open_session),)


def all_errands(settings: Settings, keys: Keys) -> tuple[Errand, ...]:
    """Everything there is to do, in this order."""
    links = Links.of(settings, keys)
    return (
        of_polls.mixing(Pace()),
        of_consent.sign_ups(Desk(links, settings.disposable_domains)),
        of_consent.unconfirmed_sign_ups(settings),
        of_consent.worn_links(),
        of_consent.unanswered_renewals(links),
        of_consent.renewals(settings, links),
        of_consent.seals(),
        of_privacy.data_requests(links),
        of_privacy.leftovers(settings),
        of_privacy.retention(settings),
        of_privacy.mail_files(settings),
        of_outbox.fan_outs(),
    )
