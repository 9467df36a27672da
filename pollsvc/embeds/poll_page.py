"""The page of a poll without scripts: form, the same form to be pressed once more, result."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import Response, make_response, redirect, render_template, url_for
from sqlalchemy import select
from sqlalchemy.orm import Session

from pollsvc.embeds.identity import FIELD, Reader, remember
from pollsvc.embeds.plain_forms import NO_CHOICE, PlainForm
from pollsvc.embeds.receipts import issue_receipt
from pollsvc.embeds.sign_ups import SignUp, is_accepted
from pollsvc.errors import Conflict
from pollsvc.polls.ballots import AlreadyVoted, Outcome, PollClosed, PollNotOpen
from pollsvc.polls.models import Ballot, Poll, Status, Visibility
from pollsvc.polls.reading import read_poll
from pollsvc.polls.schemas import PollSchema
from pollsvc.voters.service import voter_key
from pollsvc.web.forms import issue_form_token
from pollsvc.web.state import keys, now


@dataclass(frozen=True)
class PollPage:
    """One poll, before one reader."""

    session: Session
    poll: Poll
    reader: Reader

    @property
    def address(self) -> str:
        """Where the page is, on this host."""
        return url_for("embeds.show_poll", poll_id=self.poll.id)

    @property
    def is_open(self) -> bool:
        """Whether the poll takes votes now; the vote's own statement decides."""
        return self.poll.status_at(now()) == Status.OPEN

    def form(
        self, filled: PlainForm | None = None, *, chosen: Sequence[int] = (), is_foreign: bool = False
    ) -> Response:
        """The form, empty or as it was filled in; with errors beside their fields it is a 422.

        :param is_foreign: whether it came from a page that we do not know, and is to be pressed once more.
        """
        sent = filled.sent if filled else {}
        errors = filled.errors if filled and not is_foreign else {}
        hidden = {FIELD: self.reader.token, "form_token": filled.form_token if filled else _new_form_token()}
        if sent.get("article_url"):
            hidden["article_url"] = sent["article_url"]
        return self._page(
            "confirm" if is_foreign else "form",
            422 if errors else 200,
            action=self.address,
            hidden=hidden,
            chosen=chosen or _ids(sent.get("choices", ())),
            accepted=is_accepted(sent),
            email=sent.get("email"),
            errors=errors,
        )

    def result(
        self,
        own: Sequence[int],
        *,
        refusal: Conflict | None = None,
        outcome: str = Outcome.COUNTED,
        sign_up: SignUp | None = None,
    ) -> Response:
        """How the poll stands, or why that is not shown.

        :param own: the reader's choices; none where they have not voted.
        :param refusal: why the vote just sent was not counted; its status is the page's.
        :param sign_up: what became of the newsletter sign-up beside the vote.
        """
        sentences = [self._vote_sentence(own, refusal, outcome), sign_up.sentence if sign_up else ""]
        retry = None
        if sign_up and sign_up.error and self.poll.consent_text:
            hidden = {"receipt": self._receipt(own, outcome, None), "form_token": _new_form_token()}
            retry = {"action": self.address, "hidden": hidden, "email": sign_up.email, "error": sign_up.error}
        may_change = own and self.poll.allow_change and self.is_open and not self.reader.is_new
        return self._page(
            "result",
            409 if refusal else 200,
            has_voted=bool(own),
            own=own,
            status=" ".join(filter(None, sentences)),
            note=self._note(),
            retry=retry,
            change=f"{self.address}?change=1" if may_change else None,
        )

    def redirect_to_result(self, own: Sequence[int], outcome: str, sign_up: SignUp | None) -> Response:
        """Send the browser to the result, so that a reload posts nothing again."""
        receipt = self._receipt(own, outcome, sign_up)
        response = make_response(redirect(f"{self.address}?receipt={receipt}", 303))
        return remember(response, self.reader)

    def closed(self) -> Conflict:
        """Why the poll takes no votes now."""
        return PollNotOpen() if self.poll.status_at(now()) == Status.SCHEDULED else PollClosed()

    def why_not(self, choices: Sequence[int]) -> str:
        """What is wrong with choices that were refused."""
        if not set(choices) <= {choice.id for choice in self.poll.choices}:
            return NO_CHOICE
        most = self.poll.most_choices
        return f"Choose at most {most} answers." if most > 1 else "Choose one answer only."

    def _receipt(self, own: Sequence[int], outcome: str, sign_up: SignUp | None) -> str:
        facts = {"own": list(own), "outcome": outcome, "sign_up": vars(sign_up) if sign_up else None}
        return issue_receipt(keys(), now(), str(self.poll.id), facts)

    def _page(self, state: str, code: int, *, has_voted: bool = False, **context: Any) -> Response:
        shown = PollSchema().dump(read_poll(self.session, self.poll, now(), has_voted=has_voted))
        html = render_template(
            "embeds/poll.html",
            state=state,
            poll=shown,
            results=shown["results"],
            # Never from the form: whoever may say where the link leads could lead readers anywhere.
            article_url=shown["article_urls"][0],
            **context,
        )
        return remember(make_response(html, code), self.reader)

    def _vote_sentence(self, own: Sequence[int], refusal: Conflict | None, outcome: str) -> str:
        if isinstance(refusal, AlreadyVoted):
            return "You have already voted. Your first vote stands."
        if isinstance(refusal, PollClosed):
            return "This poll is closed. " + (
                "Your first vote stands." if own else "Your vote was not counted."
            )
        if own:
            return "Your vote was changed." if outcome == Outcome.CHANGED else "Your vote was counted."
        status = self.poll.status_at(now())
        if status == Status.SCHEDULED and self.poll.opens_at:
            return f"Voting opens on {_when(self.poll.opens_at)}."
        return "This poll is closed." if status == Status.CLOSED else ""

    def _note(self) -> str | None:
        """What stands in place of hidden results."""
        if self.poll.status_at(now()) == Status.SCHEDULED:
            return None
        if not self.is_open or self.poll.results_visibility == Visibility.NEVER:
            return "The results of this poll are not published."
        closing = f" on {_when(self.poll.closes_at)}" if self.poll.closes_at else ""
        return f"The results will be shown when the poll closes{closing}."


def find_own_choices(session: Session, poll_id: uuid.UUID, reader: Reader) -> list[int]:
    """What a reader voted; nothing where they have not."""
    if reader.is_new:
        return []
    mine = select(Ballot.choices).where(
        Ballot.poll_id == poll_id, Ballot.voter_key == voter_key(keys(), poll_id, reader.voter)
    )
    return session.scalar(mine) or []


def _ids(texts: Sequence[str]) -> list[int]:
    return [int(text) for text in texts if text.isascii() and text.isdigit() and len(text) < 6]


def _new_form_token() -> str:
    return issue_form_token(keys(), now())


def _when(time: datetime) -> str:
    return f"{time.day} {time:%B %Y} at {time:%H:%M} UTC"
