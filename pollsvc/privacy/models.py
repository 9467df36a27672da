"""What waits to be done for privacy: links that were asked for, and what an erasure leaves outside of the tables."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from pollsvc.db import Hash, Id, Model


class DataRequest(Model):
    """Somebody asked for the link to what is kept about an address; the worker looks whether anything is.

    Only the hash: the link goes to the address that we know, or nowhere.
    """

    __tablename__ = "data_request"

    id: Mapped[Id]
    email_hash: Mapped[Hash] = mapped_column(index=True)
    requested_at: Mapped[datetime]
    available_at: Mapped[datetime] = mapped_column(index=True)


class Leftover(Model):
    """What an erasure left outside of the tables: files of mails, and dead rows in the database's own files.

    The worker clears it away twice: soon, and again when no delivery that was under way can still write a file.
    """

    __tablename__ = "leftover"

    #: Random: it tells nothing of who was erased.
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    message_ids: Mapped[list[str]]
    available_at: Mapped[datetime] = mapped_column(index=True)
    is_last: Mapped[bool]
