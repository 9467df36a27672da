"""Verdicts, told: one table as Markdown, with what broke below it, and the same as JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace

from tests.faults.verdict import Verdict

HEAD = (
    "| fault | votes sent | 2xx | 503 | dropped | longest wait | answered again after | lost | differences | verdict |\n"
    "|---|--:|--:|--:|--:|--:|--:|--:|--:|---|"
)


def table(verdicts: Sequence[Verdict]) -> str:
    """Give a row for each scenario, and a list of every broken promise."""
    rows = [HEAD, *(_row(verdict) for verdict in verdicts)]
    broken = [f"- {verdict.scenario}: {flaw}" for verdict in verdicts for flaw in verdict.flaws]
    return "\n".join([*rows, *(["", *broken] if broken else [])])


def line(verdict: Verdict) -> str:
    """Tell of one scenario while the others go on."""
    told = f"{verdict.scenario}: {verdict.sent} votes, {verdict.refused} refused, {verdict.dropped} dropped, "
    told += f"longest wait {verdict.longest:.1f} s: "
    return told + ("holds" if not verdict.flaws else "BROKEN: " + "; ".join(verdict.flaws))


def as_json(verdicts: Sequence[Verdict]) -> str:
    """Give the same figures to programs."""
    return json.dumps([asdict(replace(verdict, log="")) for verdict in verdicts], indent=1) + "\n"


def _row(verdict: Verdict) -> str:
    cells = [
        verdict.scenario,
        str(verdict.sent),
        str(verdict.counted),
        str(verdict.refused),
        str(verdict.dropped),
        f"{verdict.longest:.1f} s",
        "–" if verdict.recovery is None else f"{verdict.recovery:.1f} s",
        str(verdict.lost),
        str(verdict.differences),
        "**broken**" if verdict.flaws else "holds",
    ]
    return f"| {' | '.join(cells)} |"
