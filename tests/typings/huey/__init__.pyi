"""What we use of huey, which has no types of its own."""

from collections.abc import Callable
from datetime import datetime

from huey.api import TaskWrapper as TaskWrapper

class Huey:
    def task(self, *, name: str) -> Callable[[Callable[[], None]], TaskWrapper]: ...
    def periodic_task(
        self, validate_datetime: Callable[[datetime], bool], *, name: str
    ) -> Callable[[Callable[[], None]], TaskWrapper]: ...
    def pending_count(self) -> int: ...

class SqliteHuey(Huey):
    def __init__(self, *, filename: str, fsync: bool, **kwargs: object) -> None: ...

class PostgresHuey(Huey):
    def __init__(self, *, connection: Callable[[], object], create_tables: bool, **kwargs: object) -> None: ...

class RedisHuey(Huey):
    def __init__(self, *, connection_pool: object, read_timeout: int, **kwargs: object) -> None: ...

def crontab(*, minute: str = ..., hour: str = ...) -> Callable[[datetime], bool]: ...
