"""The page of a poll without scripts: form, the same form to be pressed once more, result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from flask import Response, make_response, redirect, render_template, url_for
from sqlalchemy import select
from sqlalchemy.orm import Session

from pollsvc.consent.models import Mode
from pollsvc.embeds.identity import FIELD, Reader, remember
from pollsvc.embeds.plain_forms import NO_CHOICE, PlainForm
from pollsvc.embeds.receipts import issue_receipt, read_receipt
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
class Vote:
    """What a reader did in a poll.

    :param choices: theirs; none where they have not voted, or nobody can tell.
    :param outcome: what became of the vote when it was sent.
    :param sign_up: what became of the newsletter sign-up beside it; None without one.
    """

    choices: Sequence[int] = ()
    outcome: str = Outcome.COUNTED
    sign_up: SignUp | None = None


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
    def status(self) -> Status:
        """Where the poll stands now; the vote's own statement decides."""
        return self.poll.status_at(now())

    def find_vote(self) -> Vote:
        """What the reader voted."""
        key = voter_key(keys(), self.poll.id, self.reader.voter)
        mine = select(Ballot.choices).where(Ballot.poll_id == self.poll.id, Ballot.voter_key == key)
        return Vote(() if self.reader.is_new else self.session.scalar(mine) or ())

    def read_receipt(self, receipt: str | None) -> Vote | None:
        """The vote that a receipt tells of, or None if it is too old, or not one of this poll's."""
        facts = read_receipt(keys(), now(), str(self.poll.id), receipt)
        if facts is None:
            return None
        sign_up = SignUp(**facts["sign_up"]) if facts["sign_up"] else None
        return Vote(facts["choices"], facts["outcome"], sign_up)

    def form(
        self, filled: PlainForm | None = None, *, chosen: Sequence[int] = (), is_foreign: bool = False
    ) -> Response:
        """The form, empty or as it was filled in; with errors beside their fields it is a 422.

        Where the poll takes no votes now, the page says so instead.

        :param is_foreign: whether it came from a page that we do not know, and is to be pressed once more.
        """
        if self.status != Status.OPEN:
            return self.result(self.find_vote(), refusal=self._closed())
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

    def result(self, vote: Vote, *, refusal: Conflict | None = None) -> Response:
        """How the poll stands, or why that is not shown.

        :param refusal: why the vote just sent was not counted; the page is then a 409.
        """
        sentences = [self._vote_sentence(vote, refusal), vote.sign_up.sentence if vote.sign_up else ""]
        may_change = vote.choices and self.poll.allow_change and not self.reader.is_new
        return self._page(
            "result",
            409 if refusal else 200,
            has_voted=bool(vote.choices),
            own=vote.choices,
            status=" ".join(filter(None, sentences)),
            note=self._note(),
            retry=self._retry(vote),
            leaving=self._leaving(vote),
            change=f"{self.address}?change=1" if may_change and self.status == Status.OPEN else None,
        )

    def redirect_to_result(self, vote: Vote, *, is_foreign: bool = False) -> Response:
        """Send the browser to the result, so that a reload posts nothing again.

        :param is_foreign: whether it came from a page that we do not know.
        """
        response = make_response(redirect(f"{self.address}?receipt={self._receipt(vote)}", 303))
        return response if is_foreign else remember(response, self.reader)

    def why_not(self, choices: Sequence[int]) -> str:
        """What is wrong with choices that were refused."""
        if not set(choices) <= {choice.id for choice in self.poll.choices} or len(set(choices)) < len(
            choices
        ):
            return NO_CHOICE
        most = self.poll.most_choices
        return f"Choose at most {most} answers." if most > 1 else "Choose one answer only."

    def _page(self, state: str, code: int, *, has_voted: bool = False, **context: Any) -> Response:
        reading = read_poll(self.session, self.poll.id, now(), has_voted=has_voted)
        shown = {**PollSchema().dump(reading), "is_for_accounts": reading.is_for_accounts}
        html = render_template(
            "embeds/poll.html",
            state=state,
            poll=shown,
            # Nought of nought votes is no result.
            results=None if self.status == Status.SCHEDULED else shown["results"],
            # Never from the form: whoever may say where the link leads could lead readers anywhere.
            article_url=shown["article_urls"][0],
            **context,
        )
        response = make_response(html, code)
        # Asked by a foreign page, the browser may have left our cookie out: a new one would take the reader's place.
        return response if state == "confirm" else remember(response, self.reader)

    def _receipt(self, vote: Vote) -> str:
        return issue_receipt(keys(), now(), str(self.poll.id), asdict(vote))

    def _retry(self, vote: Vote) -> dict[str, Any] | None:
        """The sign-up once more, where its address was not taken; the receipt keeps the vote on the page."""
        text = self.poll.consent_text
        # An account's token comes by no form, however often it is sent.
        if text is None or text.mode == Mode.SOFT_OPT_IN:
            return None
        if not (vote.sign_up and vote.sign_up.error):
            return None
        hidden = {"receipt": self._receipt(vote), "form_token": _new_form_token()}
        return {"action": self.address, "hidden": hidden, **asdict(vote.sign_up)}

    def _leaving(self, vote: Vote) -> dict[str, Any] | None:
        """The sign-up just taken, to be taken back: by its key, which works for as long as the page is open and longer."""
        if not (vote.sign_up and vote.sign_up.withdrawal_key):
            return None
        hidden = {"withdrawal_key": vote.sign_up.withdrawal_key, "receipt": self._receipt(vote)}
        return {"action": url_for("embeds.take_back", poll_id=self.poll.id), "hidden": hidden}

    def _closed(self) -> Conflict:
        return PollNotOpen() if self.status == Status.SCHEDULED else PollClosed()

    def _vote_sentence(self, vote: Vote, refusal: Conflict | None) -> str:
        if isinstance(refusal, AlreadyVoted):
            return "You have already voted. Your first vote stands."
        if refusal and self.status == Status.CLOSED:
            stands = "Your first vote stands." if vote.choices else "Your vote was not counted."
            return f"This poll is closed. {stands}"
        if vote.choices:
            return "Your vote was changed." if vote.outcome == Outcome.CHANGED else "Your vote was counted."
        if self.status == Status.SCHEDULED and self.poll.opens_at:
            return f"Voting opens on {_when(self.poll.opens_at)}."
        return "This poll is closed." if self.status == Status.CLOSED else ""

    def _note(self) -> str | None:
        """What stands in place of hidden results."""
        if self.status == Status.SCHEDULED:
            return None
        if self.status == Status.CLOSED or self.poll.results_visibility == Visibility.NEVER:
            return "The results of this poll are not published."
        closing = f" on {_when(self.poll.closes_at)}" if self.poll.closes_at else ""
        return f"The results will be shown when the poll closes{closing}."


def _ids(texts: Sequence[str]) -> list[int]:
    return [int(text) for text in texts if text.isascii() and text.isdigit() and len(text) < 6]


def _new_form_token() -> str:
    return issue_form_token(keys(), now())


def _when(time: datetime) -> str:
    return f"{time.day} {time:%B %Y} at {time:%H:%M} UTC"
