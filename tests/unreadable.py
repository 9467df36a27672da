"""What no key opens, such as after a key was taken away too early."""

import sqlalchemy as sa
from sqlalchemy.orm import Session


def make_unreadable(session: Session, table: str, *columns: str, where: str = "1 = 1") -> None:
    """Have rows hold what was encrypted by a key that is gone."""
    session.commit()
    sealed = ", ".join(f"{column} = :sealed" for column in columns)
    session.execute(sa.text(f"UPDATE {table} SET {sealed} WHERE {where}"), {"sealed": b"by another key"})
    session.commit()
    session.expire_all()
