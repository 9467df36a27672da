"""House rules that no linter knows. Imports between features are import-linter's part (pyproject.toml)."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

PACKAGE = Path(__file__).parent.parent / "pollsvc"
MODULES = sorted(PACKAGE.rglob("*.py"))

# Where a transaction may end: in answer to a request, or to a command.
# (newsroom.py: the staff's routes of a feature; app.py: a token's last use, in a session of its own.)
EDGES = {
    "routes.py",
    "acts.py",
    "newsroom.py",
    "check_routes.py",
    "proof_routes.py",
    "pages.py",
    "data_pages.py",
    "app.py",
    "cli.py",
    "worker.py",
    "ballot_box.py",
    "comment_box.py",
}
NAMES_THAT_SAY_NOTHING = {
    "utils",
    "util",
    "helpers",
    "helper",
    "common",
    "manager",
    "managers",
    "misc",
    "base",
}
LONGEST_MODULE = 300  # lines; past it, split by noun
SAFE = {"GET", "HEAD", "OPTIONS"}


def name_of(path: Path) -> str:
    return str(path.relative_to(PACKAGE.parent))


def is_edge(path: Path) -> bool:
    return path.name in EDGES or path.parent.name in {"web", "commands"}


def commits_in(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in {"commit", "begin"}
        ):
            yield f"{name_of(path)}:{node.lineno}"


class TestModules:
    def test_only_edges_begin_or_commit_a_transaction(self) -> None:
        assert [where for path in MODULES if not is_edge(path) for where in commits_in(path)] == []

    def test_names_say_what_is_inside(self) -> None:
        assert [
            name_of(path) for path in MODULES if NAMES_THAT_SAY_NOTHING & {path.stem, path.parent.name}
        ] == []

    def test_no_two_share_an_advisory_lock(self) -> None:
        numbers = [number for path in MODULES for number in re.findall(r"\b70775\d\d\b", path.read_text())]

        assert len(numbers) > 1
        assert [number for number, times in Counter(numbers).items() if times > 1] == []

    def test_no_module_outgrows_its_noun(self) -> None:
        lengths = {name_of(path): len(path.read_text().splitlines()) for path in MODULES}

        assert {name: lines for name, lines in lengths.items() if lines > LONGEST_MODULE} == {}


# The routes are the same on both databases.
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
class TestRoutes:
    def test_each_says_who_may_call_it(self, app: Flask) -> None:
        assert [rule for rule, view in routes(app) if not hasattr(view, "__guard__")] == []

    def test_each_that_changes_something_is_limited(self, app: Flask) -> None:
        assert [rule for rule, view in changing_routes(app) if not getattr(view, "__limits__", ())] == []

    def test_each_that_changes_something_has_a_schema(self, app: Flask) -> None:
        assert [rule for rule, view in changing_routes(app) if not hasattr(view, "__body_schema__")] == []

    def test_each_that_changes_something_caps_its_body(self, app: Flask) -> None:
        assert [rule for rule, view in changing_routes(app) if not hasattr(view, "__body_cap__")] == []


def routes(app: Flask) -> Iterator[tuple[str, object]]:
    """Give each route as "POST /v1/polls (polls.create_poll)" with its view."""
    for rule in app.url_map.iter_rules():
        methods = " ".join(sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}))
        yield f"{methods} {rule.rule} ({rule.endpoint})", app.view_functions[rule.endpoint]


def changing_routes(app: Flask) -> Iterator[tuple[str, object]]:
    for rule in app.url_map.iter_rules():
        if methods := sorted((rule.methods or set()) - SAFE):
            yield f"{' '.join(methods)} {rule.rule} ({rule.endpoint})", app.view_functions[rule.endpoint]
