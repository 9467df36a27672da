"""A reader who left something in every place, and a search of every place.

A feature that takes in something of a reader's joins `PLANTERS` with one function.
"""

import json
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from cryptography.fernet import InvalidToken
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from pollsvc.articles.models import Site
from pollsvc.config import Settings
from pollsvc.consent.models import ConsentText, Mode, Subscriber
from pollsvc.db import Model
from pollsvc.outbox.models import OutboxAttempt, OutboxEvent, OutboxMessage, WebhookEndpoint
from pollsvc.polls.models import Poll
from pollsvc.privacy.leftovers import TABLES
from pollsvc.worker import Worker
from tests.consent.logins import SECRET, account_token
from tests.consent.stored import _files, _read_elsewhere, rows_of
from tests.factories import ARTICLE_URL, make_consent_text, make_poll, make_site, make_token

TOKEN = re.compile(rb"gAAAA[A-Za-z0-9_-]{60,}={0,2}")


@dataclass
class Scene:
    """An installation and the reader whom it should forget."""

    client: FlaskClient
    staff: FlaskClient
    session: Session
    settings: Settings
    shift: timedelta = timedelta()
    words: dict[str, str] = field(default_factory=dict)
    kept: dict[str, str] = field(default_factory=dict)
    site: Site = field(init=False)
    poll: Poll = field(init=False)
    text: ConsentText = field(init=False)
    alerts: ConsentText = field(init=False)

    def __post_init__(self) -> None:
        self.keys = self.settings.keys()
        self.worker = Worker(self.settings, self.now)
        self.site = site = make_site(self.session)
        self.text = make_consent_text(self.session, site=site)
        self.alerts = make_consent_text(self.session, site=site, purpose="alerts")
        self.poll = make_poll(self.session)
        # Mails and events are the reader's alone, until a test asks for others.
        site.desk_email = None
        self.session.execute(sa.delete(OutboxEvent))
        self.session.commit()
        self.email = f"{self.plant('address')}@reader.example"

    def plant(self, where: str, *, is_kept: bool = False) -> str:
        """Give a word that stands nowhere else, and remember it.

        :param is_kept: whether it stays, because it is the publisher's or proof, and nobody's whom it would tell of.
        """
        words = self.kept if is_kept else self.words
        words[where] = f"canary{uuid.uuid4().hex[:14]}"
        return words[where]

    def now(self) -> datetime:
        """The worker's time: ours, and what was added to it."""
        return datetime.now(UTC) + self.shift

    def later(self, shift: timedelta) -> None:
        """Let so much time pass for the worker."""
        self.shift += shift

    def work(self) -> None:
        """Let the worker do everything that is due."""
        self.session.commit()
        self.worker.look()

    def post(
        self, path: str, body: Mapping[str, object], status: int, by: FlaskClient | None = None
    ) -> dict[str, Any]:
        answer = (by or self.client).post(path, json=body)
        assert answer.status_code == status, answer.text
        given: dict[str, Any] = answer.json or {}
        return given

    def as_staff(self, scope: str) -> FlaskClient:
        """A member of the newsroom with one scope."""
        token = make_token(self.session, scopes=[scope])
        self.session.commit()
        client = self.client.application.test_client()
        client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token}"
        return client

    def get(self, path: str) -> dict[str, Any]:
        """Read as the newsroom."""
        answer = self.staff.get(path)
        assert answer.status_code == 200, answer.text
        given: dict[str, Any] = answer.json or {}
        return given

    def sign_up(self, text: ConsentText, email: str | None = None, **more: str) -> None:
        body = {
            "text_id": str(text.id),
            "email": email or self.email,
            "accepted": True,
            "article_url": ARTICLE_URL,
        }
        self.post("/v1/consents", body | more, 202)

    def mails(self) -> list[EmailMessage]:
        """The files of mails, oldest first."""
        folder = self.settings.instance / "mail"
        found = sorted(folder.glob("*.eml"), key=lambda path: path.stat().st_mtime_ns)
        return [message_from_bytes(path.read_bytes(), policy=policy.default) for path in found]

    def links(self, kind: str) -> list[str]:
        """The paths of a kind that stand in mails: `links("consent")`."""
        return [
            path for mail in self.mails() for path in re.findall(rf"/{kind}/[A-Za-z0-9._-]+", text_of(mail))
        ]

    def results(self) -> object:
        return self.get(f"/v1/polls/{self.poll.id}/tally")

    def secrets(self) -> set[bytes]:
        """What the tables hold encrypted, as it stands there."""
        return {token for _, row in self._rows() for value in row for token in TOKEN.findall(value)}

    def found(self, words: Mapping[str, str] | None = None) -> dict[str, set[str]]:
        """Give the places in which a planted word stands, by what was planted.

        :param words: which; those that are to go where left out.
        """
        self.session.commit()
        places: dict[str, set[str]] = {}
        for place, content in self._contents():
            for where, word in (self.words if words is None else words).items():
                if word.encode() in content.lower():
                    places.setdefault(where, set()).add(place)
        return places

    def fragments_left(self, tokens: set[bytes]) -> int:
        """Of so many encrypted values, how many stand in the database's files, if only in part."""
        files = b"".join(content for _, content in self._database_files())
        return sum(
            any(token[at : at + 40] in files for at in range(10, len(token) - 39, 40)) for token in tokens
        )

    def rewrite_tables(self) -> None:
        """What docs/privacy.md names for PostgreSQL, where a page may hold what was deleted until it is written anew."""
        engine = self.session.get_bind().engine
        self.session.commit()
        if engine.dialect.name == "postgresql":
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                for table in TABLES:
                    connection.exec_driver_sql(f"VACUUM FULL {table}")

    def analyze(self) -> None:
        """What PostgreSQL does by itself now and then: keep values of columns for its planner."""
        engine = self.session.get_bind().engine
        self.session.commit()
        if engine.dialect.name == "postgresql":
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                for table in (each for each in TABLES if each.startswith("comment")):
                    connection.exec_driver_sql(f"ANALYZE {table}")

    def log_size(self) -> int:
        """Bytes of SQLite's write-ahead log."""
        return sum(len(content) for name, content in self._database_files() if name.endswith("-wal"))

    def _contents(self) -> Iterator[tuple[str, bytes]]:
        for table, row in self._rows():
            for value in row:
                yield table, value
                yield from ((f"{table}, decrypted", opened) for opened in self._opened(value))
        for name, content in self._database_files():
            yield name, content
            yield from ((f"{name}, decrypted", opened) for opened in self._opened(content))
        for path in self.settings.instance.rglob("*"):
            if path.is_file():
                yield str(path.relative_to(self.settings.instance)), path.read_bytes()

    def _rows(self) -> Iterator[tuple[str, list[bytes]]]:
        for table in Model.metadata.tables:
            yield from ((table, row) for row in rows_of(self.session, table))
        self.session.commit()

    def _database_files(self) -> Iterator[tuple[str, bytes]]:
        url = self.session.get_bind().engine.url
        if url.get_backend_name() == "sqlite":
            for path in _files(Path(str(url.database))):
                yield path.name, _read_elsewhere(path)
            return
        # Tables and indexes, as they are on disk after a checkpoint; not the write-ahead log, which keeps what was written.
        with self.session.get_bind().engine.connect() as connection:
            connection.exec_driver_sql("CHECKPOINT")
            folder = connection.exec_driver_sql("SHOW data_directory").scalar_one()
            number = connection.exec_driver_sql(
                "SELECT oid FROM pg_database WHERE datname = current_database()"
            ).scalar_one()
        for path in sorted(Path(folder, "base", str(number)).iterdir()):
            yield f"base/{path.name}", path.read_bytes()

    def _opened(self, content: bytes) -> Iterator[bytes]:
        for token in TOKEN.findall(content):
            try:
                yield self.keys.cipher.decrypt(token)
            except InvalidToken:
                continue  # a part of one


