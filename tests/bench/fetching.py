"""One GET again and again, by wrk."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.bench.load import WRK_THREADS, Figures

SCRIPT = Path(__file__).with_name("reads.lua")


def fetch(url: str, *, clients: int, seconds: float, headers: Mapping[str, str]) -> Figures:
    """Read a URL in so many connections at once."""
    how = [f"-t{WRK_THREADS}", f"-c{clients}", f"-d{seconds:.0f}s", "--timeout", "20s", "-s", str(SCRIPT)]
    sent = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
    done = subprocess.run(["wrk", *how, *sent, url], capture_output=True, text=True, check=True)
    told = json.loads(done.stdout.strip().splitlines()[-1])
    told["statuses"] = {int(status): count for status, count in told["statuses"].items()}
    return Figures(**told)
