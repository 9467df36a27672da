"""Figures, told: one line a run, one table at the end."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from tests.bench.load import Figures

HEAD = (
    "| database | clients | votes/s | p50 ms | p99 ms | not 2xx | no-op/s | p50 ms | p99 ms | votes to no-op |\n"
    "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
)


class Measured(Protocol):
    """A setup that has been run."""

    name: str
    arguments: tuple[str, ...]
    rounds: dict[int, list[dict[str, Figures]]]
    counted: dict[str, int]


def line(name: str, clients: int, noop: Figures, votes: Figures) -> str:
    """Tell of one round while it goes on."""
    told = f"{name}, {clients} clients: {votes.rate:.0f} votes/s, p99 {votes.p99:.0f} ms; no-op {noop.rate:.0f}/s"
    return told + (" (tokens were used up)" if votes.used_up else "")


def table(setups: Sequence[Measured]) -> str:
    """Give the medians over all rounds as Markdown, and what the database held at the end."""
    rows, counts = [HEAD], []
    for setup in setups:
        for clients, rounds in setup.rounds.items():
            votes, noop = [each["votes"] for each in rounds], [each["noop"] for each in rounds]
            ratios = [each["votes"].rate / each["noop"].rate for each in rounds]
            cells = [
                f"{setup.name}, `{' '.join(setup.arguments)}`",
                str(clients),
                f"{middle(votes, lambda run: run.rate):.0f}",
                f"{middle(votes, lambda run: run.p50):.1f}",
                f"{middle(votes, lambda run: run.p99):.1f}",
                str(sum(run.refused for run in votes)),
                f"{middle(noop, lambda run: run.rate):.0f}",
                f"{middle(noop, lambda run: run.p50):.1f}",
                f"{middle(noop, lambda run: run.p99):.1f}",
                f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})",
            ]
            rows.append(f"| {' | '.join(cells)} |")
        found = setup.counted
        counts.append(
            f"{setup.name}: {found['slots']} in slots, {found['ballots']} ballots, {found['created']} answers 201, "
            f"{found['ballots'] - found['created']} under way when the load stopped."
        )
    return "\n".join([*rows, "", *counts])


def facts(known: Mapping[str, str]) -> str:
    """Give the facts of machine and software as a Markdown list."""
    return "\n".join(f"- {name}: {fact}" for name, fact in known.items())


def agrees(setup: Measured) -> bool:
    """Say whether slots are the ballots, and each answered vote is one of them."""
    found = setup.counted
    unheard = found["ballots"] - found["created"]
    return (
        found["slots"] == found["ballots"]
        and found["differences"] == 0
        and 0 <= unheard <= found["unheard_at_most"]
    )


def middle(runs: Sequence[Figures], of: Callable[[Figures], float]) -> float:
    """Give the median over runs."""
    return statistics.median(of(run) for run in runs)
