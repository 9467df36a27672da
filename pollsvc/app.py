"""The application: settings, database, limits, blueprints, errors and headers, put together in one place."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import nullcontext
from datetime import datetime
from typing import Any

import structlog
from flask import Flask, Request
from flask_limiter import Limiter
from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from pollsvc.articles import routes as articles
from pollsvc.articles.service import is_known_origin
from pollsvc.comments import check_routes
from pollsvc.comments import newsroom as comments_newsroom
from pollsvc.comments import routes as comments
from pollsvc.comments.admission import Rules
from pollsvc.comments.comment_box import CommentBox
from pollsvc.comments.judging import Judge
from pollsvc.comments.lookups import ThreadLookups
from pollsvc.config import Settings
from pollsvc.consent import newsroom as consents
from pollsvc.consent import proof_routes
from pollsvc.consent import routes as consent
from pollsvc.corrections import routes as corrections
from pollsvc.db import db, remember_hash_key
from pollsvc.embeds import (
    comment_routes,
    data_pages,
    files,
    identity,
    pages,
    plain_forms,
    proof_page,
    snippets,
)
from pollsvc.embeds import routes as embeds
from pollsvc.moderation import routes as moderation
from pollsvc.outbox import newsroom as webhooks
from pollsvc.outbox import routes as outbox
from pollsvc.outbox.figures import show_outbox
from pollsvc.outbox.queue import Bell
from pollsvc.polls import newsroom
from pollsvc.polls import routes as polls
from pollsvc.polls.ballot_box import BallotBox
from pollsvc.polls.lookups import Lookups
from pollsvc.privacy import routes as privacy
from pollsvc.staff import routes as staff
from pollsvc.staff import service as staff_service
from pollsvc.voters import routes as voters
from pollsvc.web import admission, api, errors, forms, guards, headers, health, limits, logs, metrics, openapi
from pollsvc.web.admission import Admission
from pollsvc.web.origins import RememberedOrigins
from pollsvc.web.state import Actor, State, utc_now

log = structlog.get_logger("pollsvc")


class Service(Flask):
    """Flask, silent about a crash: :mod:`pollsvc.web.errors` notes it by its route, without path and text."""

    def log_exception(self, exc_info: Any) -> None:
        """Write nothing."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Take each view and hook as it is: none of ours is asynchronous, and Flask would look fifteen times a request."""
        return func


