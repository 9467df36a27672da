"""``pollsvc retention`` and ``pollsvc db reencrypt``."""

from __future__ import annotations

import sys
import time
from datetime import datetime, timedelta

import click
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pollsvc import errands  # noqa: F401 (loads the models of every feature, so that no table is missed)
from pollsvc.articles.models import Site
from pollsvc.commands.starting import now, read_settings
from pollsvc.consent.models import ConsentEvent, ConsentText, Kind
from pollsvc.keys import Keys
from pollsvc.opening import open_database
from pollsvc.patience import lift_patience
from pollsvc.privacy.clocks import Reading, read_clocks
from pollsvc.privacy.leftovers import orphaned_files
from pollsvc.privacy.retention import all_clocks, consent_clocks
from pollsvc.privacy.rotation import Sealed, renew_some, sealed_tables

#: The worker looks every hour; what is overdue by more than this, nobody forgets.
_LATE = timedelta(days=1)
#: Rows that are encrypted anew in one transaction, and how long votes are let by on SQLite between two.
_BATCH = 100
_PAUSE = 0.005
#: The exit status where rows were passed over: 1 is a failure, 2 a wrong call.
_UNREADABLE_LEFT = 3


@click.group()
def retention() -> None:
    """How long data is kept."""


@retention.command()
def report() -> None:
    """Print every clock and what it keeps; exit status 1 where something is overdue by more than a day."""
    settings, moment = read_settings(), now()
    with open_database(settings, is_writing=False) as session:
        # The tables are counted: that takes longer than a reader would wait.
        lift_patience(session)
        readings = read_clocks(session, (*all_clocks(settings), *consent_clocks()), moment)
        click.echo("days  rows      overdue   oldest      kept since it was / what")
        for reading in readings:
            click.echo(_line(reading))
        files = orphaned_files(session, settings, moment)
        click.echo(f"   0            {len(files):<9} -           its message was forgotten / mail files")
        click.echo()
        for line in _sign_ups(session):
            click.echo(line)
    late = [reading for reading in readings if reading.delay > _LATE]
    for reading in late:
        click.echo(f"Overdue by {reading.delay.days} days: {reading.clock.kind}", err=True)
    sys.exit(1 if late else 0)


def _line(reading: Reading) -> str:
    oldest = _day(reading.oldest)
    clock = reading.clock
    return f"{clock.keep.days:>4}  {reading.rows:<9} {reading.overdue:<9} {oldest:<11} {clock.begins} / {clock.kind}"


def _day(moment: datetime | None) -> str:
    return moment.date().isoformat() if moment else "-"


def _sign_ups(session: Session) -> list[str]:
    """What became of sign-ups, by site: the counts outlive whom they count."""
    counted = (
        select(Site.name, ConsentEvent.kind, func.count())
        .select_from(ConsentEvent)
        .join(ConsentText, ConsentText.id == ConsentEvent.text_id)
        .join(Site, Site.id == ConsentText.site_id)
        # The first release's sign-ups have none: each was made an ordinary one, with an event of its own.
        .where(ConsentEvent.consent_id.is_not(None))
        .group_by(Site.name, ConsentEvent.kind)
        .order_by(Site.name)
    )
    sites: dict[str, dict[str, int]] = {}
    for name, kind, count in session.execute(counted):
        sites.setdefault(name, {})[kind] = count
    told = {Kind.REQUESTED: "asked", Kind.CONFIRMED: "confirmed", Kind.EXPIRED: "expired"}
    return [
        f"{name}: " + ", ".join(f"{counts.get(kind, 0)} {word}" for kind, word in told.items())
        for name, counts in sites.items()
    ]


@click.command()
@click.option(
    "--skip-unreadable", is_flag=True, help="Go on past what no key opens, name each row, and exit with 3."
)
def reencrypt(skip_unreadable: bool) -> None:
    """Encrypt with the first of POLLSVC_ENCRYPTION_KEYS what an older one encrypted; then the older one may go.

    It may run while readers are served, and again after it was stopped.
    """
    settings = read_settings()
    with open_database(settings) as session:
        session.commit()
        left = sum(
            _renew_table(session, settings.keys(), sealed, skip_unreadable=skip_unreadable)
            for sealed in sealed_tables()
        )
    if left:
        click.echo(f"{left} rows hold what no key opens; all else is encrypted with the first key.", err=True)
        sys.exit(_UNREADABLE_LEFT)
    click.echo("Everything is encrypted with the first key.", err=True)


def _renew_table(session: Session, keys: Keys, sealed: Sealed, *, skip_unreadable: bool) -> int:
    """Encrypt a table anew; in how many of its rows is something that no key opens."""
    read = renewed = left = 0
    after = None
    while True:
        step = renew_some(session, keys, sealed, after, _BATCH)
        if step.unreadable and not skip_unreadable:
            raise click.ClickException(
                f"A value in {sealed.name} was encrypted with a key that is not among POLLSVC_ENCRYPTION_KEYS. Add "
                f"that key at the end, and run this again. Where it is lost for good, add --skip-unreadable."
            )
        session.commit()
        for identity in step.unreadable:
            click.echo(f"{sealed.name} {' '.join(map(str, identity))}: no key opens it", err=True)
        read, renewed, after = read + step.read, renewed + step.renewed, step.last
        left += len(step.unreadable)
        if step.read < _BATCH:
            break
        time.sleep(_PAUSE)
    click.echo(f"{sealed.name}: {read} rows, {renewed} encrypted anew", err=True)
    return left
