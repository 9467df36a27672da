"""Comments sent and threads read, in turns with the routes that do nothing: the part `comments`.

Every comment is another writer's and another text, with all checks on and lists of words to look for. A short thread and one of
ten thousand take turns, so that what a long one costs can be seen. At the end every count is compared with a recount.
"""

import itertools
import json
import random
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from pollsvc.comments.counts import find_differences
from pollsvc.comments.models import Comment, CommentChange, CommentCount, CommentRevision
from pollsvc.comments.policies import BUILT_IN
from pollsvc.comments.policy_models import CommentPolicy, WordList
from pollsvc.web.forms import issue_form_token
from tests.bench import usage
from tests.bench.hot import BARE_ROUTE, NOOP_ROUTE, WARM_UP, Measured, watched
from tests.bench.load import Figures, fetch, send
from tests.bench.rows import Row
from tests.bench.server import BARE, NOOP
from tests.bench.setups import Running, Setup, running
from tests.factories import ORIGIN, THEN, make_article, make_site, make_voter_token

SHORT, LONG = 30, 10_000
#: More than a server takes in a second here; a run that uses its texts up says so.
MOST_A_SECOND = 3_000
LISTED = 2_000

SENT, SENT_LONG = "a comment, thread of 30", "a comment, thread of 10,000"
READ, READ_LONG = "a thread of 30", "a thread of 10,000"
YARDSTICKS = {SENT: NOOP_ROUTE, SENT_LONG: SENT, READ: BARE_ROUTE, READ_LONG: READ}
GOALS = {SENT: 0.3, SENT_LONG: 1 / 1.5, READ: 0.3, READ_LONG: 1 / 1.5}
URLS = {SHORT: f"{ORIGIN}/short", LONG: f"{ORIGIN}/long"}


def measure(
    setup: Setup, *, clients: int, seconds: float, rounds: int, facts: dict[str, str]
) -> tuple[list[Row], bool]:
    """Run one setup, and say whether its counts equal a recount at the end."""
    with running(setup, facts) as service:
        with service.session() as session:
            fill(session, service)
        runs = dict(_runs(service, clients))
        for run in runs.values():
            run(WARM_UP)
        found = {what: Measured() for what in runs}
        orders = itertools.cycle((list(runs.items()), list(reversed(runs.items()))))
        for what, run in itertools.chain.from_iterable(itertools.islice(orders, rounds)):
            figures = watched(service, found[what], run, seconds)
            click.echo(f"{setup.name}: {what}: {figures.rate:.0f}/s, p99 {figures.p99:.0f} ms", err=True)
        memory = usage.proportional(service.server.process.pid)
        service.server.stop()
        with service.session() as session:
            stored = session.scalars(select(func.count()).select_from(Comment)).one() - SHORT - LONG
            differences = len(find_differences(session))
        answered = sum(
            figures.statuses.get(201, 0) for what in (SENT, SENT_LONG) for figures in found[what].rounds
        )
        facts[f"{setup.name}, comments"] = (
            f"{stored} stored, {answered} measured answers 201, {differences} differences"
        )
        rows = [_row(setup, clients, what, found, memory) for what in runs]
    return rows, not differences and answered <= stored


def fill(session: Session, service: Running) -> None:
    """Make both threads, lists of words, and a policy by which new writers are published."""
    make_site(session)
    for size, url in URLS.items():
        _fill_thread(session, service, make_article(session, url=url).id, size)
    words = _words(LISTED * 2)
    for kind, some in (("banned", words[:LISTED]), ("suspect", words[LISTED:])):
        session.add(
            WordList(
                kind=kind,
                language="en",
                version=1,
                words=some,
                exceptions=[],
                updated_at=THEN,
                updated_by="bench",
            )
        )
    checks = {
        name: {"hold": each.hold}
        for name, each in BUILT_IN.checks.items()
        if name not in ("new_commenter", "repeats")
    }
    session.add(
        CommentPolicy(
            version=1,
            state="live",
            document={"checks": checks},
            created_by="bench",
            created_at=THEN,
            activated_at=THEN,
        )
    )
    session.commit()


