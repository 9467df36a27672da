"""Polls and votes over HTTP: the readers' calls. The newsroom's are in :mod:`pollsvc.polls.newsroom`."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Response, current_app

from pollsvc.db import db
from pollsvc.errors import NotAllowed
from pollsvc.polls import ballots, service
from pollsvc.polls.ballot_box import BallotBox
from pollsvc.polls.lookups import Lookups
from pollsvc.polls.reading import PollReading, read_polls
from pollsvc.polls.schemas import (
    ArticlePollsSchema,
    ArticleQuerySchema,
    NewVoteSchema,
    PollSchema,
    TallySchema,
    VoterTokenHeaderSchema,
    VoteSchema,
)
from pollsvc.polls.tallies import Tally
from pollsvc.voters.service import Tier, read_token
from pollsvc.web.api import JSONBlueprint, json_answer
from pollsvc.web.guards import public
from pollsvc.web.headers import public_read
from pollsvc.web.limits import limited
from pollsvc.web.metrics import VOTES
from pollsvc.web.state import keys, now

blp = JSONBlueprint("polls", __name__, url_prefix="/v1", description="Polls, as readers meet them.")


#: What readers are told of a poll.
_SHOWN = tuple(PollSchema().fields)


class ResultsHidden(NotAllowed):
    """The tally is not for this caller, or not yet."""

    code = "results_hidden"
    detail = "The results of this poll are not shown to you, or not yet."


@blp.get("/articles/polls")
@blp.query(ArticleQuerySchema)
@blp.response(200, ArticlePollsSchema)
@public
def list_article_polls(query: dict[str, Any]) -> Response:
    """The polls of an article that readers may see."""
    poll_ids = service.list_article_polls(db.session, query["article_url"])
    readings = read_polls(db.session.connection(), poll_ids, now())
    public_read(*[_identity(reading) for reading in readings])
    return json_answer({"items": [_shown(reading) for reading in readings]})


@blp.get("/polls/<uuid:poll_id>")
@blp.response(200, PollSchema)
@blp.problems(404, 410)
@public
def show_poll(poll_id: uuid.UUID) -> Response:
    """A poll; its results are null where they are hidden."""
    reading = lookups().reading(poll_id)
    public_read(*_identity(reading))
    return json_answer(_shown(reading))


@blp.get("/polls/<uuid:poll_id>/results")
@blp.arguments(VoterTokenHeaderSchema(), location="headers")
@blp.response(200, TallySchema)
@blp.problems(401, 403, 404, 410)
@public
def show_results(header: dict[str, Any], poll_id: uuid.UUID) -> Response:
    """How a poll stands. Where results come after the vote, send `X-Voter-Token`."""
    standing, token = lookups().standing(poll_id), header["voter_token"]
    is_for_all = standing.course.shows_results(now(), has_voted=False)
    if not is_for_all and not standing.course.shows_results(now(), has_voted=_has_voted(token, poll_id)):
        raise ResultsHidden
    if is_for_all and token is None:
        public_read(standing.version, standing.course.status_at(now()), _counts(standing.tally))
    return json_answer(standing.tally)


@blp.post("/polls/<uuid:poll_id>/votes")
@blp.body(NewVoteSchema, cap=4_096)
@blp.response(201, VoteSchema)
@blp.alt_response(
    200, schema=VoteSchema, description="The same ballot again, or another one where that is allowed."
)
@blp.problems(401, 404, 409, 410)
@limited("votes_per_voter", "votes")
@public
def cast_vote(body: dict[str, Any], poll_id: uuid.UUID) -> Response:
    """Vote. Counted once per reader; the same ballot may be sent again."""
    voter = read_token(keys(), body["voter_token"], now(), Tier.STORAGE)
    ballot = ballots.new_ballot(keys(), poll_id=poll_id, choices=body["choices"], voter=voter, now=now())
    cast = ballot_box().cast(ballot)
    VOTES.labels(cast.outcome).inc()
    is_shown = cast.standing and cast.standing.course.shows_results(now(), has_voted=True)
    results = cast.standing.tally if cast.standing and is_shown else None
    is_new = cast.outcome == ballots.Outcome.COUNTED
    return json_answer({"status": cast.outcome, "results": results}, 201 if is_new else 200)


def ballot_box() -> BallotBox:
    """Where the votes of this process go."""
    box: BallotBox = current_app.extensions["pollsvc.ballot_box"]
    return box


def lookups() -> Lookups:
    """The reads of this process."""
    found: Lookups = current_app.extensions["pollsvc.lookups"]
    return found


def _shown(reading: PollReading) -> dict[str, object]:
    return {name: getattr(reading, name) for name in _SHOWN}


def _has_voted(token: str | None, poll_id: uuid.UUID) -> bool:
    if token is None:
        return False
    voter = read_token(keys(), token, now(), Tier.STORAGE)
    return ballots.has_voted(db.session, keys(), poll_id, voter)


def _identity(reading: PollReading) -> tuple[object, ...]:
    """What an entity tag stands for: what is shown and the counts, but not when they last changed."""
    return (str(reading.id), reading.version, reading.status, reading.article_urls, _counts(reading.results))


def _counts(tally: Tally | None) -> list[int]:
    return [tally.total_voters, *(count.votes for count in tally.choices)] if tally else []
