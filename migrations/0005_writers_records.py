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
    """Make the new ones before the old one goes."""
    op.create_index("ix_comment_writer_key_id_article_id", "comment", ["writer_key", "id", "article_id"])
    op.create_index(
        "ix_comment_approved",
        "comment",
        ["writer_key"],
        sqlite_where=_APPROVED,
        postgresql_where=_APPROVED,
    )
    op.drop_index("ix_comment_writer_key_article_id_id", "comment")


def downgrade() -> None:
    """The other way round."""
    op.create_index("ix_comment_writer_key_article_id_id", "comment", ["writer_key", "article_id", "id"])
    op.drop_index("ix_comment_approved", "comment")
    op.drop_index("ix_comment_writer_key_id_article_id", "comment")