def text_of(mail: EmailMessage) -> str:
    part = mail.get_body(("plain",))
    assert part is not None
    return str(part.get_content())


def vote(scene: Scene) -> None:
    token = scene.post("/v1/voters", {}, 201)["voter_token"]
    scene.post(f"/v1/polls/{scene.poll.id}/votes", {"choices": [1], "voter_token": token}, 201)


def subscribe(scene: Scene) -> None:
    """Sign up and confirm; the page keeps a key to take it back with."""
    scene.sign_up(scene.text, withdrawal_key=scene.plant("withdrawal key") + "0" * 10)
    scene.work()
    (confirm,) = set(scene.links("consent"))
    assert scene.client.post(confirm).status_code == 200
    scene.work()


def sign_up_twice(scene: Scene) -> None:
    """Spelled in capitals; too soon after the first for another mail, so that it waits."""
    scene.sign_up(scene.alerts, scene.email.upper().replace("@READER.EXAMPLE", "@reader.example"))
    scene.work()


def correct(scene: Scene) -> None:
    body = {
        "article_url": ARTICLE_URL,
        "name": scene.plant("correction name"),
        "email": scene.email,
        "message": f"It is wrong: {scene.plant('correction message')}.",
        "quote": scene.plant("correction quote"),
    }
    scene.post("/v1/corrections", body, 201)
    (report,) = scene.get("/v1/corrections")["items"]
    note = {"status": "handled", "version": 1, "note": f"Called {scene.plant('correction note')}."}
    assert scene.staff.patch(f"/v1/corrections/{report['id']}", json=note).status_code == 200


