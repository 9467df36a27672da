"""`python -m tests.faults`: let every fault happen under load, and print one table.

Each is a service of its own, started as `pollsvc serve`, with 64 clients. The status is 1 when a promise was broken.
"""

import logging
import re
import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from tests.faults import clock, report, sqlite_file
from tests.faults.running import Scenario, run
from tests.faults.scenarios import SCENARIOS

ROOT = Path(__file__).parent.parent.parent


@click.command()
@click.option("--only", multiple=True, metavar="WORDS", help="Those whose name holds this; repeats.")
@click.option("--list", "is_list", is_flag=True, help="Print the names and end.")
@click.option(
    "--out", type=click.Path(path_type=Path), default=ROOT / "faults-results", help="Folder for the table."
)
def main(only: tuple[str, ...], is_list: bool, out: Path) -> None:
    """Run the scenarios, print the table, and keep it."""
    logging.disable(logging.INFO)  # of the migrations, which each scenario begins with
    chosen = [each for each in SCENARIOS if not only or any(words in each.name for words in only)]
    if is_list:
        click.echo("\n".join(each.name for each in chosen))
        return
    if not chosen:
        raise click.UsageError("No scenario has such a name; --list prints them.")
    verdicts = []
    for scenario in chosen:
        if reason := why_not(scenario):
            click.echo(f"{scenario.name}: not run, {reason}", err=True)
            continue
        verdicts.append(run(scenario))
        click.echo(report.line(verdicts[-1]), err=True)
    told = report.table(verdicts)
    click.echo(told)
    stem = datetime.now(UTC).strftime("faults-%Y%m%dT%H%M%SZ")
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{stem}.json").write_text(report.as_json(verdicts))
    (out / f"{stem}.md").write_text(told + "\n")
    for verdict in verdicts:
        if verdict.flaws:
            (out / f"{stem}-{re.sub(r'[^a-z0-9]+', '-', verdict.scenario.lower())}.log").write_text(
                verdict.log
            )
    click.echo(f"Kept in {out / stem}.json and .md", err=True)
    sys.exit(any(verdict.flaws for verdict in verdicts))


def why_not(scenario: Scenario) -> str:
    """Tell what this machine lacks for a scenario; empty where it lacks nothing."""
    if scenario.stage is sqlite_file.on_small_disk and not sqlite_file.can_mount():
        return "because only root may mount a small disk"
    if scenario.stage is clock.on_false_clock and clock.library() is None:
        return "because libfaketime is not installed (Debian: apt-get install libfaketime)"
    return ""


if __name__ == "__main__":
    main()
