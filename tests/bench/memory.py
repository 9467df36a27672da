"""What the processes of a service hold in memory, as Linux tells it."""

import re
from pathlib import Path

from tests.processes import children_of


def proportional(parent: int) -> float:
    """MiB of a process and its children together; what they share is counted once (proportional set size)."""
    return sum(_told(pid, "smaps_rollup", "Pss") for pid in (parent, *children_of(parent)))


def forget_peaks(parent: int) -> None:
    """Let the peak of each child begin anew at what it holds now."""
    for pid in children_of(parent):
        Path(f"/proc/{pid}/clear_refs").write_text("5")


def peak(parent: int) -> float:
    """MiB that the largest child held at once since its peak was forgotten."""
    return max(_told(pid, "status", "VmHWM") for pid in children_of(parent))


def _told(pid: int, file: str, name: str) -> float:
    found = re.search(rf"^{name}:\s+(\d+) kB$", Path(f"/proc/{pid}/{file}").read_text(), re.MULTILINE)
    assert found, f"/proc/{pid}/{file} tells no {name}"
    return int(found[1]) / 1024