@dataclass(frozen=True)
class Commented:
    """A thread: what the reader said, and what another one answered."""

    published: str
    reply: str
    rejected: str
    voter_token: str


def comment(scene: Scene) -> Commented:
    """One that was edited, approved, reported and answered by others, and one that was rejected; of both, notes."""
    token, other = (scene.post("/v1/voters", {}, 201)["voter_token"] for _ in range(2))

    def write(voter_token: str, email: str, name: str, body: str, parent_id: str | None = None) -> str:
        new = {"article_url": ARTICLE_URL, "email": email, "name": name, "body": body, "parent_id": parent_id}
        return str(scene.post("/v1/comments", {**new, "voter_token": voter_token}, 202)["id"])

    def decide(comment_id: str, action: str, version: int, note: str | None = None) -> None:
        decision = {"action": action, "version": version, "note": note}
        scene.post(f"/v1/moderation/comments/{comment_id}/decisions", decision, 200, by=scene.staff)

    name = scene.plant("comment name")
    published = write(token, scene.email, name, f"I think {scene.plant('comment before')} of the ferry.")
    edit = {"version": 1, "body": f"Now I think {scene.plant('published comment')} of the ferry."}
    mine = {"X-Voter-Token": token}
    assert scene.client.patch(f"/v1/comments/{published}", json=edit, headers=mine).status_code == 202
    decide(published, "approve", 2, f"Known: {scene.plant('comment note')}.")
    reply = write(other, "bea@reader.example", "Bea", "I do not think so at all, dear reader.", published)
    decide(reply, "approve", 1)
    note = {"reason": "abuse", "note": f"That is {scene.plant('report note')}.", "voter_token": other}
    scene.post(f"/v1/comments/{published}/reports", note, 202)
    words = f"{scene.plant('rejected comment')} is what I want to say."
    rejected = write(token, scene.email, scene.plant("other comment name"), words)
    decide(rejected, "reject", 1, f"Again {scene.plant('rejection note')}.")
    scene.work()
    return Commented(published, reply, rejected, token)


