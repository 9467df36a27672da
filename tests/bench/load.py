"""The load: wrk where it is installed, threads of our own otherwise, which cost more of the processor than they measure with."""

import http.client
import itertools
import json
import shutil
import statistics
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

SCRIPT = Path(__file__).with_name("votes.lua")
READS = Path(__file__).with_name("reads.lua")
WRK_THREADS = 2


@dataclass(frozen=True)
class Figures:
    """What one run came to.

    :param statuses: answers by status.
    :param failed: requests that got no answer, for another reason than the end of the run.
    :param p50: milliseconds; p99 likewise.
    :param used_up: whether the tokens did not last and readers came twice.
    """

    statuses: dict[int, int]
    failed: int
    seconds: float
    p50: float
    p99: float
    used_up: bool

    @property
    def answered(self) -> int:
        """Answers that say what was asked for: 2xx, and 304."""
        return sum(n for status, n in self.statuses.items() if 200 <= status < 300 or status == 304)

    @property
    def rate(self) -> float:
        """Such answers a second."""
        return self.answered / self.seconds

    @property
    def refused(self) -> int:
        """All other answers, and requests without one."""
        return self.failed + sum(self.statuses.values()) - self.answered


def generator() -> str:
    """Name what will make the load."""
    if shutil.which("wrk") is None:
        return "threads (wrk is not installed: figures of the two cannot be compared)"
    told = subprocess.run(["wrk", "-v"], capture_output=True, text=True, check=False)
    return " ".join((told.stdout + told.stderr).split()[:2])


def send(url: str, tokens: Path, *, clients: int, seconds: float) -> Figures:
    """Vote at a URL with these tokens, one a line, in so many connections at once."""
    if shutil.which("wrk") is None:
        return _by_threads(url, tokens.read_text().split(), clients, seconds)
    return _by_wrk(url, tokens, clients, seconds)


def fetch(url: str, *, clients: int, seconds: float, headers: Mapping[str, str]) -> Figures:
    """Read a URL again and again in so many connections at once. Needs wrk."""
    sent = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
    return _wrk(READS, url, clients=clients, seconds=seconds, more=sent)


def _by_wrk(url: str, tokens: Path, clients: int, seconds: float) -> Figures:
    return _wrk(SCRIPT, url, (str(tokens), str(WRK_THREADS)), clients=clients, seconds=seconds)


def _wrk(
    script: Path,
    url: str,
    arguments: Sequence[str] = (),
    *,
    clients: int,
    seconds: float,
    more: Sequence[str] = (),
) -> Figures:
    how = [f"-t{WRK_THREADS}", f"-c{clients}", f"-d{seconds:.0f}s", "--timeout", "20s", "-s", str(script)]
    done = subprocess.run(
        ["wrk", *how, *more, url, "--", *arguments], capture_output=True, text=True, check=True
    )
    told = json.loads(done.stdout.strip().splitlines()[-1])
    told["statuses"] = {int(status): count for status, count in told["statuses"].items()}
    return Figures(**told)


def _by_threads(url: str, tokens: Sequence[str], clients: int, seconds: float) -> Figures:
    parts = urlsplit(url)
    source = itertools.cycle(tokens)
    lock = threading.Lock()
    statuses: Counter[int] = Counter()
    took: list[float] = []
    end = time.monotonic() + seconds

    def client() -> None:
        with closing(http.client.HTTPConnection(parts.netloc, timeout=20)) as connection:
            while (began := time.monotonic()) < end:
                with lock:
                    token = next(source)
                body = json.dumps({"choices": [1], "voter_token": token})
                connection.request("POST", parts.path, body, {"Content-Type": "application/json"})
                response = connection.getresponse()
                response.read()
                with lock:
                    statuses[response.status] += 1
                    took.append(time.monotonic() - began)

    began = time.monotonic()
    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    percentiles = statistics.quantiles(took, n=100)
    return Figures(
        statuses=dict(statuses),
        failed=0,
        seconds=time.monotonic() - began,
        p50=percentiles[49] * 1000,
        p99=percentiles[98] * 1000,
        used_up=sum(statuses.values()) > len(tokens),
    )
