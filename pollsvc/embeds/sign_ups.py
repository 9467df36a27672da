"""The newsletter sign-up beside a plain vote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from marshmallow import ValidationError

from pollsvc.consent.schemas import NewConsentSchema
from pollsvc.embeds.plain_forms import ASK, BAD_EMAIL, PlainForm
from pollsvc.polls.models import Poll


@dataclass(frozen=True)
class SignUp:
    """What became of a sign-up: taken, or not, and then why and what had been typed.

    :param withdrawal_key: takes it back.
    :param is_taken_back: whether that was done.
    """

    error: str | None = None
    email: str = ""
    withdrawal_key: str = ""
    is_taken_back: bool = False

    @property
    def sentence(self) -> str:
        """What the reader is told."""
        if self.is_taken_back:
            return "Your sign-up is taken back. If you had signed up before as well, each mail has a link to leave."
        return (
            "Your email address was not taken."
            if self.error
            else "Your email address has arrived: thank you."
        )


def is_accepted(sent: Mapping[str, Any]) -> bool:
    """Whether the box was ticked; `on` is what a browser sends for a box without a value."""
    return sent.get("accepted") in ("true", "on")


def consent_fields(poll: Poll, form: PlainForm) -> dict[str, Any]:
    """What a vote form says of the sign-up: text, address and article, as `POST /v1/consents` would take them.

    The article is the one that the form names, if it is the poll's, else the poll's first.

    :raises ValidationError: if a field is wrong.
    """
    urls = [article.url for article in poll.articles]
    named = form.sent.get("article_url")
    body: dict[str, Any] = NewConsentSchema().load(
        {
            "text_id": form.sent.get("text_id", ""),
            "email": form.sent.get("email", ""),
            "accepted": True,
            "article_url": named if named in urls else urls[0],
        }
    )
    return {name: body[name] for name in ("text_id", "email", "article_url")}


def why_not_taken(error: ValidationError, email: str) -> str:
    """What is said beside the address."""
    if "email" in error.messages_dict:
        return BAD_EMAIL if email.strip() else ASK["email"]
    # Whoever tries again sends the poll's own text along.
    return "We could not tell what you agreed to. Please read it again, then try again."
