"""Coverage, measured once and not on each database."""

from collections.abc import Generator
from pathlib import Path

import pytest
from coverage import Coverage

HERE = Path(__file__).parent
#: Whose tests reach the lines of the gate: whole features, and of those with many other tests the ones beside the gate. What
#: starts servers, programs and browsers shows none that these do not.
MEASURED = frozenset(
    [
        *("articles", "corrections", "moderation", "polls", "staff", "voters", "web"),
        *("comments/test_admission.py", "comments/test_routes.py", "comments/test_service.py"),
        *("consent/test_double_opt_in.py", "consent/test_import.py", "consent/test_leaving_at_once.py"),
        "consent/test_modes.py",
        *("consent/test_recording.py", "consent/test_renewals.py", "consent/test_routes.py"),
        "consent/test_service.py",
        *("outbox/test_routes.py", "outbox/test_service.py"),
        "privacy/test_comments.py",
        *("privacy/test_erasure.py", "privacy/test_requests.py", "privacy/test_suppressions.py"),
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
    path = item.path.relative_to(HERE)
    if item.get_closest_marker("browser") or not MEASURED & {path.parts[0], path.as_posix()}:
        return True
    return bool(item.get_closest_marker("postgresql")) and path.parts[0] != "polls"
