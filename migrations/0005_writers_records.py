"""Writers' records: when a comment was turned down, and indexes by which approvals, rejections and the newest comments of a writer are
found, however many there are of others or of theirs.

The release before goes on beside it; what it turns down meanwhile speaks against nobody. Writers of ``comment`` wait for the indexes,
which read that table once. Taking it back loses nothing: the log knows what was turned down.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy import text

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_APPROVED = text("(status = 'published' AND substr(decided_by, 1, 6) = 'token:')")
_TURNED_DOWN = text("turned_down_at IS NOT NULL")
#: By the log, as it was asked before; of wiped comments nobody asks. Rows of all others are not touched.
_FROM_THE_LOG = """
UPDATE comment SET turned_down_at = (
  SELECT max(change.occurred_at) FROM comment_change AS change
   WHERE change.comment_id = comment.id
     AND (change.after IN ('rejected', 'spam') OR (change.after = 'removed' AND change.actor LIKE 'token:%')))
 WHERE erased_at IS NULL AND id IN (
  SELECT change.comment_id FROM comment_change AS change
   WHERE change.after IN ('rejected', 'spam') OR (change.after = 'removed' AND change.actor LIKE 'token:%'))
"""


def upgrade() -> None:
    """Make them."""
    op.add_column("comment", sa.Column("turned_down_at", sa.DateTime(timezone=True), nullable=True))
    op.execute(_FROM_THE_LOG)
    op.create_index("ix_comment_writer_key_id", "comment", ["writer_key", "id"])
    op.create_index(
        "ix_comment_turned_down",
        "comment",
        ["writer_key", "turned_down_at"],
        sqlite_where=_TURNED_DOWN,
        postgresql_where=_TURNED_DOWN,
    )
    op.create_index(
        "ix_comment_approved",
        "comment",
        ["writer_key"],
        sqlite_where=_APPROVED,
        postgresql_where=_APPROVED,
    )


def downgrade() -> None:
    """Take them away."""
    op.drop_index("ix_comment_approved", "comment")
    op.drop_index("ix_comment_turned_down", "comment")
    op.drop_index("ix_comment_writer_key_id", "comment")
    op.drop_column("comment", "turned_down_at")
