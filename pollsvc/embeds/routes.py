"""Plain HTML forms for polls and corrections: in a frame, and for readers without scripts."""

from __future__ import annotations

import uuid
from dataclasses import replace

from flask import Blueprint, Response, g, render_template, request
from marshmallow import ValidationError
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import HTTPException

from pollsvc.articles.service import locate_article
from pollsvc.consent import service as consents
from pollsvc.consent.routes import links
from pollsvc.consent.tokens import new_token
from pollsvc.corrections import service as corrections
from pollsvc.corrections.routes import desk
from pollsvc.corrections.schemas import NewCorrectionSchema
from pollsvc.db import db
from pollsvc.embeds import identity
from pollsvc.embeds.correction_page import CorrectionPage
from pollsvc.embeds.files import CONSENT_LINE
from pollsvc.embeds.origins import admit, origins_of, site_origins
from pollsvc.embeds.plain_forms import BLUEPRINTS, PlainForm, VoteFormSchema, WithdrawalFormSchema, plain_form
from pollsvc.embeds.poll_page import PollPage, Vote
from pollsvc.embeds.sign_ups import SignUp, consent_fields, is_accepted, why_not_taken
from pollsvc.errors import Invalid, PollsvcError, one_field
from pollsvc.polls import ballots
from pollsvc.polls.ballots import AlreadyVoted, PollClosed, PollNotOpen
from pollsvc.polls.models import Poll, Status
from pollsvc.polls.routes import ballot_box
from pollsvc.polls.service import PollWithdrawn, get_poll
from pollsvc.web import errors
from pollsvc.web.admission import is_turned_away
from pollsvc.web.errors import Problem
from pollsvc.web.guards import public
from pollsvc.web.limits import limited, spend
from pollsvc.web.metrics import SUBMISSIONS, VOTES
from pollsvc.web.state import keys, now, ring

blueprint = Blueprint("embeds", __name__)


def error_page(problem: Problem) -> str:
    """An error, for a person."""
    return render_template(
        "embeds/error.html",
        status=problem.status,
        title=problem.title,
        detail=problem.detail,
        errors=problem.errors,
        action=request.path,
        kept=_typed(),
        request_id=g.get("request_id"),
    )


def _typed() -> list[tuple[str, str]]:
    """What a form held that could not be answered with itself: the page offers to send it again."""
    if request.blueprint not in BLUEPRINTS or request.method != "POST" or is_turned_away():
        return []
    try:
        # Not the identity: a foreign page could have planted one, which our own page would then make good.
        return [item for item in request.form.items(multi=True) if item[0] != identity.FIELD]
    except HTTPException:
        # Too large, or no form at all: then there is nothing to keep.
        return []


@blueprint.get("/embed/polls/<uuid:poll_id>")
@public
def show_poll(poll_id: uuid.UUID) -> Response:
    """The form; the result for a reader who voted, and for whoever brings the receipt of a vote."""
    page, _ = _open_poll(poll_id)
    vote = page.find_vote()
    receipt = page.read_receipt(request.args.get("receipt"))
    if receipt:
        return page.result(replace(receipt, choices=vote.choices or receipt.choices))
    if page.status == Status.OPEN and (
        not vote.choices or (page.poll.allow_change and "change" in request.args)
    ):
        return page.form(chosen=vote.choices)
    return page.result(vote)


@blueprint.post("/embed/polls/<uuid:poll_id>")
@limited("votes_per_voter", "votes")
@plain_form(VoteFormSchema)
@public
def cast_vote(form: PlainForm, poll_id: uuid.UUID) -> Response:
    """Vote and, beside it, sign up: two transactions, so that the vote stands whatever becomes of the other."""
    page, is_known = _open_poll(poll_id, form)
    receipt = form.sent.get("receipt")
    if receipt and "choices" not in form.sent:
        # Only the address beside an earlier vote was wrong, and is sent again.
        vote = page.read_receipt(receipt) or Vote()
        if is_known:
            return page.redirect_to_result(replace(vote, sign_up=_sign_up(page.poll, form)))
        return page.form(form, chosen=vote.choices, is_foreign=True)
    if form.errors or not is_known:
        return page.form(form, is_foreign=not is_known)
    try:
        return page.redirect_to_result(_vote(page, form))
    except Invalid:
        return page.form(form.refused(choices=page.why_not(form.values["choices"])))
    except (AlreadyVoted, PollClosed, PollNotOpen) as refusal:
        # On SQLite a session sees one moment only, and the earlier ballot may be younger.
        db.session.rollback()
        sign_up = _sign_up(page.poll, form) if isinstance(refusal, AlreadyVoted) else None
        return page.result(replace(page.find_vote(), sign_up=sign_up), refusal=refusal)