def hand_over(scene: Scene) -> None:
    """An event on its way to the publisher: one attempt failed, the next is to come."""
    now = datetime.now(UTC)
    session = scene.session
    event = session.scalars(select(OutboxEvent).where(OutboxEvent.kind == "consent.confirmed")).one()
    endpoint = WebhookEndpoint(
        url="https://crm.news.example/hook",
        description="",
        event_types=[],
        secret="whsec_",
        state="active",
        failures=1,
        version=1,
        created_at=now,
    )
    session.add(endpoint)
    session.flush()
    message = OutboxMessage(
        channel="webhook",
        kind=event.kind,
        delivery_key=f"{event.key} {endpoint.id}",
        subject=event.subject,
        lane=f"webhook {endpoint.id} {event.subject}",
        payload=json.dumps(
            {"data": json.loads(str(event.data)), "more": scene.plant("webhook payload") + "x" * 6_000}
        ),
        endpoint_id=endpoint.id,
        event_id=event.id,
        state="pending",
        attempts=1,
        available_at=now,
        created_at=now,
    )
    session.add(message)
    session.flush()
    session.add(
        OutboxAttempt(message_id=message.id, attempted_at=now, outcome="retry", status=500, milliseconds=3)
    )
    session.commit()


def ask_for_data(scene: Scene) -> None:
    """Twice, so that the second waits for the next mail to be allowed."""
    for _ in range(2):
        assert scene.client.post("/data", data={"email": scene.email}).status_code == 200
        scene.work()


def join_by_account(scene: Scene) -> None:
    """With all that a page sends along: the article's address, its origin, the widget and the login's token."""
    scene.site.login_key = SECRET
    text = make_consent_text(scene.session, site=scene.site, purpose="members", mode=Mode.SOFT_OPT_IN)
    scene.session.commit()
    path = scene.plant("article's path", is_kept=True)
    body = {
        "text_id": str(text.id),
        "email": scene.email,
        "accepted": True,
        "article_url": f"{ARTICLE_URL}/{path}?mail={scene.plant('article query')}%40reader.example",
        "account_token": account_token(sub=scene.plant("account"), email=scene.email),
        # Of these two nothing can be planted in: a file's name and hash, and one of two words.
        "widget": "embed.js 0123456789abcdef",
        "placement": "after_vote",
    }
    origin = {"Origin": f"https://{scene.plant('origin', is_kept=True)}.example"}
    answer = scene.client.post("/v1/consents", json=body, headers=origin)
    assert answer.status_code == 202, answer.text
    scene.work()


def be_imported(scene: Scene) -> None:
    """Taken over from another system, which names where it had the address from."""
    text = make_consent_text(scene.session, site=scene.site, purpose="digest")
    source = scene.plant("import's source", is_kept=True)
    row = f"email,consented_at,source\n{scene.email},2025-03-01T10:00:00Z,{source}\n"
    scene.session.commit()
    answer = scene.staff.post(f"/v1/consents/import?text_id={text.id}", data=row, content_type="text/csv")
    assert '"imported":1' in answer.text.replace(" ", ""), answer.text


PLANTERS: list[Callable[[Scene], object]] = [vote, subscribe, sign_up_twice, correct, hand_over, ask_for_data]


#: What is left too by who commented, has an account, and whose address was on a list.
MORE_PLANTERS: list[Callable[[Scene], object]] = [comment, join_by_account, be_imported]
#: Of what was planted, what is never stored: of a key and an account a hash, and of an address in a link nothing.
NEVER_STORED = {"withdrawal key", "account", "article query"}
#: What every reader was shown, and stood in the open.
PUBLISHED = {"comment name", "published comment"}


def subscriber_id(session: Session) -> uuid.UUID:
    return session.scalars(select(Subscriber.id)).one()


def count(session: Session, *models: type[Model]) -> list[int]:
    session.commit()
    return [session.scalars(select(sa.func.count()).select_from(model)).one() for model in models]
