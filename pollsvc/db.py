"""The database: model base, column types, and engines for SQLite and PostgreSQL.

What differs between the two lives here, or in the statement builder of :mod:`pollsvc.polls.ballots`.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from inspect import iscoroutinefunction
from typing import Annotated, Any

import sqlalchemy as sa
from cryptography.fernet import InvalidToken
from flask import Flask, g
from flask_sqlalchemy_lite import SQLAlchemy
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from uuid_utils.compat import uuid7

from pollsvc.errors import PollsvcError
from pollsvc.keys import Keys
from pollsvc.patience import PATIENCE
from pollsvc.sqlite import prepare_sqlite

#: Connections of a process for what is done most: one for each kind of batch, and one for what waited in line.
HOT_CONNECTIONS = 5
#: Connections of the outbox worker: deliveries hold none while they wait for a server.
OUTBOX_CONNECTIONS = 4
# What is done most looks everything up by key. Planned once, and never as a scan: a table that was empty when PostgreSQL
# last counted it may hold a hundred thousand ballots by now.
PLAN_BY_KEY = "-c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off"


class EncryptedText(sa.types.TypeDecorator[str]):
    """Text that the database only ever sees encrypted (Fernet). Cannot be searched: keep a keyed hash beside it.

    What none of our keys opens reads as None, and holds up no other row; it stays as it is until somebody writes it.
    The cipher hangs on the engine's dialect, so that each application has its own keys and none is global.
    """

    impl = sa.LargeBinary
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> bytes | None:
        return None if value is None else dialect.pollsvc_cipher.encrypt(value.encode())  # type: ignore[attr-defined]

    def process_result_value(self, value: bytes | None, dialect: sa.Dialect) -> str | None:
        try:
            return None if value is None else dialect.pollsvc_cipher.decrypt(value).decode()  # type: ignore[attr-defined]
        except InvalidToken:
            return None


class UtcDateTime(sa.types.TypeDecorator[datetime]):
    """An aware time in UTC. SQLite keeps no zone, so it is taken off on the way in and put back on the way out."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime has no place in the database")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


#: A ballot's choices: an array on PostgreSQL, JSON on SQLite.
ChoiceIds = sa.JSON().with_variant(postgresql.ARRAY(sa.SmallInteger), "postgresql")


Id = Annotated[uuid.UUID, mapped_column(sa.Uuid, primary_key=True, default=uuid7)]
#: A number that the database counts up.
Number = Annotated[int, mapped_column(sa.BigInteger().with_variant(sa.Integer, "sqlite"))]
Hash = Annotated[bytes, mapped_column(sa.LargeBinary(32))]
Time = Annotated[datetime, mapped_column(UtcDateTime)]
#: Always there, and None where no key opens it.
Encrypted = Annotated[str | None, mapped_column(EncryptedText, nullable=False)]


class Model(DeclarativeBase):
    """Base of all models."""

    metadata = sa.MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {str: sa.Text, datetime: UtcDateTime, dict[str, Any]: sa.JSON, list[str]: sa.JSON}  # noqa: RUF012 (read by SQLAlchemy as it stands)


class Installation(Model):
    """What this database knows of the installation it belongs to, by name."""

    __tablename__ = "installation"

    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]


class WrongHashKey(PollsvcError):
    """The database belongs to another hash key: its ballots and suppressions could not be found again."""

    code = "wrong_hash_key"
    detail = (
        "POLLSVC_HASH_KEY is not the one this database was made with. Every voter could vote again, so the start is "
        "refused. Put the old key back (instance/keys.json holds it where it was made at the first run)."
    )


class LenientSession(Session):
    """A session whose end cannot fail: a connection that died since its last statement is only thrown away.

    Sessions end after the answer was made. An error there would turn it, a counted vote's too, into a 500.
    """

    def close(self) -> None:
        """Give the connection back, or throw it away."""
        try:
            super().close()
        except DBAPIError:
            self.invalidate()


