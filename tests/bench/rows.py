"""What every part of the benchmark measures in: one row of the one table."""

from dataclasses import dataclass

from tests.bench.load import Figures


@dataclass(frozen=True)
class Row:
    """One thing measured.

    :param part: ``votes``, ``reads``, ``behind nginx`` or ``growth``.
    :param what: what was sent, such as "votes, one hot poll".
    :param setup: what ran, such as "PostgreSQL + Redis, 2 workers of 8 threads".
    :param rounds: one run each; the table shows medians.
    :param yardstick: ``what`` of the row that this one is compared with; it was measured in turns with this one.
    :param ratios: this rate to the yardstick's, a round each.
    :param goal: the least ratio that is a pass.
    :param memory: MiB of all processes of the service together (proportional set size), after the last round.
    :param service: milliseconds of processor that the service's processes took for one answer.
    :param database: the same of the database's processes; None where it has none of its own.
    """

    part: str
    what: str
    setup: str
    clients: int
    rounds: tuple[Figures, ...]
    yardstick: str | None = None
    ratios: tuple[float, ...] = ()
    goal: float | None = None
    memory: float | None = None
    service: float | None = None
    database: float | None = None
