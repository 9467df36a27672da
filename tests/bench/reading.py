"""The load of cached reads: wrk without a script, which would cost more of the processor than what it measures."""

import re
import subprocess

from tests.bench.load import WRK_THREADS, Figures

_MILLISECONDS = {"us": 0.001, "ms": 1.0, "s": 1_000.0, "m": 60_000.0}


def read(url: str, *, clients: int, seconds: float) -> Figures:
    """Ask for a URL in so many kept connections at once. Needs wrk."""
    how = [f"-t{WRK_THREADS}", f"-c{clients}", f"-d{seconds:.0f}s", "--timeout", "20s", "--latency"]
    done = subprocess.run(["wrk", *how, url], capture_output=True, text=True, check=True)
    return parse(done.stdout)


def parse(told: str) -> Figures:
    """Make figures of what wrk prints with ``--latency``. It tells 2xx and 3xx from the others, and no more."""
    answers, took = _found(r"(\d+) requests in ([\d.]+\w+)", told)
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", told)
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", told)
    refused = int(bad[1]) if bad else 0
    return Figures(
        # Which status it was is not told; it counts as refused.
        statuses={200: int(answers) - refused} | ({500: refused} if refused else {}),
        failed=sum(map(int, errors.groups())) if errors else 0,
        seconds=_milliseconds(took) / 1_000,
        p50=_milliseconds(_found(r"50%\s+([\d.]+\w+)", told)[0]),
        p99=_milliseconds(_found(r"99%\s+([\d.]+\w+)", told)[0]),
        used_up=False,
    )


def _found(pattern: str, told: str) -> tuple[str, ...]:
    match = re.search(pattern, told)
    assert match, f"wrk told nothing like {pattern}:\n{told}"
    return match.groups()


def _milliseconds(text: str) -> float:
    amount, unit = _found(r"([\d.]+)(us|ms|s|m)", text)
    return float(amount) * _MILLISECONDS[unit]
