from datetime import datetime
from typing import NamedTuple

class Message(NamedTuple):
    id: str
    name: str
    eta: datetime | None
    retries: int
    retry_delay: int
    priority: int | None
    args: tuple[object, ...]
    kwargs: dict[str, object]
    on_complete: object
    on_error: object
    expires: object
    expires_resolved: object
    timeout: object
    chord_config: object
    retry_backoff: int
