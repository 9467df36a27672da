"""`python -m tests.bench.profile`: what a vote's time in Python goes to, sampled by py-spy in a worker under load.

A sample belongs to the innermost of our own functions, or of a library's, that the table names. Samples are taken of the
thread that holds the interpreter's lock.
"""

import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click

from tests.bench.hot import WARM_UP, Tokens, make_polls
from tests.bench.load import send
from tests.bench.setups import SETUPS, running
from tests.processes import children_of

#: Part of a vote, and what marks it in a line of the profile; the innermost mark counts.
PARTS = {
    "JSON: reading and writing": ("json_answer", "load_object", "json/__init__", "json/decoder"),
    "limits: Redis": ("redis/", "web/counters"),
    "limits: flask-limiter and keys": ("flask_limiter/", "limits/", "web/limits", "voters/routes"),
    "schema: webargs, flask-smorest, marshmallow": ("marshmallow/", "webargs/", "flask_smorest/"),
    "session and SQL: SQLAlchemy": ("sqlalchemy/",),
    "SQL: psycopg": ("psycopg/",),
    "ballot box: batches and their threads": ("pollsvc/batching", "polls/ballot_box", "polls/statements"),
    "tally: counts and shares": ("polls/tallies", "polls/percentages"),
    "token and voter key": ("itsdangerous/", "pollsvc/keys", "voters/service"),
    "log line": ("structlog/", "web/logs"),
    "metrics": ("prometheus_client/", "web/metrics"),
    "headers, caching, CORS": ("web/headers",),
    "Flask and Werkzeug: routing, request, response": ("flask/", "werkzeug/"),
    "granian": ("granian/",),
}


@click.command()
@click.option("--database", default="postgresql", show_default=True, type=click.Choice(list(SETUPS)))
@click.option("--clients", default=64, show_default=True)
@click.option("--seconds", default=8, show_default=True)
def main(database: str, clients: int, seconds: int) -> None:
    """Vote, sample, and print a table."""
    with running(SETUPS[database], {}) as service:
        poll, others = make_polls(service)
        url = f"{service.server.address}/v1/polls/{poll}/votes"
        tokens = Tokens(service, others)
        send(url, tokens.write(WARM_UP, is_spread=False), clients=clients, seconds=WARM_UP)
        file = tokens.write(seconds + 3, is_spread=False)
        voters = threading.Thread(
            target=send, args=(url, file), kwargs={"clients": clients, "seconds": seconds + 2}
        )
        voters.start()
        lines = sample(min(children_of(service.server.process.pid)), seconds, service.folder / "profile")
        voters.join()
    click.echo(table(lines))


def sample(pid: int, seconds: int, file: Path) -> list[str]:
    """Watch a process, and give a line for each stack that was seen, with its number behind it."""
    program = Path(sys.executable).with_name("py-spy")
    options = [
        "--gil",
        "--nonblocking",
        "--rate",
        "400",
        "--duration",
        str(seconds),
        "--format",
        "raw",
        "--output",
        str(file),
    ]
    subprocess.run([program, "record", "--pid", str(pid), *options], check=True, capture_output=True)
    return file.read_text().splitlines()


def table(lines: Sequence[str]) -> str:
    """Give the share of each part as Markdown, the largest first."""
    counted: Counter[str] = Counter()
    for line in lines:
        stack, _, number = line.rpartition(" ")
        counted[part_of(stack)] += int(number)
    total = sum(counted.values())
    rows = [f"| {part} | {100 * number / total:.0f} % |" for part, number in counted.most_common()]
    return "\n".join(["| part of a vote | share |", "|---|--:|", *rows, "", f"{total} samples."])


def part_of(stack: str) -> str:
    """Name the part that a stack belongs to."""
    for frame in reversed(stack.split(";")):
        for part, marks in PARTS.items():
            if any(mark in frame for mark in marks):
                return part
    return "the rest"


if __name__ == "__main__":
    main()
