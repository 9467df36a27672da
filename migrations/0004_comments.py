"""Comments: what readers said, its revisions and verdicts, what was changed, counts; lists, policies, bans, checks over HTTP.

The release before goes on beside it: sites and articles get columns that it does not read. Writers of ``site`` and
``article`` wait for them; both are short tables.

Taking it back loses the comments.
"""

import time

import sqlalchemy as sa
from alembic import op
from sqlalchemy.exc import OperationalError

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)
#: What this migration changes, or makes foreign keys to.
_TAKEN = ("article", "site")
_MODES = "'open', 'premoderated', 'closed', 'off'"
#: What a person wrote, and whom it leads to.
_WRITTEN = {
    "comment": ("name", "email", "email_hash", "shown_name", "shown_text", "shown_html"),
    "comment_revision": ("body",),
    "comment_verdict": ("reason",),
    "comment_change": ("note",),
    "comment_report": ("note",),
}


def upgrade() -> None:
    """Create what is new."""
    _take_tables()
    _widen_articles()
    _create_policies()
    _create_comments()
    _create_revisions()
    _create_logs()
    _create_bans()
    _create_http_checks()
    _keep_out_of_statistics()


def downgrade() -> None:
    """Take it away."""
    for table in (
        "ban",
        "check_request",
        "http_check",
        "comment_report",
        "comment_change",
        "comment_verdict",
        "comment_revision",
        "comment_count",
        "comment",
        "comment_policy",
        "word_list",
    ):
        op.drop_table(table)
    for table, columns in (
        ("article", ("published_at", "comments_close_days", "comments")),
        ("site", ("comments_close_days", "comments")),
    ):
        with op.batch_alter_table(table) as batch:
            batch.drop_constraint(op.f(f"ck_{table}_days_from_one"), type_="check")
            batch.drop_constraint(op.f(f"ck_{table}_known_comments"), type_="check")
            for column in columns:
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


def _widen_articles() -> None:
    with op.batch_alter_table("site") as batch:
        batch.add_column(sa.Column("comments", sa.Text, nullable=False, server_default="open"))
        batch.add_column(sa.Column("comments_close_days", sa.Integer))
        batch.create_check_constraint(op.f("ck_site_known_comments"), f"comments IN ({_MODES})")
        batch.create_check_constraint(op.f("ck_site_days_from_one"), "comments_close_days >= 1")
    with op.batch_alter_table("article") as batch:
        batch.add_column(sa.Column("comments", sa.Text))
        batch.add_column(sa.Column("comments_close_days", sa.Integer))
        batch.add_column(sa.Column("published_at", _TIME))
        batch.create_check_constraint(op.f("ck_article_known_comments"), f"comments IN ({_MODES})")
        batch.create_check_constraint(op.f("ck_article_days_from_one"), "comments_close_days >= 1")


