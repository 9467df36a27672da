"""Polls and votes over HTTP: the readers' calls. The newsroom's are in :mod:`pollsvc.polls.newsroom`."""

from __future__ import annotations

import uuid
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError

from pollsvc.db import db
from pollsvc.errors import NotAllowed
from pollsvc.polls import ballots, service
from pollsvc.polls.models import Poll
from pollsvc.polls.reading import PollReading, read_poll, read_polls, read_results, shows_results
from pollsvc.polls.schemas import (
    ArticlePollsSchema,
    ArticleQuerySchema,
    NewVoteSchema,
    PollSchema,
    TallySchema,
    VoterTokenHeaderSchema,
    VoteSchema,
)
from pollsvc.polls.tallies import Tally, read_tally
from pollsvc.voters.service import Tier, read_token
from pollsvc.web.api import JSONBlueprint
from pollsvc.web.guards import public
from pollsvc.web.headers import public_read
from pollsvc.web.limits import limited
from pollsvc.web.metrics import VOTES
from pollsvc.web.state import keys, now

log = structlog.get_logger("pollsvc")

blp = JSONBlueprint("polls", __name__, url_prefix="/v1", description="Polls, as readers meet them.")


class ResultsHidden(NotAllowed):
    """The tally is not for this caller, or not yet."""

    code = "results_hidden"
    detail = "The results of this poll are not shown to you, or not yet."


@blp.get("/articles/polls")
@blp.query(ArticleQuerySchema)
@blp.response(200, ArticlePollsSchema)
@public
def list_article_polls(query: dict[str, Any]) -> dict[str, list[PollReading]]:
    """The polls of an article that readers may see."""
    readings = read_polls(db.session, service.list_article_polls(db.session, query["article_url"]), now())
    public_read(*[_identity(reading) for reading in readings])
    return {"items": readings}


@blp.get("/polls/<uuid:poll_id>")
@blp.response(200, PollSchema)
@blp.problems(404, 410)
@public
def show_poll(poll_id: uuid.UUID) -> PollReading:
    """A poll; its results are null where they are hidden."""
    reading = read_poll(db.session, service.get_shown_poll(db.session, poll_id), now())
    public_read(*_identity(reading))
    return reading


@blp.get("/polls/<uuid:poll_id>/results")
@blp.arguments(VoterTokenHeaderSchema, location="headers")
@blp.response(200, TallySchema)
@blp.problems(401, 403, 404, 410)
@public
def show_results(header: dict[str, Any], poll_id: uuid.UUID) -> Tally:
    """How a poll stands. Where results come after the vote, send `X-Voter-Token`."""
    poll = service.get_shown_poll(db.session, poll_id)
    is_for_all = shows_results(poll, now(), has_voted=False)
    if not is_for_all and not shows_results(poll, now(), has_voted=_has_voted(header["voter_token"], poll)):
        raise ResultsHidden
    tally = read_tally(db.session, poll_id)
    if is_for_all and header["voter_token"] is None:
        public_read(poll.version, poll.status_at(now()), _counts(tally))
    return tally


@blp.post("/polls/<uuid:poll_id>/votes")
@blp.body(NewVoteSchema, cap=4_096)
@blp.response(201, VoteSchema)
@blp.alt_response(
    200, schema=VoteSchema, description="The same ballot again, or another one where that is allowed."
)
@blp.problems(401, 404, 409, 410)
@limited("votes_per_voter", "votes")
@public
def cast_vote(body: dict[str, Any], poll_id: uuid.UUID) -> tuple[dict[str, Any], int]:
    """Vote. Counted once per reader; the same ballot may be sent again."""
    voter = read_token(keys(), body["voter_token"], now(), Tier.STORAGE)
    outcome = ballots.cast_vote(
        db.voting, keys(), poll_id=poll_id, choices=body["choices"], voter=voter, now=now()
    )
    db.voting.commit()
    VOTES.labels(outcome).inc()
    return {
        "status": outcome,
        "results": _results_after(poll_id),
    }, 201 if outcome == ballots.Outcome.COUNTED else 200


def _results_after(poll_id: uuid.UUID) -> Tally | None:
    try:
        return read_results(db.session, poll_id, now())
    except SQLAlchemyError as error:
        # The ballot is in: an error would say that nothing was stored.
        log.warning("results could not be read after a vote", error=type(error).__name__)
        return None


def _has_voted(token: str | None, poll: Poll) -> bool:
    if token is None:
        return False
    voter = read_token(keys(), token, now(), Tier.STORAGE)
    return ballots.has_voted(db.session, keys(), poll.id, voter)


def _identity(reading: PollReading) -> tuple[object, ...]:
    """What an entity tag stands for: what is shown and the counts, but not when they last changed."""
    poll = reading.poll
    return (str(poll.id), poll.version, reading.status, reading.article_urls, _counts(reading.results))


def _counts(tally: Tally | None) -> list[int]:
    return [tally.total_voters, *(count.votes for count in tally.choices)] if tally else []
