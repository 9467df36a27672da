"""Outbox, webhooks, double opt-in, suppression, seals of the consent chain, and ballots that know whether they were mixed.

The release before goes on beside it: what it inserts gets the defaults, and what is new it does not read. No row is
moved or rewritten. Writers of ``consent_event``, ``consent_text`` and ``site`` wait for the columns and constraints, which
reads those tables once; votes wait for an index over all ballots, about a second for a million of them on PostgreSQL.

Sign-ups of that release have an event and no consent. The worker makes sign-ups of them, which are asked to confirm.

Taking it back loses what only it knows: confirmations, states, suppressions, what waits to be sent.
"""

import time

import sqlalchemy as sa
from alembic import op
from sqlalchemy.exc import OperationalError

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)
_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_KINDS = (
    "'requested', 'confirmation_sent', 'confirmed', 'withdrawn', 'renewal_sent', 'renewed', 'expired', "
    "'imported', 'suppressed', 'released', 'erased'"
)
#: What no statement empties or replaces, ``TRUNCATE`` on PostgreSQL and ``INSERT OR REPLACE`` on SQLite included, with
#: the keys by which SQLite finds what a new row replaces.
_PROOF = {
    "consent_text": (("id",), ("site_id", "purpose", "version")),
    "consent_event": (("id",),),
    "consent_seal": (("position",), ("event_id",)),
    "audit_entry": (("id",),),
}
#: What this migration changes, or makes foreign keys to.
_TAKEN = (
    "ballot",
    "correction",
    "consent_event",
    "audit_entry",
    "consent_text",
    "subscriber",
    "article",
    "site",
)
_MODES = "'explicit', 'soft_opt_in', 'notice_only'"


def upgrade() -> None:
    """Create what is new."""
    _take_tables()
    _create_outbox()
    _widen_articles()
    _widen_consent()
    _create_consents()
    _create_corrections_part()
    _create_privacy()
    _create_ballots_part()
    _seal_whole()


def downgrade() -> None:
    """Take it away."""
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    _unseal_whole()
    if not is_sqlite:
        op.drop_index("ix_ballot_is_mixed", "ballot")
    op.drop_column("ballot", "is_mixed")
    op.drop_column("ballot", "is_tier_sealed")
    op.drop_column("correction", "erased_at")
    _unseal("consent_seal")
    for table in (
        "leftover",
        "data_request",
        "consent_seal",
        "suppression",
        "mail_permit",
        "confirmation",
        "sign_up",
        "consent",
        "outbox_attempt",
        "outbox_message",
        "outbox_event",
        "webhook_acknowledgement",
        "webhook_endpoint",
    ):
        op.drop_table(table)
    _unseal("consent_event")
    op.execute("DELETE FROM consent_event WHERE kind <> 'requested'")
    # An address that no event leads to would never be found again.
    op.execute("DELETE FROM subscriber WHERE id NOT IN (SELECT subscriber_id FROM consent_event)")
    op.drop_index("ix_consent_event_consent_id", "consent_event")
    with op.batch_alter_table("consent_event") as batch:
        batch.drop_constraint(op.f("ck_consent_event_known_kind"), type_="check")
        batch.create_check_constraint(op.f("ck_consent_event_known_kind"), "kind IN ('requested')")
        for column in ("consent_id", "evidence", "actor"):
            batch.drop_column(column)
    _seal("consent_event")
    with op.batch_alter_table("consent_text") as batch:
        batch.drop_constraint(op.f("ck_consent_text_known_mode"), type_="check")
        for column in (
            "locale",
            "mode",
            "controller",
            "contact",
            "withdrawal",
            "privacy_version",
            "terms_version",
            "is_material",
        ):
            batch.drop_column(column)
    if is_sqlite:
        _seal("consent_text")
    with op.batch_alter_table("site") as batch:
        batch.drop_constraint(op.f("ck_site_known_consent_mode"), type_="check")
        for column in ("locale", "consent_mode", "login_key"):
            batch.drop_column(column)