def _create_policies() -> None:
    op.create_table(
        "word_list",
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("language", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("words", sa.JSON, nullable=False),
        sa.Column("exceptions", sa.JSON, nullable=False),
        sa.Column("updated_at", _TIME, nullable=False),
        sa.Column("updated_by", sa.Text, nullable=False),
        sa.CheckConstraint(
            "kind IN ('banned', 'suspect', 'banned_domains', 'trusted_domains')",
            name=op.f("ck_word_list_known_kind"),
        ),
        sa.CheckConstraint("version >= 1", name=op.f("ck_word_list_version_from_one")),
        sa.PrimaryKeyConstraint("kind", "language", name=op.f("pk_word_list")),
    )
    op.create_table(
        "comment_policy",
        sa.Column("version", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("document", sa.JSON, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("activated_at", _TIME),
        sa.CheckConstraint(
            "state IN ('draft', 'live', 'retired')", name=op.f("ck_comment_policy_known_state")
        ),
        sa.CheckConstraint("version >= 1", name=op.f("ck_comment_policy_version_from_one")),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_comment_policy")),
    )
    op.create_index(
        "uq_comment_policy_live",
        "comment_policy",
        ["state"],
        unique=True,
        sqlite_where=sa.text("state = 'live'"),
        postgresql_where=sa.text("state = 'live'"),
    )


def _create_comments() -> None:
    op.create_table(
        "comment",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("article_id", sa.Uuid, nullable=False),
        sa.Column("parent_id", sa.Uuid),
        sa.Column("below_id", sa.Uuid, nullable=False),
        sa.Column("ancestors", sa.JSON, nullable=False),
        sa.Column("depth", sa.SmallInteger, nullable=False),
        sa.Column("writer_key", sa.LargeBinary(length=32), nullable=False),
        sa.Column("is_account", sa.Boolean, nullable=False),
        sa.Column("name", sa.LargeBinary),
        sa.Column("email", sa.LargeBinary),
        sa.Column("email_hash", sa.LargeBinary(length=32)),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("decided_by", sa.Text, nullable=False),
        sa.Column("reason_code", sa.Text),
        sa.Column("is_featured", sa.Boolean, nullable=False),
        sa.Column("shown_name", sa.Text),
        sa.Column("shown_text", sa.Text),
        sa.Column("shown_html", sa.Text),
        sa.Column("replies", sa.Integer, nullable=False),
        sa.Column("open_reports", sa.Integer, nullable=False),
        sa.Column("submission_key", sa.LargeBinary(length=32)),
        sa.Column("claimed_by", sa.Text),
        sa.Column("claimed_until", _TIME),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("edited_at", _TIME),
        sa.Column("decided_at", _TIME, nullable=False),
        sa.Column("erased_at", _TIME),
        sa.CheckConstraint(
            "(status = 'published') = (shown_html IS NOT NULL) AND (status = 'published') = (shown_text IS NOT NULL) AND (status = 'published') = (shown_name IS NOT NULL)",
            name=op.f("ck_comment_shown_if_published"),
        ),
        sa.CheckConstraint(
            "status IN ('published', 'held', 'rejected', 'spam', 'removed')",
            name=op.f("ck_comment_known_status"),
        ),
        sa.CheckConstraint("(parent_id IS NULL) = (depth = 0)", name=op.f("ck_comment_replies_have_a_depth")),
        sa.CheckConstraint(
            "below_id = coalesce(parent_id, article_id)", name=op.f("ck_comment_below_parent_or_article")
        ),
        sa.CheckConstraint(
            "erased_at IS NULL OR (status = 'removed' AND name IS NULL AND email IS NULL AND email_hash IS NULL AND submission_key IS NULL)",
            name=op.f("ck_comment_nobody_s_if_erased"),
        ),
        sa.CheckConstraint("replies >= 0 AND open_reports >= 0", name=op.f("ck_comment_counts_not_negative")),
        sa.CheckConstraint("version >= 1 AND revision >= 1", name=op.f("ck_comment_numbers_from_one")),
        sa.ForeignKeyConstraint(["article_id"], ["article.id"], name=op.f("fk_comment_article_id")),
        sa.ForeignKeyConstraint(["parent_id"], ["comment.id"], name=op.f("fk_comment_parent_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_comment")),
        sa.UniqueConstraint("submission_key", name=op.f("uq_comment_submission_key")),
    )
    op.create_index("ix_comment_article_id_status_id", "comment", ["article_id", "status", "id"])
    op.create_index(
        "ix_comment_discussed",
        "comment",
        ["below_id", "replies", "id"],
        sqlite_where=sa.text("(status = 'published' OR replies > 0)"),
        postgresql_where=sa.text("(status = 'published' OR replies > 0)"),
    )
    op.create_index(op.f("ix_comment_email_hash"), "comment", ["email_hash"])
    op.create_index(
        "ix_comment_reported",
        "comment",
        ["id"],
        sqlite_where=sa.text("open_reports > 0"),
        postgresql_where=sa.text("open_reports > 0"),
    )
    op.create_index("ix_comment_status_id", "comment", ["status", "id"])
    op.create_index(
        "ix_comment_thread",
        "comment",
        ["below_id", "id"],
        sqlite_where=sa.text("(status = 'published' OR replies > 0)"),
        postgresql_where=sa.text("(status = 'published' OR replies > 0)"),
    )
    op.create_index("ix_comment_parent_id", "comment", ["parent_id"])
    op.create_index("ix_comment_writer_key_article_id_id", "comment", ["writer_key", "article_id", "id"])
    op.create_table(
        "comment_count",
        sa.Column("article_id", sa.Uuid, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("n", sa.Integer, nullable=False),
        sa.CheckConstraint(
            "status IN ('published', 'held', 'rejected', 'spam', 'removed')",
            name=op.f("ck_comment_count_known_status"),
        ),
        sa.CheckConstraint("n >= 0", name=op.f("ck_comment_count_not_negative")),
        sa.ForeignKeyConstraint(["article_id"], ["article.id"], name=op.f("fk_comment_count_article_id")),
        sa.PrimaryKeyConstraint("article_id", "status", name=op.f("pk_comment_count")),
        postgresql_with={"fillfactor": 50},
        sqlite_with_rowid=False,
    )


def _create_revisions() -> None:
    op.create_table(
        "comment_revision",
        sa.Column("comment_id", sa.Uuid, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("body", sa.LargeBinary),
        sa.Column("text_hash", sa.LargeBinary(length=32)),
        sa.Column("band_0", sa.Integer),
        sa.Column("band_1", sa.Integer),
        sa.Column("band_2", sa.Integer),
        sa.Column("band_3", sa.Integer),
        sa.Column("policy_version", sa.Integer, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("because", sa.JSON, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.CheckConstraint(
            "outcome IN ('publish', 'hold', 'reject')", name=op.f("ck_comment_revision_known_outcome")
        ),
        sa.ForeignKeyConstraint(["comment_id"], ["comment.id"], name=op.f("fk_comment_revision_comment_id")),
        sa.PrimaryKeyConstraint("comment_id", "number", name=op.f("pk_comment_revision")),
    )
    op.create_index("ix_comment_revision_band_0_created_at", "comment_revision", ["band_0", "created_at"])
    op.create_index("ix_comment_revision_band_1_created_at", "comment_revision", ["band_1", "created_at"])
    op.create_index("ix_comment_revision_band_2_created_at", "comment_revision", ["band_2", "created_at"])
    op.create_index("ix_comment_revision_band_3_created_at", "comment_revision", ["band_3", "created_at"])
    op.create_index("ix_comment_revision_created_at", "comment_revision", ["created_at"])
    op.create_index(
        "ix_comment_revision_text_hash_created_at", "comment_revision", ["text_hash", "created_at"]
    )
    op.create_table(
        "comment_verdict",
        sa.Column("comment_id", sa.Uuid, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("score", sa.Double, nullable=False),
        sa.Column("spans", sa.JSON, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("milliseconds", sa.Double, nullable=False),
        sa.CheckConstraint(
            "state IN ('done', 'failed', 'pending')", name=op.f("ck_comment_verdict_known_state")
        ),
        sa.CheckConstraint(
            "score >= 0 AND score <= 1", name=op.f("ck_comment_verdict_score_from_nought_to_one")
        ),
        sa.ForeignKeyConstraint(
            ["comment_id", "revision"],
            ["comment_revision.comment_id", "comment_revision.number"],
            name=op.f("fk_comment_verdict_comment_id_revision"),
        ),
        sa.PrimaryKeyConstraint("comment_id", "revision", "name", name=op.f("pk_comment_verdict")),
    )


def _create_logs() -> None:
    op.create_table(
        "comment_change",
        sa.Column("comment_id", sa.Uuid, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("before", sa.Text),
        sa.Column("after", sa.Text, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("reason_code", sa.Text),
        sa.Column("note", sa.LargeBinary),
        sa.Column("occurred_at", _TIME, nullable=False),
        sa.CheckConstraint(
            "after IN ('published', 'held', 'rejected', 'spam', 'removed')",
            name=op.f("ck_comment_change_known_after"),
        ),
        sa.ForeignKeyConstraint(["comment_id"], ["comment.id"], name=op.f("fk_comment_change_comment_id")),
        sa.PrimaryKeyConstraint("comment_id", "version", name=op.f("pk_comment_change")),
    )
    op.create_index("ix_comment_change_actor_occurred_at", "comment_change", ["actor", "occurred_at"])
    op.create_table(
        "comment_report",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("comment_id", sa.Uuid, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("reporter_key", sa.LargeBinary(length=32), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("note", sa.LargeBinary),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("settled_at", _TIME),
        sa.CheckConstraint(
            "reason IN ('spam', 'abuse', 'off_topic', 'wrong_fact', 'illegal')",
            name=op.f("ck_comment_report_known_reason"),
        ),
        sa.ForeignKeyConstraint(["comment_id"], ["comment.id"], name=op.f("fk_comment_report_comment_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_comment_report")),
        sa.UniqueConstraint(
            "comment_id",
            "revision",
            "reporter_key",
            name=op.f("uq_comment_report_comment_id_revision_reporter_key"),
        ),
    )
    op.create_index(
        "ix_comment_report_open",
        "comment_report",
        ["comment_id"],
        sqlite_where=sa.text("settled_at IS NULL"),
        postgresql_where=sa.text("settled_at IS NULL"),
    )
    op.create_index(op.f("ix_comment_report_settled_at"), "comment_report", ["settled_at"])


def _create_bans() -> None:
    op.create_table(
        "ban",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("comment_id", sa.Uuid),
        sa.Column("writer_key", sa.LargeBinary(length=32)),
        sa.Column("email_hash", sa.LargeBinary(length=32)),
        sa.Column("reason_code", sa.Text, nullable=False),
        sa.Column("ends_at", _TIME),
        sa.Column("lifted_at", _TIME),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.CheckConstraint("(writer_key IS NULL) <> (email_hash IS NULL)", name=op.f("ck_ban_one_of_both")),
        sa.CheckConstraint(
            "ends_at IS NULL OR ends_at > created_at", name=op.f("ck_ban_ends_after_it_begins")
        ),
        sa.ForeignKeyConstraint(["comment_id"], ["comment.id"], name=op.f("fk_ban_comment_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ban")),
    )
    op.create_index("ix_ban_comment_id", "ban", ["comment_id"])
    op.create_index("ix_ban_email_hash", "ban", ["email_hash"])
    op.create_index("ix_ban_writer_key", "ban", ["writer_key"])


def _create_http_checks() -> None:
    op.create_table(
        "http_check",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("url", sa.LargeBinary, nullable=False),
        sa.Column("secret", sa.LargeBinary, nullable=False),
        sa.Column("previous_secret", sa.LargeBinary),
        sa.Column("previous_until", _TIME),
        sa.Column("timeout", sa.Integer, nullable=False),
        sa.Column("is_active", sa.Boolean, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.CheckConstraint(
            "timeout >= 1 AND timeout <= 10", name=op.f("ck_http_check_timeout_from_one_to_ten")
        ),
        sa.CheckConstraint("version >= 1", name=op.f("ck_http_check_version_from_one")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_http_check")),
        sa.UniqueConstraint("name", name=op.f("uq_http_check_name")),
    )
    op.create_table(
        "check_request",
        sa.Column("comment_id", sa.Uuid, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("due_at", _TIME, nullable=False),
        sa.Column("lease", sa.Uuid),
        sa.ForeignKeyConstraint(
            ["comment_id", "revision", "name"],
            ["comment_verdict.comment_id", "comment_verdict.revision", "comment_verdict.name"],
            name=op.f("fk_check_request_comment_id_revision_name"),
        ),
        sa.PrimaryKeyConstraint("comment_id", "revision", "name", name=op.f("pk_check_request")),
    )
    op.create_index("ix_check_request_name_due_at", "check_request", ["name", "due_at"])


def _keep_out_of_statistics() -> None:
    """PostgreSQL's statistics keep values of columns beside the tables, where no erasure reaches them."""
    if op.get_bind().dialect.name == "sqlite":
        return
    for table, columns in _WRITTEN.items():
        op.execute(
            f"ALTER TABLE {table} " + ", ".join(f"ALTER COLUMN {each} SET STATISTICS 0" for each in columns)
        )
