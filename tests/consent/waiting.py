"""Who waits for whom, as the database tells."""

import sqlalchemy as sa


def is_waited_for(engine: sa.Engine) -> bool:
    """Whether somebody waits for a lock; SQLite cannot tell, and there nobody waits in a circle."""
    if engine.dialect.name == "sqlite":
        return True
    with engine.connect() as connection:
        asked = sa.text(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return bool(connection.scalar(asked))