def _fill_thread(session: Session, service: Running, article: uuid.UUID, size: int) -> None:
    ids = [uuid7() for _ in range(size)]
    text = "I took the ferry for years, and the bell was never once too early. It should stay."
    rows = [
        {
            "id": each,
            "article_id": article,
            "below_id": article,
            "ancestors": [],
            "depth": 0,
            "writer_key": number.to_bytes(32),
            "is_account": False,
            "name": f"Reader {number}",
            "email": f"reader-{number}@reader.example",
            "status": "published",
            "version": 1,
            "revision": 1,
            "decided_by": "policy:1",
            "is_featured": False,
            "shown_name": f"Reader {number}",
            "shown_text": text,
            "shown_html": f"<p>{text}</p>",
            "replies": 0,
            "open_reports": 0,
            "created_at": THEN,
            "decided_at": THEN,
        }
        for number, each in enumerate(ids)
    ]
    session.execute(insert(Comment), rows)
    revisions = [
        {
            "comment_id": each,
            "number": 1,
            "body": text,
            "policy_version": 1,
            "outcome": "publish",
            "because": [],
            "created_at": THEN,
        }
        for each in ids
    ]
    session.execute(insert(CommentRevision), revisions)
    changes = [
        {
            "comment_id": each,
            "version": 1,
            "action": "submit",
            "after": "published",
            "revision": 1,
            "actor": "policy:1",
            "occurred_at": THEN,
        }
        for each in ids
    ]
    session.execute(insert(CommentChange), changes)
    session.add(CommentCount(article_id=article, status="published", n=size))


def _words(number: int) -> list[str]:
    """Words that nobody uses, the same in every run."""
    draw = random.Random(2)
    return ["".join(draw.choices("bdfgklmnprstvz", k=4)) + f"{place:x}q" for place in range(number)]


@dataclass
class Texts:
    """Files of comments that were never sent, each of a writer and in words of its own."""

    service: Running

    def __post_init__(self) -> None:
        self._path = self.service.folder / "comments"
        self._numbers = itertools.count(1)
        draw = random.Random(1)
        self._words = [
            "".join(draw.choices("abcdefghijklmnoprstuvwz", k=draw.randint(2, 9))) for _ in range(3_000)
        ]

    def write(self, seconds: float, url: str) -> Path:
        """Write comments enough for so many seconds, about 300 characters each."""
        moment = datetime.now(UTC)
        form_token = issue_form_token(self.service.keys, moment - timedelta(seconds=30))
        with self._path.open("w") as file:
            for number in itertools.islice(self._numbers, int(seconds * MOST_A_SECOND)):
                draw = random.Random(number)
                comment = {
                    "article_url": url,
                    "name": f"Reader {number}",
                    "email": f"reader-{number}@reader.example",
                    "body": " ".join(draw.choices(self._words, k=50)).capitalize() + ".",
                    "voter_token": make_voter_token(self.service.keys, number=number, now=moment),
                    "form_token": form_token,
                }
                file.write(json.dumps(comment) + "\n")
        return self._path


def _runs(service: Running, clients: int) -> Iterator[tuple[str, Callable[[float], Figures]]]:
    address, texts = service.server.address, Texts(service)

    def submit(url: str) -> Callable[[float], Figures]:
        return lambda seconds: send(
            f"{address}/v1/comments", texts.write(seconds, url), clients=clients, seconds=seconds
        )

    def noop(seconds: float) -> Figures:
        path = service.folder / "tokens"
        numbers = range(int(seconds * MOST_A_SECOND * 2))
        path.write_text("\n".join(make_voter_token(service.keys, number=number) for number in numbers) + "\n")
        return send(address + NOOP, path, clients=clients, seconds=seconds)

    def read(path: str) -> Callable[[float], Figures]:
        return lambda seconds: fetch(address + path, clients=clients, seconds=seconds, headers={})

    yield BARE_ROUTE, read(BARE)
    yield NOOP_ROUTE, noop
    yield SENT, submit(URLS[SHORT])
    yield SENT_LONG, submit(URLS[LONG])
    yield READ, read(f"/v1/comments?order=oldest&article_url={URLS[SHORT]}")
    yield READ_LONG, read(f"/v1/comments?order=oldest&article_url={URLS[LONG]}")


def _row(setup: Setup, clients: int, what: str, found: dict[str, Measured], memory: float) -> Row:
    mine, yardstick = found[what], YARDSTICKS.get(what)
    answers = sum(figures.answered for figures in mine.rounds)
    pairs = zip(mine.rounds, found[yardstick].rounds, strict=True) if yardstick else ()
    return Row(
        part="comments",
        what=what,
        setup=setup.told,
        clients=clients,
        rounds=tuple(mine.rounds),
        yardstick=yardstick,
        ratios=tuple(one.rate / other.rate for one, other in pairs),
        goal=GOALS.get(what),
        memory=memory,
        service=mine.service / answers * 1_000,
        database=None if setup.name == "SQLite" else mine.database / answers * 1_000,
    )
