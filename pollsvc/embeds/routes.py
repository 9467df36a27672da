"""Plain HTML forms for polls and corrections: in a frame, and for readers without scripts."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Blueprint, Response, g, render_template, request
from flask_limiter import RateLimitExceeded
from marshmallow import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from pollsvc.articles.service import locate_article
from pollsvc.consent.service import record_consent
from pollsvc.corrections import service as corrections
from pollsvc.corrections.schemas import NewCorrectionSchema
from pollsvc.db import db
from pollsvc.embeds import identity
from pollsvc.embeds.correction_page import CorrectionPage
from pollsvc.embeds.origins import is_welcome, origins_of, site_origins
from pollsvc.embeds.plain_forms import PlainForm, VoteFormSchema, plain_form
from pollsvc.embeds.poll_page import PollPage, find_own_choices
from pollsvc.embeds.receipts import read_receipt
from pollsvc.embeds.sign_ups import SignUp, consent_form, is_accepted, why_not_taken
from pollsvc.errors import Conflict, Invalid, PollsvcError, TooMany, one_field
from pollsvc.polls import ballots
from pollsvc.polls.ballots import AlreadyVoted, Outcome
from pollsvc.polls.models import Poll
from pollsvc.polls.service import PollWithdrawn, get_poll
from pollsvc.web import errors
from pollsvc.web.errors import Problem
from pollsvc.web.guards import public
from pollsvc.web.headers import allow_framing
from pollsvc.web.limits import limited
from pollsvc.web.metrics import SUBMISSIONS, VOTES
from pollsvc.web.state import keys, now, settings

blueprint = Blueprint("embeds", __name__)


def error_page(problem: Problem) -> str:
    """An error, for a person."""
    return render_template(
        "embeds/error.html",
        status=problem.status,
        title=problem.title,
        detail=problem.detail,
        request_id=g.get("request_id"),
    )


@blueprint.get("/embed/polls/<uuid:poll_id>")
@public
def show_poll(poll_id: uuid.UUID) -> Response:
    """The form; the result for a reader who voted, and for whoever brings the receipt of a vote."""
    poll, _ = _open_poll(poll_id)
    page = PollPage(db.session, poll, identity.recognise(request, now()))
    receipt = read_receipt(keys(), now(), str(poll_id), request.args.get("receipt")) or {}
    own = find_own_choices(db.session, poll_id, page.reader) or receipt.get("own", [])
    if page.is_open and (not (own or receipt) or (poll.allow_change and "change" in request.args)):
        return page.form(chosen=own)
    sign_up = SignUp(**receipt["sign_up"]) if receipt.get("sign_up") else None
    return page.result(own, outcome=receipt.get("outcome", Outcome.COUNTED), sign_up=sign_up)


@blueprint.post("/embed/polls/<uuid:poll_id>")
@limited("votes_per_voter", "votes")
@plain_form(VoteFormSchema)
@public
def cast_vote(form: PlainForm, poll_id: uuid.UUID) -> Response:
    """Vote and, beside it, sign up: two transactions, so that the vote stands whatever becomes of the other."""
    poll, is_known = _open_poll(poll_id)
    reader = identity.recognise(request, now(), form.sent.get(identity.FIELD) if is_known else None)
    page = PollPage(db.session, poll, reader)
    receipt = read_receipt(keys(), now(), str(poll_id), form.sent.get("receipt")) or {}
    own = receipt.get("own", [])
    if is_known and form.sent.get("receipt") and "choices" not in form.sent:
        # Only the address beside an earlier vote was wrong, and is sent again.
        return page.redirect_to_result(own, receipt.get("outcome", Outcome.COUNTED), _sign_up(poll, form))
    if (form.errors or not is_known) and page.is_open:
        return page.form(form, chosen=own, is_foreign=not is_known)
    if form.errors or not is_known:
        return page.result(find_own_choices(db.session, poll_id, reader), refusal=page.closed())
    choices = sorted(form.values["choices"])
    try:
        outcome = ballots.cast_vote(
            db.voting, keys(), poll_id=poll_id, choices=choices, voter=reader.voter, now=now()
        )
        db.voting.commit()
    except (Conflict, Invalid) as refusal:
        # On SQLite the session holds the write lock, which the sign-up needs.
        db.voting.rollback()
        return _refuse_vote(page, form, refusal)
    VOTES.labels(outcome).inc()
    return page.redirect_to_result(choices, outcome, _sign_up(poll, form))


@blueprint.get("/embed/corrections")
@public
def show_correction() -> Response:
    """The form for an article; the thanks for whoever brings a receipt."""
    page, _ = _open_article(request.args.get("article_url"))
    return page.sent(request.args.get("receipt")) or page.form()


@blueprint.post("/embed/corrections")
@limited("corrections")
@plain_form(NewCorrectionSchema, cap=81_920)
@public
def submit_correction(form: PlainForm) -> Response:
    """Report that something in an article is wrong."""
    page, is_known = _open_article(form.sent.get("article_url"))
    if form.errors or not is_known:
        return page.form(form, is_foreign=not is_known)
    facts = {name: form.values[name] for name in ("article_url", "name", "email", "message", "quote")}
    correction = corrections.submit_correction(
        db.writing, keys(), **facts, is_suspect=form.is_suspect, now=now()
    )
    db.writing.commit()
    SUBMISSIONS.labels("correction", str(correction.is_suspect)).inc()
    return page.redirect_to_sent(correction.reference)


def _open_poll(poll_id: uuid.UUID) -> tuple[Poll, bool]:
    """The poll, and whether the request comes from a page of ours or of its site."""
    poll = get_poll(db.session, poll_id)
    is_known = _admit(site_origins(db.session, poll.site_id))
    if poll.withdrawn_at is not None:
        raise PollWithdrawn
    return poll, is_known


def _open_article(article_url: str | None) -> tuple[CorrectionPage, bool]:
    """The page for an article, and whether the request comes from a page of ours or of its site."""
    if not article_url:
        raise one_field("article_url", "Which article is it about? Say so in the address: ?article_url=…")
    site, canonical = locate_article(db.session, article_url)
    return CorrectionPage(site, canonical), _admit(origins_of(site))


def _admit(origins: list[str]) -> bool:
    allow_framing(origins)
    return is_welcome(request.headers.get("Origin"), settings().public_url, origins)


def _refuse_vote(page: PollPage, form: PlainForm, refusal: Conflict | Invalid) -> Response:
    if isinstance(refusal, Invalid):
        return page.form(form.refused(choices=page.why_not(form.values["choices"])))
    # The earlier ballot may be younger than what this session read: SQLite shows a reader one moment only.
    db.session.rollback()
    own = find_own_choices(db.session, page.poll.id, page.reader)
    sign_up = _sign_up(page.poll, form) if isinstance(refusal, AlreadyVoted) else None
    return page.result(own, refusal=refusal, sign_up=sign_up)


def _sign_up(poll: Poll, form: PlainForm) -> SignUp | None:
    """Record a ticked box in a transaction of its own. What goes wrong is told, never raised: the vote stands."""
    if not is_accepted(form.sent):
        return None
    email = form.sent.get("email", "")
    try:
        _record_consent(consent_form(poll, form), is_suspect=form.is_suspect)
    except ValidationError as error:
        return SignUp(why_not_taken(error, email), email)
    except (RateLimitExceeded, TooMany):
        return SignUp("Too many sign-ups came from your network. Please try again in a minute.", email)
    except (PollsvcError, SQLAlchemyError) as error:
        db.writing.rollback()
        errors.note(error, errors.problem_of(error))
        return SignUp("We could not take your address just now. Please try again.", email)
    return SignUp()


@limited("consents")
def _record_consent(body: dict[str, Any], *, is_suspect: bool) -> None:
    facts = {name: body[name] for name in ("text_id", "email", "article_url")}
    origin = request.headers.get("Origin")
    record_consent(db.writing, keys(), **facts, origin=origin, is_suspect=is_suspect, now=now())
    db.writing.commit()
    SUBMISSIONS.labels("consent", str(is_suspect)).inc()
