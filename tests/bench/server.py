"""`pollsvc serve` with two routes more, which others are measured against. They exist here and nowhere in the product."""

import os
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import click
from flask import Flask

from pollsvc import serving
from pollsvc.config import Settings

NOOP = "/v1/bench/noop"
BARE = "/v1/bench/bare"


@click.command()
@click.option("--host", required=True)
@click.option("--port", required=True, type=int)
@click.option("--workers", required=True, type=int)
@click.option("--threads", required=True, type=int)
@click.option("--pin/--no-pin", "is_pinned", default=True)
@click.option(
    "--worker/--no-worker", "has_worker", default=False, help="Whether the outbox worker runs beside."
)
@click.option("--linger", type=float, help="Seconds, in place of the product's.")
@click.option("--switch-interval", type=float, help="Seconds until Python lets another thread run.")
def main(
    *,
    host: str,
    port: int,
    workers: int,
    threads: int,
    is_pinned: bool,
    has_worker: bool,
    linger: float | None,
    switch_interval: float | None,
) -> None:
    """Serve as `pollsvc serve` does, or with what was tried and left."""
    if switch_interval is not None:
        sys.setswitchinterval(switch_interval)
    settings = Settings.from_environ(os.environ)
    address = serving.free_address(host, port)
    make_loader = partial(load, linger)
    serving.serve(
        settings,
        make_loader,
        address=address,
        port=port,
        workers=workers,
        threads=threads,
        is_pinned=is_pinned,
        has_worker=has_worker,
    )


def load(linger: float | None) -> Callable[[Settings, int], Flask]:
    """Give a factory of the application with the yardsticks."""
    # Imported here, as the command does: `serving` has something to set before.
    from pollsvc.app import create_app  # noqa: PLC0415
    from pollsvc.polls import ballot_box  # noqa: PLC0415

    if linger is not None:
        ballot_box.LINGER = linger

    def make(settings: Settings, threads: int) -> Flask:
        application = create_app(settings, threads)
        mount_noop(application)
        mount_bare(application)
        return application

    return make


def mount_bare(application: Flask) -> None:
    """Add a route that answers at once: what every request passes through, and nothing of its own."""
    from pollsvc.web.guards import public  # noqa: PLC0415

    @application.get(BARE)
    @public
    def bare() -> dict[str, str]:
        return {"status": "ok"}


def mount_noop(application: Flask) -> None:
    """Add a route that takes, limits and answers what a vote does, and does nothing in between."""
    from pollsvc.polls.schemas import NewVoteSchema, VoteSchema  # noqa: PLC0415
    from pollsvc.web.api import JSONBlueprint  # noqa: PLC0415
    from pollsvc.web.guards import public  # noqa: PLC0415
    from pollsvc.web.limits import apply_limits, limited  # noqa: PLC0415

    blp = JSONBlueprint("bench", __name__)

    @blp.post(NOOP)
    @blp.body(NewVoteSchema, cap=4_096)
    @blp.response(201, VoteSchema)
    @limited("votes_per_voter", "votes")
    @public
    def noop(_body: dict[str, Any]) -> dict[str, Any]:
        return {"status": "counted", "results": None}

    served = dict(application.view_functions)
    application.register_blueprint(blp)
    apply_limits(application, next(iter(application.extensions["limiter"])))
    # The others had their limits already.
    application.view_functions.update(served)


if __name__ == "__main__":
    main()
