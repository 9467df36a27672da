"""`python -m tests.bench`: everything that is measured, in one table.

Votes and reads of the service in turns with routes that do nothing, reads behind nginx in turns with a static file, and the
same calls on a small and on a large database in turns; searches for
listed words, alone. The status is 1 when slots, ballots and answers do not agree.
"""

import json
import logging
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click

from tests.bench import comments, grown, growth, hot, machine, proxied, report, words
from tests.bench.load import generator
from tests.bench.rows import Row
from tests.bench.setups import ROOT, SETUPS, Setup
from tests.nginx import program

PARTS = ("hot", "comments", "proxied", "growth", "words")


@click.command()
@click.option(
    "--part", "parts", multiple=True, type=click.Choice(PARTS), help="Only this one; may be repeated."
)
@click.option(
    "--database", "databases", multiple=True, type=click.Choice(list(SETUPS)), help="Only this one."
)
@click.option("--clients", default=64, show_default=True)
@click.option("--seconds", default=4.0, show_default=True, help="Of each run.")
@click.option("--rounds", default=3, show_default=True, help="Of everything that is compared, in turn.")
@click.option("--workers", type=int, help="In place of the setup's own.")
@click.option("--threads", type=int, help="In place of the setup's own.")
@click.option("--try", "tried", multiple=True, help="An argument of tests.bench.server, such as --linger=0.")
@click.option(
    "--out", type=click.Path(path_type=Path), default=ROOT / "bench-results", help="Folder for the figures."
)
def main(
    *,
    parts: Sequence[str],
    databases: Sequence[str],
    clients: int,
    seconds: float,
    rounds: int,
    workers: int | None,
    threads: int | None,
    tried: tuple[str, ...],
    out: Path,
) -> None:
    """Measure, print a table, and keep the figures. The status says whether counts agree, not whether goals are met."""
    logging.getLogger("alembic").setLevel(logging.WARNING)
    wanted = parts or PARTS
    if set(wanted) != {"words"} and shutil.which("wrk") is None:
        raise click.ClickException("This needs wrk (Debian: apt-get install wrk).")
    if "proxied" in wanted and program() is None:
        raise click.ClickException("The part behind nginx needs it (Debian: apt-get install nginx-light).")
    facts = {**machine.describe(), "load by": generator()}
    rows: list[Row] = []
    is_sound = True
    for name in databases or SETUPS if "hot" in wanted else ():
        setup = SETUPS[name]
        setup = Setup(setup.name, workers or setup.workers, threads or setup.threads, tried)
        found, agrees = hot.measure(setup, clients=clients, seconds=seconds, rounds=rounds, facts=facts)
        rows += found
        is_sound = is_sound and agrees
    for name in databases or SETUPS if "comments" in wanted else ():
        setup = SETUPS[name]
        setup = Setup(setup.name, workers or setup.workers, threads or setup.threads, tried)
        found, agrees = comments.measure(setup, clients=clients, seconds=seconds, rounds=rounds, facts=facts)
        rows += found
        is_sound = is_sound and agrees
    if "proxied" in wanted:
        behind = proxied.measure_alone(clients=clients, seconds=seconds, rounds=rounds)
        rows += behind.rows
        facts |= proxied.facts_of(behind)
        is_sound = is_sound and behind.asked <= behind.windows
    for name in databases or SETUPS if "growth" in wanted else ():
        large = grown.SETUPS[name]
        found_grown = growth.measure(
            large, ballots=large.ballots, clients=clients, seconds=seconds, rounds=rounds
        )
        rows += found_grown.rows
        facts |= {f"growth, {large.name}, {what}": fact for what, fact in found_grown.facts.items()}
        is_sound = is_sound and found_grown.is_sound
    searched: list[words.Searched] = []
    if "words" in wanted:
        searched, found_facts = words.measure()
        facts |= found_facts
    told = f"{report.table(rows)}\n{words.table(searched) if searched else ''}\n{report.facts(facts)}\n"
    for sentence in [*report.missed(rows), *(words.missed(searched) if searched else ())]:
        told += f"\nBelow its goal: {sentence}\n"
    click.echo(told)
    keep(
        out,
        told,
        {
            "machine": facts,
            "seconds": seconds,
            "rows": [asdict(row) for row in rows],
            "words": [asdict(each) for each in searched],
        },
    )
    if not is_sound:
        raise click.ClickException("What is counted, what is stored and what was answered do not agree.")


def keep(out: Path, told: str, figures: dict[str, object]) -> None:
    """Write the table and its figures into a folder, as Markdown and JSON."""
    out.mkdir(parents=True, exist_ok=True)
    stem = datetime.now(UTC).strftime("bench-%Y%m%dT%H%M%SZ")
    (out / f"{stem}.json").write_text(json.dumps(figures, indent=1) + "\n")
    (out / f"{stem}.md").write_text(told)
    click.echo(f"Kept in {out / stem}.json and .md", err=True)


if __name__ == "__main__":
    main()
