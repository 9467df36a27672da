"""What happens to the tests once they are collected."""

import gc

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test by what it needs, so that `-m` can leave it out."""
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        parameters = getattr(getattr(item, "callspec", None), "params", {})
        database = parameters.get("database", "postgresql" if "postgres" in fixtures else "")
        if database == "postgresql":
            item.add_marker("postgresql")
        if {"live_server", "nginx_program"} & set(fixtures):
            item.add_marker("live")
        if "browser" in fixtures:
            item.add_marker("browser")


def pytest_collection_finish() -> None:
    """Let the garbage collector leave alone what was collected: ten thousand tests, which it would walk through all the time."""
    gc.collect()
    gc.freeze()