def create_app(
    settings: Settings | None = None, threads: int | None = None, ring: Callable[[], None] | None = None
) -> Flask:
    """Make the application. Opens no connection: the first request does.

    :param settings: read from the environment where left out.
    :param threads: requests that are worked on at once; left out, as many as the server has threads for.
    :param ring: wakes the worker; left out, by the queue.
    :raises ConfigError: if a setting is missing or wrong.
    """
    settings = settings or Settings.from_environ(os.environ)
    app = Service("pollsvc", static_folder=None, template_folder="embeds/templates")
    app.config["PROPAGATE_EXCEPTIONS"] = False
    # Werkzeug would redirect `//v1/polls` to an address made of the Host that the client sent.
    app.url_map.merge_slashes = False
    places = Admission(threads) if threads else None
    app.extensions["pollsvc"] = State(
        settings=settings,
        keys=settings.keys(),
        authenticate=_authenticate,
        is_known_origin=RememberedOrigins(_is_known_origin),
        voter_limit_key=_voter_limit_key,
        ring=ring or Bell(settings),
    )
    app.extensions["pollsvc.checks"] = _checks(settings)
    app.extensions["pollsvc.figures"] = _show_figures
    app.extensions["pollsvc.snippet"] = snippets.embed_html
    app.extensions["pollsvc.error_page"] = embeds.error_page
    app.extensions["pollsvc.judge"] = Judge(app.extensions["pollsvc"].keys)
    logs.configure(settings.log_level)
    db.open(app, settings.database_url, settings.database_pool, app.extensions["pollsvc"].keys)
    with app.app_context():
        app.extensions["pollsvc.ballot_box"] = BallotBox(
            voting=db.engines["voting"],
            reading=db.engines["looking"],
            waiting=db.engines["writing"],
            most_waiting=max(1, settings.database_pool // 2),
            stepping_aside=places.stepping_aside if places else nullcontext,
            observe=metrics.BATCH.observe,
        )
        app.extensions["pollsvc.comment_box"] = CommentBox(
            app.extensions["pollsvc.judge"],
            reading=db.engines["looking"],
            together=db.engines["voting"],
            alone=db.engines["writing"],
            rules=Rules.of(settings),
            clock=app.extensions["pollsvc"].clock,
        )
        app.extensions["pollsvc.threads"] = ThreadLookups(
            db.engines["looking"],
            app.extensions["pollsvc"].keys,
            settings.comment_depth,
            app.extensions["pollsvc"].clock,
        )
        app.extensions["pollsvc.lookups"] = Lookups(db.engines["looking"], app.extensions["pollsvc"].clock)
    limiter = _wire_edge(app, settings, places)
    _wire_routes(app)
    limits.apply_limits(app, limiter)
    box: BallotBox = app.extensions["pollsvc.ballot_box"]
    app.view_functions["polls.cast_vote"] = box.expecting(app.view_functions["polls.cast_vote"])
    return app


def create_checked_app() -> Flask:
    """Make the application for a server of one's own, which has not made the checks of `pollsvc serve`.

    :raises WrongHashKey: if the database belongs to another hash key.
    """
    app = create_app()
    with app.app_context():
        remember_hash_key(db.writing, app.extensions["pollsvc"].keys)
        db.writing.commit()
        # The server may fork after this: a connection must not be shared with its parent.
        db.engine.dispose()
    return app


def _wire_edge(app: Flask, settings: Settings, places: Admission | None) -> Limiter:
    # In this order before a request: its id and clock, whether there is a place for it, who may call, its body's size;
    # then, around the view, what is left of the limits. After it in the opposite order, so that what is logged is what
    # was sent.
    logs.register(app)
    headers.register(app)
    if places:
        admission.register(app, places)
    app.before_request(guards.enforce)
    app.before_request(api.refuse_unreadable_bodies)
    errors.register(app)
    return limits.open_limits(app, settings)


def _wire_routes(app: Flask) -> None:
    rest = api.open_api(app)
    for feature in (
        polls,
        newsroom,
        voters,
        consent,
        consents,
        proof_routes,
        corrections,
        comments,
        comments_newsroom,
        check_routes,
        moderation,
        privacy,
        articles,
        webhooks,
        outbox,
        staff,
        forms,
        health,
    ):
        rest.serve(feature.blp)
    app.register_blueprint(openapi.describe(rest))
    for feature in (embeds, comment_routes, files, pages, data_pages, proof_page):
        app.register_blueprint(feature.blueprint)


def _authenticate(secret: str, now: datetime) -> Actor | None:
    token = staff_service.find_token(db.session, secret, now)
    # Its connection goes back: who writes next would hold two.
    db.session.commit()
    if token is None:
        return None
    if staff_service.is_use_due(token, now):
        try:
            staff_service.note_use(db.noting, token.id, now)
            db.noting.commit()
        except SQLAlchemyError:
            # A busy database is no reason to let the newsroom wait; the next call notes it.
            db.noting.rollback()
    return Actor(f"token:{token.id}", token.name, frozenset(token.scopes))


def _voter_limit_key(request: Request, now: datetime) -> bytes | None:
    # By what votes there: a token in the JSON, or a form's cookie and field. The other could name a new voter each time.
    find = identity.limit_key if request.blueprint in plain_forms.BLUEPRINTS else voters.limit_key
    return find(request, now)


def _is_known_origin(origin: str) -> bool:
    return is_known_origin(db.session, origin)


def _show_figures() -> None:
    show_outbox(db.session, utc_now())


def _checks(settings: Settings) -> dict[str, Any]:
    """What `/readyz` asks, by part."""

    def database() -> bool:
        try:
            db.session.execute(text("SELECT 1 FROM installation"))
        except SQLAlchemyError:
            return False
        return True

    def redis() -> bool:
        client = Redis.from_url(str(settings.redis_url), socket_timeout=0.5, socket_connect_timeout=0.5)
        try:
            return bool(client.ping())
        except RedisError:
            return False
        finally:
            client.close()

    return {"database": database, "redis": redis} if settings.redis_url else {"database": database}
