"""Everything of the first release: sites, staff, consent, polls, corrections.

Texts, consent events and audit rows are append-only: triggers refuse UPDATE and DELETE on both databases.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = ("default",)
depends_on = None

_TIME = sa.DateTime(timezone=True)
_SEALED = ("consent_text", "consent_event", "audit_entry")


def upgrade() -> None:
    """Create every table."""
    _create_staff()
    _create_articles()
    _create_consent()
    _create_polls()
    _create_corrections()
    _seal()


def downgrade() -> None:
    """Drop every table."""
    _unseal()
    for table in (
        "correction",
        "tally_clock",
        "tally_slot",
        "ballot",
        "choice",
        "poll_article",
        "poll",
        "consent_event",
        "subscriber",
        "consent_text",
        "article_quota",
        "article",
        "site_origin",
        "site",
        "audit_entry",
        "staff_token",
        "installation",
    ):
        op.drop_table(table)


def _create_staff() -> None:
    op.create_table(
        "installation",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_installation"),
    )
    op.create_table(
        "staff_token",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("token_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("scopes", sa.JSON, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME),
        sa.Column("revoked_at", _TIME),
        sa.Column("last_used_at", _TIME),
        sa.PrimaryKeyConstraint("id", name="pk_staff_token"),
        sa.UniqueConstraint("token_hash", name="uq_staff_token_token_hash"),
        sa.CheckConstraint(
            "revoked_at IS NULL OR revoked_at >= created_at",
            name=op.f("ck_staff_token_revoked_after_created"),
        ),
    )
    op.create_table(
        "audit_entry",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("occurred_at", _TIME, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("object_type", sa.Text, nullable=False),
        sa.Column("object_id", sa.Text, nullable=False),
        sa.Column("detail", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_entry"),
    )
    op.create_index("ix_audit_entry_object_id_id", "audit_entry", ["object_id", "id"])


def _create_articles() -> None:
    op.create_table(
        "site",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("privacy_url", sa.Text),
        sa.Column("terms_url", sa.Text),
        sa.Column("standards_url", sa.Text),
        sa.Column("desk_email", sa.LargeBinary),
        sa.Column("created_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_site"),
        sa.UniqueConstraint("name", name="uq_site_name"),
    )
    op.create_table(
        "site_origin",
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("authority", sa.Text, nullable=False),
        sa.Column("site_id", sa.Uuid, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("origin", name="pk_site_origin"),
        sa.UniqueConstraint("site_id", "position", name="uq_site_origin_site_id_position"),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name="fk_site_origin_site_id"),
        sa.CheckConstraint("position >= 0", name=op.f("ck_site_origin_position_not_negative")),
    )
    op.create_index("ix_site_origin_authority", "site_origin", ["authority"])
    op.create_table(
        "article",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("site_id", sa.Uuid, nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_article"),
        sa.UniqueConstraint("url", name="uq_article_url"),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name="fk_article_site_id"),
    )
    op.create_index("ix_article_site_id", "article", ["site_id"])
    op.create_table(
        "article_quota",
        sa.Column("site_id", sa.Uuid, nullable=False),
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("n", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("site_id", "day", name="pk_article_quota"),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name="fk_article_quota_site_id"),
    )


def _create_consent() -> None:
    op.create_table(
        "consent_text",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("site_id", sa.Uuid, nullable=False),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("privacy_url", sa.Text),
        sa.Column("terms_url", sa.Text),
        sa.Column("body_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_consent_text"),
        sa.UniqueConstraint("site_id", "purpose", "version", name="uq_consent_text_site_id_purpose_version"),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name="fk_consent_text_site_id"),
        sa.CheckConstraint("version >= 1", name=op.f("ck_consent_text_version_from_one")),
    )
    op.create_table(
        "subscriber",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("email", sa.LargeBinary, nullable=False),
        sa.Column("email_hash", sa.LargeBinary(32), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_subscriber"),
        sa.UniqueConstraint("email_hash", name="uq_subscriber_email_hash"),
    )
    op.create_table(
        "consent_event",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("subscriber_id", sa.Uuid, nullable=False),
        sa.Column("text_id", sa.Uuid, nullable=False),
        sa.Column("text_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("article_id", sa.Uuid),
        sa.Column("origin", sa.Text),
        sa.Column("method", sa.Text, nullable=False),
        sa.Column("is_suspect", sa.Boolean, nullable=False),
        sa.Column("occurred_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_consent_event"),
        sa.ForeignKeyConstraint(["text_id"], ["consent_text.id"], name="fk_consent_event_text_id"),
        sa.ForeignKeyConstraint(["article_id"], ["article.id"], name="fk_consent_event_article_id"),
        sa.CheckConstraint("kind IN ('requested')", name=op.f("ck_consent_event_known_kind")),
    )
    op.create_index("ix_consent_event_subscriber_id", "consent_event", ["subscriber_id"])


def _create_polls() -> None:
    op.create_table(
        "poll",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("site_id", sa.Uuid, nullable=False),
        sa.Column("question", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("results_visibility", sa.Text, nullable=False),
        sa.Column("allow_change", sa.Boolean, nullable=False),
        sa.Column("max_choices", sa.SmallInteger),
        sa.Column("consent_text_id", sa.Uuid),
        sa.Column("opens_at", _TIME),
        sa.Column("closes_at", _TIME),
        sa.Column("closed_at", _TIME),
        sa.Column("withdrawn_at", _TIME),
        sa.Column("next_choice_id", sa.SmallInteger, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("updated_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_poll"),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name="fk_poll_site_id"),
        sa.ForeignKeyConstraint(["consent_text_id"], ["consent_text.id"], name="fk_poll_consent_text_id"),
        sa.CheckConstraint("kind IN ('single', 'multiple')", name=op.f("ck_poll_known_kind")),
        sa.CheckConstraint(
            "results_visibility IN ('always', 'after_vote', 'after_close', 'never')",
            name=op.f("ck_poll_known_visibility"),
        ),
        sa.CheckConstraint("closes_at > opens_at", name=op.f("ck_poll_closes_after_opening")),
        sa.CheckConstraint(
            "max_choices IS NULL OR max_choices >= 1", name=op.f("ck_poll_max_choices_from_one")
        ),
        sa.CheckConstraint(
            "kind = 'multiple' OR max_choices IS NULL", name=op.f("ck_poll_single_has_no_max_choices")
        ),
    )
    op.create_index("ix_poll_site_id", "poll", ["site_id"])
    op.create_table(
        "poll_article",
        sa.Column("poll_id", sa.Uuid, nullable=False),
        sa.Column("article_id", sa.Uuid, nullable=False),
        sa.PrimaryKeyConstraint("poll_id", "article_id", name="pk_poll_article"),
        sa.ForeignKeyConstraint(["poll_id"], ["poll.id"], name="fk_poll_article_poll_id"),
        sa.ForeignKeyConstraint(["article_id"], ["article.id"], name="fk_poll_article_article_id"),
    )
    op.create_index("ix_poll_article_article_id", "poll_article", ["article_id"])
    op.create_table(
        "choice",
        sa.Column("poll_id", sa.Uuid, nullable=False),
        sa.Column("id", sa.SmallInteger, nullable=False, autoincrement=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("position", sa.SmallInteger, nullable=False),
        sa.PrimaryKeyConstraint("poll_id", "id", name="pk_choice"),
        sa.ForeignKeyConstraint(["poll_id"], ["poll.id"], name="fk_choice_poll_id"),
    )
    op.create_table(
        "ballot",
        sa.Column("poll_id", sa.Uuid, nullable=False),
        sa.Column("voter_key", sa.LargeBinary(32), nullable=False),
        sa.Column(
            "choices", sa.JSON().with_variant(postgresql.ARRAY(sa.SmallInteger), "postgresql"), nullable=False
        ),
        sa.Column("tier", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("voted_hour", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("poll_id", "voter_key", name="pk_ballot"),
        sa.ForeignKeyConstraint(["poll_id"], ["poll.id"], name="fk_ballot_poll_id"),
        sa.CheckConstraint("state IN ('counted', 'held')", name=op.f("ck_ballot_known_state")),
        sa.CheckConstraint(
            "tier IN ('login', 'cookie', 'storage', 'frame', 'form')", name=op.f("ck_ballot_known_tier")
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "tally_slot",
        sa.Column("poll_id", sa.Uuid, nullable=False),
        sa.Column("choice_id", sa.SmallInteger, nullable=False, autoincrement=False),
        sa.Column("slot", sa.SmallInteger, nullable=False, autoincrement=False),
        sa.Column("n", sa.Integer, nullable=False),
        sa.Column("voters", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("poll_id", "choice_id", "slot", name="pk_tally_slot"),
        sa.ForeignKeyConstraint(
            ["poll_id", "choice_id"], ["choice.poll_id", "choice.id"], name="fk_tally_slot_poll_id_choice_id"
        ),
        sqlite_with_rowid=False,
        postgresql_with={"fillfactor": 50},
    )
    op.create_table(
        "tally_clock",
        sa.Column("poll_id", sa.Uuid, nullable=False),
        sa.Column("changed_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("poll_id", name="pk_tally_clock"),
        sa.ForeignKeyConstraint(["poll_id"], ["poll.id"], name="fk_tally_clock_poll_id"),
        postgresql_with={"fillfactor": 50},
    )


def _create_corrections() -> None:
    op.create_table(
        "correction",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("reference", sa.Text, nullable=False),
        sa.Column("article_id", sa.Uuid, nullable=False),
        sa.Column("name", sa.LargeBinary, nullable=False),
        sa.Column("email", sa.LargeBinary, nullable=False),
        sa.Column("email_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("message", sa.LargeBinary, nullable=False),
        sa.Column("quote", sa.LargeBinary),
        sa.Column("note", sa.LargeBinary),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("is_suspect", sa.Boolean, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("decided_at", _TIME),
        sa.Column("decided_by", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_correction"),
        sa.UniqueConstraint("reference", name="uq_correction_reference"),
        sa.ForeignKeyConstraint(["article_id"], ["article.id"], name="fk_correction_article_id"),
        sa.CheckConstraint("status IN ('new', 'handled', 'spam')", name=op.f("ck_correction_known_status")),
        sa.CheckConstraint("version >= 1", name=op.f("ck_correction_version_from_one")),
    )
    op.create_index("ix_correction_article_id", "correction", ["article_id"])
    op.create_index("ix_correction_email_hash", "correction", ["email_hash"])
    op.create_index("ix_correction_status_id", "correction", ["status", "id"])


def _seal() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for table in _SEALED:
            for act in ("UPDATE", "DELETE"):
                op.execute(
                    f"CREATE TRIGGER {table}_refuses_{act.lower()} BEFORE {act} ON {table} "
                    f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
                )
        return
    op.execute(
        "CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
        "$$BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation'; END$$"
    )
    for table in _SEALED:
        op.execute(
            f"CREATE TRIGGER {table}_refuses_change BEFORE UPDATE OR DELETE ON {table} "
            f"FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )


def _unseal() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for table in _SEALED:
            for act in ("update", "delete"):
                op.execute(f"DROP TRIGGER {table}_refuses_{act}")
        return
    for table in _SEALED:
        op.execute(f"DROP TRIGGER {table}_refuses_change ON {table}")
    op.execute("DROP FUNCTION refuse_change()")
