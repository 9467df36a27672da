"""Figures, told: one table, with the medians over all rounds."""

import statistics
from collections.abc import Callable, Mapping, Sequence

from tests.bench.load import Figures
from tests.bench.rows import Row

HEAD = (
    "| part | what | answers/s | p50 ms | p99 ms | not 2xx | service ms | database ms | MiB | compared with | ratio | goal |\n"
    "|---|---|--:|--:|--:|--:|--:|--:|--:|---|--:|--:|"
)


def table(rows: Sequence[Row]) -> str:
    """Give rows as Markdown, under a heading for each setup."""
    told = []
    for setup, clients in dict.fromkeys((row.setup, row.clients) for row in rows):
        told += [f"### {setup}, {clients} clients", "", HEAD]
        told += [_line(row) for row in rows if (row.setup, row.clients) == (setup, clients)]
        told.append("")
    return "\n".join(told)


def facts(known: Mapping[str, str]) -> str:
    """Give the facts of machine and software as a Markdown list."""
    return "\n".join(f"- {name}: {fact}" for name, fact in known.items())


def missed(rows: Sequence[Row]) -> list[str]:
    """Name what stayed below its goal."""
    return [
        f"{row.setup}: {row.what}: {statistics.median(row.ratios):.2f} of {row.yardstick}, goal {row.goal:.2f}"
        for row in rows
        if row.goal is not None and statistics.median(row.ratios) < row.goal
    ]


def _line(row: Row) -> str:
    cells = [
        row.part,
        row.what + (" (tokens were used up)" if any(run.used_up for run in row.rounds) else ""),
        f"{_middle(row, lambda run: run.rate):.0f}",
        f"{_middle(row, lambda run: run.p50):.1f}",
        f"{_middle(row, lambda run: run.p99):.1f}",
        str(sum(run.refused for run in row.rounds)),
        _number(row.service, 2),
        _number(row.database, 2),
        _number(row.memory, 0),
        row.yardstick or "",
        f"{statistics.median(row.ratios):.2f} ({min(row.ratios):.2f}–{max(row.ratios):.2f})"
        if row.ratios
        else "",
        _number(row.goal, 2),
    ]
    return f"| {' | '.join(cells)} |"


def _middle(row: Row, of: Callable[[Figures], float]) -> float:
    return statistics.median(of(run) for run in row.rounds)


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"
