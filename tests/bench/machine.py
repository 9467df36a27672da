"""Where figures come from: without it they mean nothing."""

import os
import platform
import sqlite3
import tempfile
import time
from importlib.metadata import version
from pathlib import Path


def describe() -> dict[str, str]:
    """Tell what the machine is, and what runs on it."""
    return {
        "processor": f"{_processor()}, {len(os.sched_getaffinity(0))} cores",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "fsync": f"{_fsync():.2f} ms (median of 100 appends of 4 KiB)",
        "load before": f"{os.getloadavg()[0]:.2f}",
        "Python": platform.python_version(),
        "granian": version("granian"),
        "Flask": version("flask"),
        "SQLite": sqlite3.sqlite_version,
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return " ".join(line.partition(":")[2].split())
    return platform.machine()


def _fsync() -> float:
    took = []
    with tempfile.TemporaryFile() as file:
        for _ in range(100):
            began = time.perf_counter()
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())
            took.append(time.perf_counter() - began)
    return sorted(took)[len(took) // 2] * 1000
