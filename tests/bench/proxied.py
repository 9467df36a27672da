"""`python -m tests.bench.proxied`: reads of a poll and of a thread behind nginx, in turns with a static file that it serves.

nginx is the one of `deploy/nginx.conf`. The file holds what the answer holds, so both send bodies of the same size, and it
is served as nginx serves files on Debian, by sendfile(). Read and written instead, a file so small costs less, as polls do there:
that is measured beside it. What reaches the service is counted too: at most one request in two seconds and address.
"""

import re
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import click

from tests.bench import comments, report, usage
from tests.bench.load import Figures
from tests.bench.reading import read
from tests.bench.rows import Row
from tests.bench.setups import SETUPS, running
from tests.factories import make_poll
from tests.live_server import LiveServer
from tests.nginx import Nginx, program

PART, SETUP = "behind nginx", "nginx, deploy/nginx.conf"
GOAL = 0.9
FILE = "/yardstick.json"
#: The same file by another name.
WRITTEN = "/written.json"
WARM_UP = 1.0
WINDOW = 2.0


@dataclass
class Measured:
    """What one address came to, round by round, and the seconds of processor that nginx took for it."""

    rounds: list[Figures] = field(default_factory=list)
    processor: float = 0.0

    @property
    def cost(self) -> float:
        """Microseconds of nginx's processor for one answer: what else the machine does moves it less than the rate."""
        return self.processor / sum(run.answered for run in self.rounds) * 1_000_000


@dataclass(frozen=True)
class Proxied:
    """What reads behind nginx came to.

    :param costs: by ``what`` of the rows: microseconds of nginx's processor for one answer.
    :param asked: requests of these reads that reached the service.
    :param windows: two-second windows that the reads took; no more than one request of each address belongs into one.
    """

    rows: list[Row] = field(default_factory=list)
    costs: dict[str, float] = field(default_factory=dict)
    asked: int = 0
    windows: int = 0


def measure(
    app: LiveServer, paths: Mapping[str, str], *, clients: int, seconds: float, rounds: int
) -> Proxied:
    """Start nginx before a running service, and read some paths, each in turns with a file of its answer's size.

    Needs wrk and nginx. The service must log its requests, which are counted there.
    """
    nginx_program = program()
    assert nginx_program, "this needs nginx (Debian: apt-get install nginx-light)"
    rows: list[Row] = []
    costs: dict[str, float] = {}
    asked = windows = 0
    with files() as folder, Nginx(nginx_program, app.port, further=file_locations(folder)) as nginx:
        for name, path in paths.items():
            body = fetch(nginx.address + path)
            (folder / FILE[1:]).write_bytes(body)
            what, file = f"{name}, {len(body)} bytes", f"a file of {len(body)} bytes"
            addresses = {file: FILE, f"{file}, without sendfile()": WRITTEN, what: path}
            before, began = requests_of(app), time.time()
            found = take_turns(nginx, addresses, clients=clients, seconds=seconds, rounds=rounds)
            asked += requests_of(app) - before
            windows += int(time.time() // WINDOW) - int(began // WINDOW) + 1
            rows += rows_of(found, what, file, clients)
            costs |= {each: measured.cost for each, measured in found.items()}
            # nginx knows files by their number for a while: the next one must be another.
            (folder / FILE[1:]).unlink()
    return Proxied(rows, costs, asked, windows)


def take_turns(
    nginx: Nginx, addresses: Mapping[str, str], *, clients: int, seconds: float, rounds: int
) -> dict[str, Measured]:
    """Read each address in each round, warm: after a pause readers wait half a second for a new answer, once."""
    found = {what: Measured() for what in addresses}
    for _ in range(rounds):
        for what, path in addresses.items():
            read(nginx.address + path, clients=clients, seconds=WARM_UP)
            before = usage.processor(nginx.pid)
            found[what].rounds.append(read(nginx.address + path, clients=clients, seconds=seconds))
            found[what].processor += usage.processor(nginx.pid) - before
    return found


def rows_of(found: Mapping[str, Measured], what: str, file: str, clients: int) -> list[Row]:
    """Give a row of each address; what is read is compared with the file."""
    pairs = zip(found[what].rounds, found[file].rounds, strict=True)
    ratios = tuple(one.rate / other.rate for one, other in pairs)
    return [
        Row(PART, each, SETUP, clients, tuple(measured.rounds))
        if each != what
        else Row(PART, each, SETUP, clients, tuple(measured.rounds), yardstick=file, ratios=ratios, goal=GOAL)
        for each, measured in found.items()
    ]


@contextmanager
def files() -> Iterator[Path]:
    """Make a folder that nginx, which runs as nobody where we are root, may read."""
    with tempfile.TemporaryDirectory(prefix="pollsvc-files-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def file_locations(folder: Path) -> str:
    """Give the lines that let nginx serve the file in both ways, logged as everything is."""
    return (
        f"location = {FILE} {{ root {folder}; }}\n"
        f"location = {WRITTEN} {{ sendfile off; alias {folder}{FILE}; }}\n"
    )


def fetch(url: str) -> bytes:
    """Read a URL."""
    with urllib.request.urlopen(url, timeout=20) as response:
        body: bytes = response.read()
    return body


def requests_of(app: LiveServer) -> int:
    """Give how many reads of polls and threads the service has logged."""
    return len(
        re.findall(r'^\{"method": ?"GET", ?"route": ?"/v1/(?:polls/|comments")', app.stderr, re.MULTILINE)
    )


def measure_alone(*, clients: int, seconds: float, rounds: int) -> Proxied:
    """Measure before one web process on SQLite, which is asked next to nothing."""
    with running(SETUPS["sqlite"], {}) as service:
        with service.session() as session:
            comments.fill(session, service)
            poll_id = make_poll(session).id
            session.commit()
        paths = {
            "a poll": f"/v1/polls/{poll_id}",
            "results": f"/v1/polls/{poll_id}/results",
            comments.READ: f"/v1/comments?order=oldest&article_url={comments.URLS[comments.SHORT]}",
        }
        return measure(service.server, paths, clients=clients, seconds=seconds, rounds=rounds)


@click.command()
@click.option("--clients", default=64, show_default=True)
@click.option("--seconds", default=3.0, show_default=True, help="Of each run.")
@click.option("--rounds", default=5, show_default=True, help="Of everything that is compared, in turn.")
def main(clients: int, seconds: float, rounds: int) -> None:
    """Measure, and print what came out."""
    measured = measure_alone(clients=clients, seconds=seconds, rounds=rounds)
    click.echo(report.table(measured.rows))
    click.echo(report.facts(facts_of(measured)))
    if measured.asked > measured.windows:
        raise click.ClickException("The service was asked more than once in two seconds.")


def facts_of(measured: Proxied) -> dict[str, str]:
    """Tell what the table does not: what reached the service, and what an answer cost."""
    asked = f"{measured.asked} times in {measured.windows} windows of two seconds"
    costs = {f"nginx, {what}": f"{cost:.1f} µs of processor each" for what, cost in measured.costs.items()}
    return {"behind nginx, the service was asked": asked, **costs}


if __name__ == "__main__":
    main()
