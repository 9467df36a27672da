"""Indexes by which a writer's newest comments and approved ones are found, however many there are of others or of theirs.

The release before goes on beside it. Writers of ``comment`` wait for the indexes, which read that table once.
"""

from alembic import op
from sqlalchemy import text

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_APPROVED = text("(status = 'published' AND substr(decided_by, 1, 6) = 'token:')")


def upgrade() -> None:
    """Make them."""
    op.create_index("ix_comment_writer_key_id", "comment", ["writer_key", "id"])
    op.create_index(
        "ix_comment_approved",
        "comment",
        ["writer_key"],
        sqlite_where=_APPROVED,
        postgresql_where=_APPROVED,
    )


def downgrade() -> None:
    """Without them nothing is lost."""
    op.drop_index("ix_comment_approved", "comment")
    op.drop_index("ix_comment_writer_key_id", "comment")
