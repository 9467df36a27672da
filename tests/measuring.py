"""Coverage, measured once and not on each database."""

from collections.abc import Generator
from pathlib import Path

import pytest
from coverage import Coverage

HERE = Path(__file__).parent
#: Whose tests reach the lines of the gate. What starts servers, programs and browsers shows none that these do not.
MEASURED = frozenset(
    [
        "articles",
        "comments",
        "consent",
        "corrections",
        "moderation",
        "outbox",
        "polls",
        "privacy",
        "staff",
        "voters",
        "web",
    ]
)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Measure what is covered, but not twice: PostgreSQL's turn of a test shows new lines in the rules of votes alone.

    A test that is measured takes half as long again.
    """
    measuring = Coverage.current()
    if measuring is None or not _is_shown_elsewhere(item):
        return (yield)
    measuring.stop()
    try:
        return (yield)
    finally:
        measuring.start()


def _is_shown_elsewhere(item: pytest.Item) -> bool:
    if item.get_closest_marker("browser") or item.path.relative_to(HERE).parts[0] not in MEASURED:
        return True
    return bool(item.get_closest_marker("postgresql")) and HERE / "polls" not in item.path.parents
