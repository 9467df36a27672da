"""`pollsvc serve` with two routes more, which others are measured against. They exist here and nowhere in the product."""

import os
from collections.abc import Callable
from typing import Any

import click
from flask import Flask

from pollsvc import serving
from pollsvc.config import PREFIX, Settings

NOOP = "/v1/bench/noop"
BARE = "/v1/bench/bare"


@click.command()
@click.option("--host", required=True)
@click.option("--port", required=True, type=int)
@click.option("--workers", required=True, type=int)
@click.option("--threads", required=True, type=int)
def main(host: str, port: int, workers: int, threads: int) -> None:
    """Serve as `pollsvc serve` does."""
    settings = Settings.from_environ({PREFIX + "DATABASE_POOL": str(2 * threads), **os.environ})
    address = serving.free_address(host, port)
    serving.serve(settings, load, address=address, port=port, workers=workers, threads=threads)


def load() -> Callable[[Settings], Flask]:
    """Give a factory of the application with the no-op."""
    # Imported here, as the command does: `serving` has something to set before.
    from pollsvc.app import create_app  # noqa: PLC0415

    def make(settings: Settings) -> Flask:
        application = create_app(settings)
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