class Database(SQLAlchemy):
    """The extension, with a session for each way of working.

    ``session`` reads. ``writing`` takes SQLite's one write lock when its transaction begins, because a reader that
    turns writer half-way is refused there. The engines ``voting``, which writes, and ``looking``, which reads, are for
    what is done most: on PostgreSQL they send each statement as a transaction of its own, which saves two of three
    round trips. They have a small pool of their own, so that neither pages nor the newsroom can keep them waiting.
    """

    def open(self, app: Flask, url: str, pool_size: int, keys: Keys) -> None:
        """Connect an application to its database: engines, sessions, cipher.

        :param url: a SQLAlchemy URL.
        :param pool_size: connections that one process holds at the most.
        """
        app.config["SQLALCHEMY_ENGINES"] = {
            "default": engine_options(url, pool_size),
            "hot": engine_options(url, HOT_CONNECTIONS, PLAN_BY_KEY),
        }
        self.init_app(app)
        # The extension also closes asynchronous sessions, which we never open: that alone would start an event loop at
        # the end of every request.
        app.teardown_appcontext_funcs[:] = [
            close for close in app.teardown_appcontext_funcs if not iscoroutinefunction(close)
        ]
        with app.app_context():
            engine, hot = self.engine, self.engines["hot"]
            prepare_engine(engine, keys)
            prepare_engine(hot, keys)
            alone: dict[str, Any] = {} if hot.dialect.name == "sqlite" else {"isolation_level": "AUTOCOMMIT"}
            self.engines["writing"] = engine.execution_options(sqlite_write=True)
            self.engines["voting"] = hot.execution_options(sqlite_write=True, **alone)
            self.engines["looking"] = hot.execution_options(**alone)
            self.engines["noting"] = engine.execution_options(sqlite_write=True, sqlite_patience=0)

    def get_session(self, name: str = "default") -> Session:
        """The session of that name, on the engine of that name, closed with the application context."""
        session = super().get_session(name)
        session.bind = self.engines[name]
        return session

    @property
    def writing(self) -> Session:
        """The session for changes."""
        return self.get_session("writing")

    @property
    def has_read(self) -> bool:
        """Whether ``session`` was made: then it may hold a connection, which its commit gives back."""
        return "default" in g.get("_sqlalchemy_sessions", ())

    @property
    def noting(self) -> Session:
        """The session for what is worth a line but no wait: where another one is writing, it is refused."""
        return self.get_session("noting")


db = Database(session_options={"class_": LenientSession, "expire_on_commit": False})


def engine_options(url: str, pool_size: int, settings: str = "") -> dict[str, Any]:
    """Options of an engine of the application.

    :param settings: more of PostgreSQL's, as `-c name=value`.
    """
    options: dict[str, Any] = {
        "url": url,
        "pool_size": pool_size,
        "max_overflow": 0,
        "pool_timeout": PATIENCE,
    }
    if url.startswith("postgresql"):
        # synchronous_commit is set here because a server may have it off, and an acknowledged vote must last.
        options["connect_args"] = {
            # A host that vanished sends nothing: without these, whoever waits for it would wait for a quarter of an hour.
            "keepalives_idle": 5,
            "keepalives_interval": 3,
            "keepalives_count": 3,
            "tcp_user_timeout": 10_000,
            "application_name": "pollsvc",
            "options": f"-c timezone=UTC -c synchronous_commit=on -c lock_timeout={PATIENCE * 1000 - 500} "
            f"-c statement_timeout={PATIENCE * 1000} -c idle_in_transaction_session_timeout=60000 {settings}",
        }
        # What is set here would stand above the URL's own.
        if "connect_timeout" not in sa.make_url(url).query:
            options["connect_args"]["connect_timeout"] = 5
    return options


def prepare_engine(engine: sa.Engine, keys: Keys) -> None:
    """Give an engine its cipher and, on SQLite, its pragmas and explicit transactions."""
    engine.dialect.pollsvc_cipher = keys.cipher  # type: ignore[attr-defined]
    if engine.dialect.name == "sqlite":
        prepare_sqlite(engine)


def remember_hash_key(session: Session, keys: Keys) -> None:
    """Write down which hash key this database belongs to, or refuse another one.

    :raises WrongHashKey: if the database knows another key.
    """
    known = session.get(Installation, "hash_key")
    if known is None:
        # Two first starts may meet here: the primary key decides, and both read the one row.
        row = insert_into(session, Installation).values(name="hash_key", value=keys.fingerprint())
        session.execute(row.on_conflict_do_nothing())
        known = session.get_one(Installation, "hash_key")
    if known.value != keys.fingerprint():
        raise WrongHashKey


def insert_into(session: Session, model: type[Model]) -> sqlite.Insert | postgresql.Insert:
    """An INSERT that knows ON CONFLICT, which both databases have and SQLAlchemy's generic insert has not."""
    if session.get_bind().dialect.name == "sqlite":
        return sqlite.insert(model)
    return postgresql.insert(model)
