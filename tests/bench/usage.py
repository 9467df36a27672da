"""What processes take of processor and memory, as Linux tells it."""

import os
import re
from pathlib import Path

from tests.processes import children_of

_TICKS = os.sysconf("SC_CLK_TCK")


def processor(parent: int | None) -> float:
    """Seconds of processor that a process and its children have taken until now, those that have ended included."""
    if parent is None:
        return 0.0
    taken = 0
    for pid in (parent, *children_of(parent)):
        # The name, in parentheses, may hold spaces; user and system time are the 14th and 15th field of the line.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        taken += int(fields[11]) + int(fields[12])
        if pid == parent:
            taken += int(fields[13]) + int(fields[14])
    return taken / _TICKS


def proportional(parent: int) -> float:
    """MiB of a process and its children together; what they share is counted once (proportional set size)."""
    return sum(told(pid, "smaps_rollup", "Pss") for pid in (parent, *children_of(parent)))


def forget_peaks(parent: int) -> None:
    """Let the peak of each child begin anew at what it holds now."""
    for pid in children_of(parent):
        Path(f"/proc/{pid}/clear_refs").write_text("5")


def peak(parent: int) -> float:
    """MiB that the largest child held at once since its peak was forgotten."""
    return max(told(pid, "status", "VmHWM") for pid in children_of(parent))


def told(pid: int, file: str, name: str) -> float:
    found = re.search(rf"^{name}:\s+(\d+) kB$", Path(f"/proc/{pid}/{file}").read_text(), re.MULTILINE)
    assert found, f"/proc/{pid}/{file} tells no {name}"
    return int(found[1]) / 1024
