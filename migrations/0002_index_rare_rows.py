"""Indexes for what is rare: suspect corrections, and audit rows of one kind. Without them a list walks the whole table for a page.

Of two conditions each pair has an index too: SQLite keeps no statistics here, and might choose the condition that nearly
all rows meet.

Plain CREATE INDEX, in the transaction of the migration: a vote writes to neither table, so that votes go on; corrections
and staff changes wait until the indexes stand. CONCURRENTLY would spare them that, but cannot be taken back with the
rest when it fails, and leaves an index behind that is written and never read.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_INDEXES = {
    "ix_correction_is_suspect_id": ("correction", ["is_suspect", "id"]),
    "ix_correction_is_suspect_status_id": ("correction", ["is_suspect", "status", "id"]),
    "ix_audit_entry_object_type_id": ("audit_entry", ["object_type", "id"]),
    "ix_audit_entry_object_type_object_id_id": ("audit_entry", ["object_type", "object_id", "id"]),
}


def upgrade() -> None:
    """Make them."""
    for name, (table, columns) in _INDEXES.items():
        op.create_index(name, table, columns)


def downgrade() -> None:
    """Drop them."""
    for name, (table, _) in _INDEXES.items():
        op.drop_index(name, table)
