"""Is it alive, is it ready, what has it counted."""

from __future__ import annotations

from collections.abc import Callable

import marshmallow as ma
from flask import Response, current_app

from pollsvc.web import metrics
from pollsvc.web.admission import at_any_time
from pollsvc.web.api import JSONBlueprint
from pollsvc.web.guards import bearer_actor, public, staff
from pollsvc.web.limits import limited

blp = JSONBlueprint("health", __name__, description="For those who run the service.")

#: Parts without which the service cannot do its work; others only make it slower or stricter.
VITAL = frozenset({"database"})


class AliveSchema(ma.Schema):
    """The process answers."""

    status = ma.fields.String(required=True, metadata={"enum": ["ok"]})


class ReadySchema(ma.Schema):
    """Whether the service can do its work; the parts are shown to a token."""

    status = ma.fields.String(required=True, metadata={"enum": ["ready", "not_ready"]})
    parts = ma.fields.Dict(keys=ma.fields.String(), values=ma.fields.String())


@blp.get("/healthz")
@blp.response(200, AliveSchema)
@at_any_time
@public
def alive() -> dict[str, str]:
    """Whether the process answers; asks nothing of other parts."""
    return {"status": "ok"}


@blp.get("/readyz")
@blp.response(200, ReadySchema)
@blp.alt_response(503, schema=ReadySchema, description="A vital part is down.")
@public
def ready() -> tuple[dict[str, object], int, dict[str, str]]:
    """Whether the parts answer; which of them is down is shown to a caller with a valid API token."""
    checks: dict[str, Callable[[], bool]] = current_app.extensions["pollsvc.checks"]
    parts = {name: "up" if check() else "down" for name, check in checks.items()}
    is_ready = all(parts[name] == "up" for name in VITAL)
    answer: dict[str, object] = {"status": "ready" if is_ready else "not_ready"}
    if parts["database"] == "down" or bearer_actor() is not None:
        # Without a database no token can be checked; what is down is then the database, which the status says.
        answer["parts"] = parts if parts["database"] == "up" else {"database": "down"}
    return (answer, 200, {}) if is_ready else (answer, 503, {"Retry-After": "2"})


@blp.get("/metrics")
@blp.response(200, {"type": "string"}, content_type="text/plain")
@staff("admin")
@limited("staff")
def show_metrics() -> Response:
    """Prometheus metrics over all processes of this host."""
    ask: Callable[[], None] = current_app.extensions["pollsvc.figures"]
    return Response(metrics.exposition(ask), content_type="text/plain; version=0.0.4; charset=utf-8")