def _take_tables() -> None:
    """Have all tables that change to ourselves before the first one does, on PostgreSQL.

    Writers of the release before hold some and want others, in an order of theirs. We give up and come again before
    PostgreSQL would look for a deadlock (after a second), so that none of them is ever the one that is ended. The time is
    that of all tables together: lock_timeout would begin anew with each.
    """
    bind = op.get_bind()
    if bind.dialect.name == "sqlite":
        return
    for _ in range(200):
        try:
            with bind.begin_nested():
                op.execute("SET LOCAL statement_timeout = '500ms'")
                op.execute(f"LOCK TABLE {', '.join(_TAKEN)} IN ACCESS EXCLUSIVE MODE")
        except OperationalError:
            time.sleep(0.1)
        else:
            op.execute("SET LOCAL statement_timeout = 0")
            return
    raise RuntimeError("The tables are in use without a pause. Try again when fewer vote.")


def _create_outbox() -> None:
    op.create_table(
        "webhook_endpoint",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("site_id", sa.Uuid),
        sa.Column("url", sa.LargeBinary, nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("event_types", sa.JSON, nullable=False),
        sa.Column("secret", sa.LargeBinary, nullable=False),
        sa.Column("previous_secret", sa.LargeBinary),
        sa.Column("previous_until", _TIME),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("failing_since", _TIME),
        sa.Column("paused_at", _TIME),
        sa.Column("paused_because", sa.Text),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("removed_at", _TIME),
        sa.PrimaryKeyConstraint("id", name="pk_webhook_endpoint"),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name="fk_webhook_endpoint_site_id"),
        sa.CheckConstraint("state IN ('active', 'paused')", name=op.f("ck_webhook_endpoint_known_state")),
    )
    op.create_table(
        "webhook_acknowledgement",
        sa.Column("endpoint_id", sa.Uuid, nullable=False),
        sa.Column("consent_id", sa.Uuid, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("event_id", _NUMBER, nullable=False),
        sa.Column("occurred_at", _TIME, nullable=False),
        sa.Column("acknowledged_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("endpoint_id", "consent_id", name="pk_webhook_acknowledgement"),
        sa.ForeignKeyConstraint(
            ["endpoint_id"], ["webhook_endpoint.id"], name="fk_webhook_acknowledgement_endpoint_id"
        ),
    )
    op.create_table(
        "outbox_event",
        sa.Column("id", _NUMBER, nullable=False, autoincrement=True),
        sa.Column("key", sa.Uuid, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("site_id", sa.Uuid),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.Column("is_fanned_out", sa.Boolean, nullable=False),
        sa.Column("occurred_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_outbox_event"),
        sa.UniqueConstraint("key", name="uq_outbox_event_key"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_outbox_event_is_fanned_out_id", "outbox_event", ["is_fanned_out", "id"])
    op.create_index("ix_outbox_event_subject", "outbox_event", ["subject"])
    op.create_table(
        "outbox_message",
        sa.Column("id", _NUMBER, nullable=False, autoincrement=True),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("delivery_key", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("lane", sa.Text, nullable=False),
        sa.Column("payload", sa.LargeBinary),
        sa.Column("endpoint_id", sa.Uuid),
        sa.Column("event_id", _NUMBER),
        sa.Column("message_id", sa.Text),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("available_at", _TIME, nullable=False),
        sa.Column("lease", sa.Uuid),
        sa.Column("leased_until", _TIME),
        sa.Column("reason", sa.Text),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("settled_at", _TIME),
        sa.PrimaryKeyConstraint("id", name="pk_outbox_message"),
        sa.UniqueConstraint("delivery_key", name="uq_outbox_message_delivery_key"),
        sa.ForeignKeyConstraint(
            ["endpoint_id"], ["webhook_endpoint.id"], name="fk_outbox_message_endpoint_id"
        ),
        sa.ForeignKeyConstraint(["event_id"], ["outbox_event.id"], name="fk_outbox_message_event_id"),
        sa.CheckConstraint("channel IN ('mail', 'webhook')", name=op.f("ck_outbox_message_known_channel")),
        sa.CheckConstraint(
            "state IN ('pending', 'delivered', 'dead')", name=op.f("ck_outbox_message_known_state")
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_outbox_message_state_available_at_id", "outbox_message", ["state", "available_at", "id"]
    )
    op.create_index("ix_outbox_message_state_id", "outbox_message", ["state", "id"])
    op.create_index("ix_outbox_message_lane_id", "outbox_message", ["lane", "id"])
    op.create_index("ix_outbox_message_subject", "outbox_message", ["subject"])
    op.create_index("ix_outbox_message_endpoint_id_id", "outbox_message", ["endpoint_id", "id"])
    op.create_index("ix_outbox_message_event_id", "outbox_message", ["event_id"])
    op.create_table(
        "outbox_attempt",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("message_id", _NUMBER, nullable=False),
        sa.Column("attempted_at", _TIME, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("status", sa.Integer),
        sa.Column("reason", sa.Text),
        sa.Column("milliseconds", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_outbox_attempt"),
        sa.ForeignKeyConstraint(
            ["message_id"], ["outbox_message.id"], name="fk_outbox_attempt_message_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_outbox_attempt_message_id", "outbox_attempt", ["message_id"])


def _widen_articles() -> None:
    with op.batch_alter_table("site") as batch:
        batch.add_column(sa.Column("locale", sa.Text, nullable=False, server_default="en"))
        batch.add_column(sa.Column("consent_mode", sa.Text, nullable=False, server_default="explicit"))
        batch.add_column(sa.Column("login_key", sa.LargeBinary))
        batch.create_check_constraint(op.f("ck_site_known_consent_mode"), f"consent_mode IN ({_MODES})")


def _widen_consent() -> None:
    # A table that SQLite rebuilds leaves its triggers behind.
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    if is_sqlite:
        _unseal("consent_text")
    with op.batch_alter_table("consent_text") as batch:
        batch.add_column(sa.Column("locale", sa.Text, nullable=False, server_default="en"))
        batch.add_column(sa.Column("mode", sa.Text, nullable=False, server_default="explicit"))
        batch.add_column(sa.Column("controller", sa.Text))
        batch.add_column(sa.Column("contact", sa.Text))
        batch.add_column(sa.Column("withdrawal", sa.Text))
        batch.add_column(sa.Column("privacy_version", sa.Text))
        batch.add_column(sa.Column("terms_version", sa.Text))
        batch.add_column(sa.Column("is_material", sa.Boolean, nullable=False, server_default=sa.false()))
        batch.create_check_constraint(op.f("ck_consent_text_known_mode"), f"mode IN ({_MODES})")
    if is_sqlite:
        _seal("consent_text")
    _unseal("consent_event")
    with op.batch_alter_table("consent_event") as batch:
        batch.add_column(sa.Column("consent_id", sa.Uuid))
        batch.add_column(sa.Column("evidence", sa.JSON))
        batch.add_column(sa.Column("actor", sa.Text, nullable=False, server_default="reader"))
        batch.drop_constraint(op.f("ck_consent_event_known_kind"), type_="check")
        batch.create_check_constraint(op.f("ck_consent_event_known_kind"), f"kind IN ({_KINDS})")
    op.create_index("ix_consent_event_consent_id", "consent_event", ["consent_id"])


def _create_consents() -> None:
    op.create_table(
        "consent",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("subscriber_id", sa.Uuid, nullable=False),
        sa.Column("site_id", sa.Uuid, nullable=False),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("text_id", sa.Uuid, nullable=False),
        sa.Column("article_id", sa.Uuid),
        sa.Column("origin", sa.Text),
        sa.Column("is_suspect", sa.Boolean, nullable=False),
        sa.Column("request_id", sa.Uuid),
        sa.Column("withdrawal_hash", sa.LargeBinary(32)),
        sa.Column("requested_at", _TIME, nullable=False),
        sa.Column("confirmed_at", _TIME),
        sa.Column("changed_at", _TIME, nullable=False),
        sa.Column("valid_until", _TIME),
        sa.PrimaryKeyConstraint("id", name="pk_consent"),
        sa.UniqueConstraint(
            "subscriber_id", "site_id", "purpose", name="uq_consent_subscriber_id_site_id_purpose"
        ),
        sa.ForeignKeyConstraint(["subscriber_id"], ["subscriber.id"], name="fk_consent_subscriber_id"),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name="fk_consent_site_id"),
        sa.ForeignKeyConstraint(["text_id"], ["consent_text.id"], name="fk_consent_text_id"),
        sa.ForeignKeyConstraint(["article_id"], ["article.id"], name="fk_consent_article_id"),
        sa.CheckConstraint(
            "state IN ('pending', 'active', 'withdrawn', 'expired')", name=op.f("ck_consent_known_state")
        ),
    )
    op.create_index("ix_consent_site_id_state_id", "consent", ["site_id", "state", "id"])
    op.create_index("ix_consent_state_changed_at", "consent", ["state", "changed_at"])
    op.create_index(
        "ix_consent_requested_at",
        "consent",
        ["requested_at"],
        sqlite_where=sa.text("confirmed_at IS NULL"),
        postgresql_where=sa.text("confirmed_at IS NULL"),
    )
    op.create_index("ix_consent_valid_until", "consent", ["valid_until"])
    op.create_index("ix_consent_withdrawal_hash", "consent", ["withdrawal_hash"])
    _seal("consent_event")
    op.create_table(
        "sign_up",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("text_id", sa.Uuid, nullable=False),
        sa.Column("email", sa.LargeBinary, nullable=False),
        sa.Column("email_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("article_id", sa.Uuid, nullable=False),
        sa.Column("origin", sa.Text),
        sa.Column("method", sa.Text, nullable=False),
        sa.Column("evidence", sa.JSON, nullable=False),
        sa.Column("withdrawal_hash", sa.LargeBinary(32)),
        sa.Column("is_suspect", sa.Boolean, nullable=False),
        sa.Column("occurred_at", _TIME, nullable=False),
        sa.Column("arrived_at", _TIME, nullable=False),
        sa.Column("available_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sign_up"),
        sa.ForeignKeyConstraint(["text_id"], ["consent_text.id"], name="fk_sign_up_text_id"),
        sa.ForeignKeyConstraint(["article_id"], ["article.id"], name="fk_sign_up_article_id"),
    )
    op.create_index("ix_sign_up_available_at", "sign_up", ["available_at"])
    op.create_index("ix_sign_up_email_hash", "sign_up", ["email_hash"])
    op.create_index("ix_sign_up_withdrawal_hash", "sign_up", ["withdrawal_hash"])
    op.create_table(
        "confirmation",
        sa.Column("token_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("consent_id", sa.Uuid, nullable=False),
        sa.Column("subscriber_id", sa.Uuid, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("text_id", sa.Uuid, nullable=False),
        sa.Column("request_id", sa.Uuid),
        sa.Column("message_id", sa.Text, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME, nullable=False),
        sa.Column("used_at", _TIME),
        sa.PrimaryKeyConstraint("token_hash", name="pk_confirmation"),
        sa.ForeignKeyConstraint(["text_id"], ["consent_text.id"], name="fk_confirmation_text_id"),
        sa.CheckConstraint("kind IN ('sign_up', 'renewal')", name=op.f("ck_confirmation_known_kind")),
    )
    op.create_index("ix_confirmation_subscriber_id", "confirmation", ["subscriber_id"])
    op.create_index("ix_confirmation_expires_at", "confirmation", ["expires_at"])
    op.create_table(
        "mail_permit",
        sa.Column("email_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("permitted_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("email_hash", "kind", "permitted_at", name="pk_mail_permit"),
        sa.CheckConstraint("kind IN ('confirmation', 'data_link')", name=op.f("ck_mail_permit_known_kind")),
    )
    op.create_index("ix_mail_permit_permitted_at", "mail_permit", ["permitted_at"])
    op.create_table(
        "suppression",
        sa.Column("email_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("since", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("email_hash", name="pk_suppression"),
        sa.CheckConstraint(
            "reason IN ('erased', 'objected', 'withdrawn')", name=op.f("ck_suppression_known_reason")
        ),
    )
    op.create_table(
        "consent_seal",
        sa.Column("position", _NUMBER, nullable=False, autoincrement=False),
        sa.Column("event_id", sa.Uuid, nullable=False),
        sa.Column("hash", sa.LargeBinary(32), nullable=False),
        sa.Column("sealed_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("position", name="pk_consent_seal"),
        sa.UniqueConstraint("event_id", name="uq_consent_seal_event_id"),
        sa.ForeignKeyConstraint(["event_id"], ["consent_event.id"], name="fk_consent_seal_event_id"),
    )
    _seal("consent_seal")


def _create_corrections_part() -> None:
    op.add_column("correction", sa.Column("erased_at", _TIME))


def _create_privacy() -> None:
    op.create_table(
        "data_request",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("email_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("requested_at", _TIME, nullable=False),
        sa.Column("available_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_data_request"),
    )
    op.create_index("ix_data_request_email_hash", "data_request", ["email_hash"])
    op.create_index("ix_data_request_available_at", "data_request", ["available_at"])
    op.create_table(
        "leftover",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("message_ids", sa.JSON, nullable=False),
        sa.Column("available_at", _TIME, nullable=False),
        sa.Column("is_last", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_leftover"),
    )
    op.create_index("ix_leftover_available_at", "leftover", ["available_at"])


def _create_ballots_part() -> None:
    for name in ("is_mixed", "is_tier_sealed"):
        op.add_column("ballot", sa.Column(name, sa.Boolean, nullable=False, server_default=sa.false()))
    if op.get_bind().dialect.name != "sqlite":
        # The few that wait to be mixed. SQLite keeps ballots in the order of their random keys: nothing to mix.
        op.create_index("ix_ballot_is_mixed", "ballot", ["poll_id"], postgresql_where=sa.text("NOT is_mixed"))


def _seal(table: str) -> None:
    """Refuse UPDATE and DELETE."""
    if op.get_bind().dialect.name == "sqlite":
        for act in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_refuses_{act.lower()} BEFORE {act} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
        return
    op.execute(
        f"CREATE TRIGGER {table}_refuses_change BEFORE UPDATE OR DELETE ON {table} "
        f"FOR EACH ROW EXECUTE FUNCTION refuse_change()"
    )


def _seal_whole() -> None:
    """Refuse what deletes rows behind the back of the triggers that refuse a DELETE."""
    for table, keys in _PROOF.items():
        if op.get_bind().dialect.name == "sqlite":
            # Where recursive_triggers is off, as it is unless a connection switches it on, REPLACE fires no DELETE.
            refusals = "".join(_refuse_taken(table, key) for key in (("rowid",), *keys))
            op.execute(f"CREATE TRIGGER {table}_refuses_replace BEFORE INSERT ON {table} BEGIN {refusals}END")
        else:
            op.execute(
                f"CREATE TRIGGER {table}_refuses_truncate BEFORE TRUNCATE ON {table} "
                f"FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
            )


def _refuse_taken(table: str, key: tuple[str, ...]) -> str:
    same = " AND ".join(f"{column} = NEW.{column}" for column in key)
    named = ", ".join(f"{table}.{column}" for column in key)
    return (
        f"SELECT RAISE(ABORT, '{table} is append-only, and holds this {named}') "  # noqa: S608 (names of ours)
        f"WHERE EXISTS (SELECT 1 FROM {table} WHERE {same}); "
    )


def _unseal_whole() -> None:
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    for table in _PROOF:
        op.execute(f"DROP TRIGGER {table}_refuses_{'replace' if is_sqlite else f'truncate ON {table}'}")


def _unseal(table: str) -> None:
    if op.get_bind().dialect.name == "sqlite":
        for act in ("update", "delete"):
            op.execute(f"DROP TRIGGER {table}_refuses_{act}")
        return
    op.execute(f"DROP TRIGGER {table}_refuses_change ON {table}")