@blueprint.post("/embed/polls/<uuid:poll_id>/withdrawals")
@limited("links")
@plain_form(WithdrawalFormSchema)
@public
def take_back(form: PlainForm, poll_id: uuid.UUID) -> Response:
    """Take a sign-up beside a vote back. Its key is the authority, so that no origin is asked for."""
    consents.take_back(db.writing, links(), form.sent.get("withdrawal_key", ""), now())
    db.writing.commit()
    ring()
    page, is_known = _open_poll(poll_id)
    vote = page.read_receipt(form.sent.get("receipt")) or page.find_vote()
    return page.redirect_to_result(replace(vote, sign_up=SignUp(is_taken_back=True)), is_foreign=not is_known)


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
    db.session.commit()
    correction = corrections.submit_correction(
        db.writing, keys(), **facts, is_suspect=form.is_suspect, now=now(), desk=desk()
    )
    db.writing.commit()
    ring()
    SUBMISSIONS.labels("correction", str(correction.is_suspect)).inc()
    return page.redirect_to_sent(correction.reference)


def _open_poll(poll_id: uuid.UUID, form: PlainForm | None = None) -> tuple[PollPage, bool]:
    """The poll's page, and whether the request comes from a page of ours or of its site."""
    poll = get_poll(db.session, poll_id)
    is_known = admit(site_origins(db.session, poll.site_id))
    if poll.withdrawn_at is not None:
        raise PollWithdrawn
    field = form.sent.get(identity.FIELD) if form and is_known else None
    return PollPage(db.session, poll, identity.recognise(request, now(), field)), is_known


def _open_article(article_url: str | None) -> tuple[CorrectionPage, bool]:
    """The page for an article, and whether the request comes from a page of ours or of its site."""
    if not article_url:
        raise one_field("article_url", "Which article is it about? Say so in the address: ?article_url=…")
    site, canonical = locate_article(db.session, article_url)
    return CorrectionPage(site, canonical), admit(origins_of(site))


def _vote(page: PollPage, form: PlainForm) -> Vote:
    choices, poll_id = sorted(form.values["choices"]), page.poll.id
    # What was read stays; its connection goes back, or as many forms as there are connections would wait for each other.
    db.session.commit()
    ballot = ballots.new_ballot(keys(), poll_id=poll_id, choices=choices, voter=page.reader.voter, now=now())
    outcome = ballot_box().cast(ballot).outcome
    VOTES.labels(outcome).inc()
    return Vote(choices, outcome, _sign_up(page.poll, form))


def _sign_up(poll: Poll, form: PlainForm) -> SignUp | None:
    """Record a ticked box in a transaction of its own. What goes wrong is told, never raised: the vote stands."""
    if not is_accepted(form.sent):
        return None
    # An address longer than any is not carried along in the receipt.
    email = form.sent.get("email", "")[:320]
    if not spend("consents"):
        return SignUp("Too many sign-ups came from your network. Please try again in a minute.", email)
    suspect, key = form.is_suspect, new_token()
    try:
        fields = consent_fields(poll, form)
        db.session.commit()
        consents.take_sign_up(
            db.writing,
            keys(),
            **fields,
            origin=request.headers.get("Origin"),
            is_suspect=suspect,
            withdrawal_key=key,
            evidence=_how_shown(form),
            method="form",
            now=now(),
        )
        db.writing.commit()
        ring()
    except ValidationError as error:
        return SignUp(why_not_taken(error, email), email)
    except (PollsvcError, SQLAlchemyError) as error:
        db.writing.rollback()
        errors.note(error, errors.problem_of(error))
        return SignUp("We could not take your address just now. Please try again.", email)
    SUBMISSIONS.labels("consent", str(suspect)).inc()
    return SignUp(withdrawal_key=key)


def _how_shown(form: PlainForm) -> dict[str, str]:
    """How the box was shown: beside the vote, or once more after it; by our own page as it is now, or an article's copy."""
    seen = {"placement": "beside_vote" if "choices" in form.sent else "after_vote"}
    # An article may keep its copy of the form for years: which version that was, nobody can tell.
    return seen | ({"widget": CONSENT_LINE} if "form_token" in form.sent else {})
