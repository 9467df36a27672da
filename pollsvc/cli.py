"""The ``pollsvc`` command. Results go to stdout, everything else to stderr."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

import click
from alembic.util.exc import CommandError
from sqlalchemy.exc import OperationalError

from pollsvc import __version__, migrating, serving
from pollsvc.commands.comments import comments, print_differences
from pollsvc.commands.consent import consent, verify_receipt
from pollsvc.commands.consents import consents
from pollsvc.commands.privacy import reencrypt, retention
from pollsvc.commands.sites import site
from pollsvc.commands.starting import ACTOR, Checked, now, read_settings
from pollsvc.comments import counts
from pollsvc.config import PREFIX, ConfigError, Settings, fresh_keys
from pollsvc.connections import check_room, find_room
from pollsvc.db import HOT_CONNECTIONS, OUTBOX_CONNECTIONS
from pollsvc.embeds import demo as demo_content
from pollsvc.errors import PollsvcError
from pollsvc.opening import open_database, place_of, state_of
from pollsvc.outbox.queue import queue_connections
from pollsvc.patience import lift_patience
from pollsvc.polls.tallies import find_differences
from pollsvc.scopes import SCOPES
from pollsvc.staff import service as staff_service
from pollsvc.web.fields import Text

if TYPE_CHECKING:
    from flask import Flask


class _Commands(click.Group):
    """A group that turns our errors into one line and exit status 1."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except (ConfigError, PollsvcError) as error:
            raise click.ClickException(_told(error)) from error
        except OperationalError as error:
            raise click.ClickException(f"The database does not answer: {error.orig}") from error
        except PermissionError as error:
            raise click.ClickException(f"{error.strerror}: {error.filename}") from error


def _told(error: ConfigError | PollsvcError) -> str:
    if isinstance(error, PollsvcError) and error.fields:
        return " ".join(f"{name}: {sentence}" for name, sentence in error.fields.items())
    return str(error)


@click.group(cls=_Commands)
@click.version_option(__version__, prog_name="pollsvc")
def main() -> None:
    """Polls, consent and corrections in the articles of a news publisher."""
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s"
    )


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", default=8000, show_default=True, type=click.IntRange(1, 65535), help="Port to listen on."
)
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 64), help="Web processes.")
@click.option(
    "--threads", default=48, show_default=True, type=click.IntRange(1, 256), help="Requests at once in each."
)
@click.option(
    "--pin/--no-pin", "is_pinned", default=True, show_default=True, help="Keep each process on one processor."
)
@click.option(
    "--worker/--no-worker",
    "has_worker",
    default=True,
    show_default=True,
    help="Run the outbox worker beside it.",
)
def serve(*, host: str, port: int, workers: int, threads: int, is_pinned: bool, has_worker: bool) -> None:
    """Serve readers and newsroom until told to stop."""
    shown_host = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104 (compared, not bound)
    own = f"http://[{shown_host}]:{port}" if ":" in shown_host else f"http://{shown_host}:{port}"
    settings = read_settings({PREFIX + "PUBLIC_URL": own})
    address = serving.free_address(host, port)
    if state_of(settings) == "empty":
        # A first run needs no command of its own; a database with content is only changed when asked for.
        migrating.upgrade(settings.database_url)
    with open_database(settings) as session:
        room = find_room(session)
        session.commit()
    ringing, listening = queue_connections(settings)
    held = {
        "pool": settings.database_pool,
        "beside": HOT_CONNECTIONS + ringing,
        "outbox": OUTBOX_CONNECTIONS + listening if has_worker else 0,
    }
    if room and (told := check_room(room, workers=workers, **held)):
        click.echo(f"Note: {told}", err=True)
    if workers > 1 and not settings.redis_url:
        click.echo("Note: without POLLSVC_REDIS_URL each process counts rate limits for itself.", err=True)
    click.echo(f"Serving {settings.public_url}/ from {place_of(settings)}", err=True)
    serving.serve(
        settings,
        _load_app,
        address=address,
        port=port,
        workers=workers,
        threads=threads,
        is_pinned=is_pinned,
        has_worker=has_worker,
    )


