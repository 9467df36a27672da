"""The ``pollsvc`` command. Results go to stdout, everything else to stderr."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import click
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from pollsvc import __version__, migrating, serving
from pollsvc.articles.service import create_site
from pollsvc.config import PREFIX, ConfigError, Settings, fresh_keys
from pollsvc.consent.service import newsletter_text
from pollsvc.db import engine_options, prepare_engine, remember_hash_key
from pollsvc.embeds import demo as demo_content
from pollsvc.errors import PollsvcError
from pollsvc.polls.tallies import find_differences
from pollsvc.scopes import SCOPES
from pollsvc.staff import service as staff_service

#: Who the audit log names for what is done here.
ACTOR = "cli"


class _Commands(click.Group):
    """A group that turns our errors into one line and exit status 1."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except (ConfigError, PollsvcError) as error:
            raise click.ClickException(_told(error)) from error
        except OperationalError as error:
            raise click.ClickException(f"The database does not answer: {error.orig}") from error


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
    "--threads", default=8, show_default=True, type=click.IntRange(1, 256), help="Threads of each process."
)
def serve(host: str, port: int, workers: int, threads: int) -> None:
    """Serve readers and newsroom until told to stop."""
    shown_host = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104 (compared, not bound)
    own = f"http://[{shown_host}]:{port}" if ":" in shown_host else f"http://{shown_host}:{port}"
    settings = _settings({PREFIX + "PUBLIC_URL": own})
    _ready_database(settings)
    if workers > 1 and not settings.redis_url:
        click.echo("Note: without POLLSVC_REDIS_URL each process counts rate limits for itself.", err=True)
    click.echo(f"Serving {settings.public_url}/ from {_where(settings)}", err=True)
    serving.serve(settings, host=host, port=port, workers=workers, threads=threads)


@main.group()
def db() -> None:
    """The database: bring it up to date, check its tallies."""


@db.command("upgrade")
def upgrade_database() -> None:
    """Create the tables, or bring them to this release."""
    settings = _settings()
    migrating.upgrade(settings.database_url)
    with _session(settings) as session:
        remember_hash_key(session, settings.keys())
        session.commit()
    click.echo(f"The database is up to date: {_where(settings)}", err=True)


@db.command()
def reconcile() -> None:
    """Compare every tally with its ballots; exit status 1 on a difference."""
    with _session(_settings()) as session:
        differences = find_differences(session)
    for found in differences:
        click.echo(
            f"poll {found.poll_id} choice {found.choice_id}: {found.votes:+d} votes, {found.voters:+d} voters"
        )
    click.echo(
        f"{len(differences)} differences" if differences else "Every tally equals its ballots.", err=True
    )
    sys.exit(1 if differences else 0)


@main.group()
def site() -> None:
    """Sites, whose articles carry polls."""


@site.command("add")
@click.option("--name", required=True, help="What readers call it.")
@click.option(
    "--origin",
    "origins",
    required=True,
    multiple=True,
    help="Such as https://news.example; the first is canonical.",
)
@click.option("--privacy-url", help="Its privacy policy.")
@click.option("--terms-url", help="Its terms of use.")
@click.option("--standards-url", help="Its editorial standards.")
@click.option("--desk-email", help="Who reads corrections.")
def add_site(name: str, origins: tuple[str, ...], **links: str | None) -> None:
    """Add a site; it begins with a newsletter text made from its name and links."""
    with _session(_settings()) as session:
        made = create_site(session, name=name, origins=origins, actor=ACTOR, now=_now(), **links)
        newsletter_text(session, made, actor=ACTOR, now=_now())
        session.commit()
        click.echo(made.id)


@main.group()
def token() -> None:
    """API tokens of the newsroom."""


@token.command("create")
@click.option("--name", required=True, help="Whose it is.")
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
    with _session(_settings()) as session:
        expires_at = _now() + timedelta(days=days) if days else None
        _, secret = staff_service.create_token(
            session, name=name, scopes=scopes, actor=ACTOR, now=_now(), expires_at=expires_at
        )
        session.commit()
    click.echo(secret)


@main.command()
def keys() -> None:
    """Print fresh keys for a production installation."""
    for name, key in fresh_keys().items():
        click.echo(f"{PREFIX}{name.upper()}={key}")


@main.command()
def demo() -> None:
    """Make the demo article's content where there is none, and print how to call the API."""
    settings = _settings()
    path = settings.instance / "demo-token"
    with _session(settings) as session:
        demo_content.make_demo(session, settings.keys(), settings.public_url, _now())
        kept = path.read_text().strip() if path.exists() else ""
        if not staff_service.find_token(session, kept, _now()):
            _, kept = staff_service.create_token(
                session, name="demo", scopes=["admin"], actor=ACTOR, now=_now()
            )
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            path.write_text(kept + "\n")
        session.commit()
    click.echo(f"Demo article:  {settings.public_url}/")
    click.echo(f"Data:          {_where(settings)} (keys, and this token, in {settings.instance})")
    click.echo(f"Admin token:   {kept}")
    click.echo(f'Try the API:   curl -H "Authorization: Bearer {kept}" {settings.public_url}/v1/polls')


def _settings(defaults: dict[str, str] | None = None) -> Settings:
    settings = Settings.from_environ({**(defaults or {}), **os.environ})
    for name in settings.unknown:
        click.echo(f"Note: {name} is no setting of this release.", err=True)
    return settings


def _ready_database(settings: Settings) -> None:
    """A first run needs no command of its own; an old database is only brought up to date when asked for."""
    if migrating.is_empty(settings.database_url):
        migrating.upgrade(settings.database_url)
    elif migrating.is_behind(settings.database_url):
        raise click.ClickException(
            "The database is of an older release. Back it up, then run: pollsvc db upgrade"
        )
    with _session(settings) as session:
        remember_hash_key(session, settings.keys())
        session.commit()


@contextmanager
def _session(settings: Settings) -> Iterator[Session]:
    engine = sa.create_engine(**engine_options(settings.database_url, 2))
    prepare_engine(engine, settings.keys())
    with Session(engine.execution_options(sqlite_write=True), expire_on_commit=False) as session:
        yield session
    engine.dispose()


def _where(settings: Settings) -> str:
    return sa.make_url(settings.database_url).render_as_string(hide_password=True)


def _now() -> datetime:
    return datetime.now(UTC)
