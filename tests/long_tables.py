"""An installation after years: every table long, what is looked for rare. Rows that no rule would make are not among them."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy import insert, select
from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from pollsvc.articles.models import Article, Site, SiteOrigin
from pollsvc.consent.models import ConsentText
from pollsvc.corrections.models import Correction
from pollsvc.db import EncryptedText, Model
from pollsvc.keys import Keys
from pollsvc.polls.models import Poll
from pollsvc.staff.models import AuditEntry, StaffToken
from tests.bench.filling import Filled, fill
from tests.databases import open_engine
from tests.factories import THEN
from tests.long_comments import comment_rows
from tests.long_consents import consent_rows
from tests.long_webhooks import webhook_rows

ROWS = 5_000
EMAIL = "reader-1@reader.example"


@dataclass(frozen=True)
class Known:
    """What the calls on the long tables name."""

    filled: Filled
    site: uuid.UUID
    correction: uuid.UUID
    other_token: uuid.UUID
    text: uuid.UUID
    consent: uuid.UUID
    webhook: uuid.UUID
    secret_poll: uuid.UUID
    comment: uuid.UUID
    held: uuid.UUID


def lengthen(url: str, keys: Keys) -> Known:
    """Fill a migrated, empty database."""
    filled = fill(url, keys, ballots=40_000, polls=10_000)
    engine = open_engine(url, keys)
    with Session(engine.execution_options(sqlite_write=True)) as session:
        site = session.scalars(select(Site.id)).one()
        articles = session.scalars(select(Article.id).order_by(Article.id).limit(ROWS)).all()
        secret = session.scalars(select(Poll.id).order_by(Poll.id)).first()
        assert secret
        session.execute(sa.update(Poll).where(Poll.id == secret).values(results_visibility="after_vote"))
        known = Known(filled, site, uuid7(), uuid7(), uuid7(), uuid7(), uuid7(), secret, uuid7(), uuid7())
        consents = [known.consent, *(uuid7() for _ in range(ROWS - 1))]
        rest = consent_rows(site=site, text=known.text, article=articles[0], keys=keys, consents=consents)
        rest |= comment_rows(known.comment, known.held, articles, rows=ROWS, keys=keys)
        for model, rows in (_rows(known, articles, keys) | rest).items():
            session.execute(insert(_plain(model)), rows)
        if engine.dialect.name == "postgresql":
            # The messages until now brought their numbers along.
            numbers = "pg_get_serial_sequence('outbox_message', 'id')"
            session.execute(sa.text(f"SELECT setval({numbers}, (SELECT max(id) FROM outbox_message))"))
        for model, rows in webhook_rows(known.webhook, consents, keys).items():
            session.execute(insert(_plain(model)), rows)
        session.commit()
    if engine.dialect.name == "postgresql":
        with engine.begin() as connection:
            # The numbers above were given by hand; the next one follows them.
            for table in ("outbox_event", "outbox_message"):
                connection.exec_driver_sql(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), 1000000)")
        # As autovacuum does by itself. SQLite keeps no statistics in production, so it has none here.
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM ANALYZE")
            # The rows brought their numbers with them.
            for table in ("outbox_message", "outbox_event"):
                connection.exec_driver_sql(
                    f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id)) FROM {table}"
                )
    engine.dispose()
    return known


def _rows(
    known: Known, articles: Sequence[uuid.UUID], keys: Keys
) -> dict[type[Model], list[dict[str, object]]]:
    numbers = range(ROWS)
    sealed = keys.cipher.encrypt(b"what a reader wrote")
    return {
        Correction: [
            {
                "id": known.correction if number == 7 else uuid7(),
                "reference": f"C-{number}",
                "article_id": articles[number],
                "name": sealed,
                "email": sealed,
                "email_hash": number.to_bytes(32),
                "message": sealed,
                "status": "new" if number % 500 == 7 else "handled",
                "version": 1,
                "is_suspect": number % 400 == 7,
                "created_at": THEN,
            }
            for number in numbers
        ],
        ConsentText: [
            {
                "id": known.text if number == 0 else uuid7(),
                "site_id": known.site,
                "purpose": "newsletter",
                "version": number + 2,
                "mode": "explicit",
                "locale": "en",
                "is_material": False,
                "body": "Send me the newsletter.",
                "body_hash": bytes(32),
                "created_at": THEN,
                "created_by": "test",
            }
            for number in range(ROWS // 5)
        ],
        AuditEntry: [
            {
                "id": uuid7(),
                "occurred_at": THEN,
                "actor": "test",
                "action": "poll.edited",
                "object_type": "consent_text" if number % 500 == 7 else "poll",
                "object_id": str(uuid.UUID(int=number // 3)),
                "detail": {},
            }
            for number in numbers
        ],
        StaffToken: [
            {
                "id": known.other_token if number == 0 else uuid7(),
                "name": f"desk {number}",
                "token_hash": number.to_bytes(32),
                "scopes": ["polls:write"],
                "created_by": "test",
                "created_at": THEN,
            }
            for number in numbers
        ],
        Site: [
            {
                "id": uuid.UUID(int=number),
                "name": f"Gazette {number}",
                "locale": "en",
                "consent_mode": "explicit",
                "created_at": THEN,
            }
            for number in numbers
        ],
        SiteOrigin: [
            {
                "origin": f"https://gazette-{number}.example",
                "authority": f"gazette-{number}.example",
                "site_id": uuid.UUID(int=number),
                "position": 0,
            }
            for number in numbers
        ],
    }


def _plain(model: type[Model]) -> sa.TableClause:
    """The table with its encrypted columns as bytes, so that one ciphertext serves for all rows."""
    table = Model.metadata.tables[model.__tablename__]
    bytes_ = sa.LargeBinary()
    return sa.table(
        table.name,
        *(
            sa.column(column.name, bytes_ if isinstance(column.type, EncryptedText) else column.type)
            for column in table.columns
        ),
    )