@main.command()
@click.option("--parent", type=int, hidden=True, help="End when this process, which began it, ends.")
def worker(*, parent: int | None) -> None:
    """Decide sign-ups and deliver mail and webhooks, until told to stop."""
    from pollsvc.web import logs  # noqa: PLC0415 (it loads the metrics, which `serve` must prepare first)
    from pollsvc.worker import work  # noqa: PLC0415

    settings = read_settings()
    with open_database(settings) as session:
        session.commit()
    logs.configure(settings.log_level)
    work(settings, parent)


def _load_app() -> Callable[[Settings, int], Flask]:
    # Imported here: the other commands do without, and `serving` has something to set before.
    from pollsvc.app import create_app  # noqa: PLC0415

    return create_app


@main.group()
def db() -> None:
    """The database: bring it up to date, check its tallies and counts, change its key."""


db.add_command(reencrypt)
main.add_command(retention)


@db.command("upgrade")
def upgrade_database() -> None:
    """Create the tables, or bring them to this release."""
    settings = read_settings()
    try:
        migrating.upgrade(settings.database_url)
    except CommandError as error:
        raise click.ClickException("The database is of a newer release than this one.") from error
    with open_database(settings) as session:
        session.commit()
    click.echo(f"The database is up to date: {place_of(settings)}", err=True)


@db.command()
def reconcile() -> None:
    """Compare every tally with its ballots, every count with its comments; exit status 1 on a difference."""
    with open_database(read_settings(), is_writing=False) as session:
        # Every ballot is read: tens of millions take longer than a reader would wait.
        lift_patience(session)
        differences = find_differences(session)
        of_comments = counts.find_differences(session)
    for found in differences:
        click.echo(
            f"poll {found.poll_id} choice {found.choice_id}: {found.votes:+d} votes, {found.voters:+d} voters"
        )
    print_differences(of_comments)
    number = len(differences) + len(of_comments)
    agreed = "Every tally equals its ballots. Every count equals its comments."
    click.echo(f"{number} differences" if number else agreed, err=True)
    sys.exit(1 if number else 0)


main.add_command(site)
main.add_command(consents)
main.add_command(comments)


@main.group()
def token() -> None:
    """API tokens of the newsroom."""


@token.command("create")
@click.option("--name", required=True, type=Checked("text", Text(100)), help="Whose it is.")
@click.option(
    "--scope",
    "scopes",
    required=True,
    multiple=True,
    type=click.Choice(SCOPES),
    help="What it may do; repeats.",
)
@click.option("--days", type=click.IntRange(1, 3650), help="How long it lasts; for ever where left out.")
def create_token(name: str, scopes: tuple[str, ...], days: int | None) -> None:
    """Make an API token and print it, alone; it cannot be read again."""
    moment = now()
    expires_at = moment + timedelta(days=days) if days else None
    with open_database(read_settings()) as session:
        _, secret = staff_service.create_token(
            session, name=name, scopes=scopes, actor=ACTOR, now=moment, expires_at=expires_at
        )
        session.commit()
    click.echo(secret)


@main.command()
def keys() -> None:
    """Print fresh keys for a production installation."""
    for name, key in fresh_keys().items():
        click.echo(f"{PREFIX}{name.upper()}={key}")


@main.command()
@click.option(
    "--port",
    default=8000,
    show_default=True,
    type=click.IntRange(1, 65535),
    help="Port it will be served on.",
)
def demo(port: int) -> None:
    """Make the demo article's content where there is none, and print how to call the API."""
    settings = read_settings({PREFIX + "PUBLIC_URL": f"http://127.0.0.1:{port}"})
    path = settings.instance / "demo-token"
    with open_database(settings) as session:
        demo_content.make_demo(session, settings.keys(), settings.public_url, now())
        kept = path.read_text().strip() if path.exists() else ""
        if not staff_service.find_token(session, kept, now()):
            _, kept = staff_service.create_token(
                session, name="demo", scopes=["admin"], actor=ACTOR, now=now()
            )
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            path.write_text(kept + "\n")
        session.commit()
    click.echo(f"Demo article:  {settings.public_url}/")
    click.echo(f"Data:          {place_of(settings)} (keys, and this token, in {settings.instance})")
    click.echo(f"Admin token:   {kept}")
    click.echo(f'Try the API:   curl -H "Authorization: Bearer {kept}" {settings.public_url}/v1/polls')


main.add_command(consent)
main.add_command(verify_receipt)

if __name__ == "__main__":
    main()
