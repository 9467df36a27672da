"""The documentation names everything that can be set, called or answered."""

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from prometheus_client import REGISTRY

import pollsvc.app  # noqa: F401 (loads every error)
from pollsvc.config import PREFIX, Settings
from pollsvc.errors import PollsvcError
from pollsvc.web.errors import HTTP_CODES

ROOT = Path(__file__).parent.parent
API = ROOT / "docs" / "api.md"
CONFIGURATION = ROOT / "docs" / "configuration.md"
OPERATIONS = ROOT / "docs" / "operations.md"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "deploy").rglob("*.md")])

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
CALL = re.compile(r"\b(GET|POST|PUT|PATCH|DELETE) (/[^\s`?|,;)]*)")


def error_classes(kind: type[PollsvcError] = PollsvcError) -> Iterator[type[PollsvcError]]:
    for each in kind.__subclasses__():
        yield each
        yield from error_classes(each)


def anonymous(path: str) -> str:
    """Give a path with its parameters' names left out: `/v1/polls/{}`."""
    return re.sub(r"<[^>]*>|\{[^}]*\}", "{}", path)


class TestConfiguration:
    @pytest.mark.parametrize(
        "name",
        [PREFIX + field.name.upper() for field in dataclasses.fields(Settings) if "parse" in field.metadata],
    )
    def test_each_setting_is_described(self, name: str) -> None:
        assert re.search(rf"`{name}`", CONFIGURATION.read_text())

    def test_no_setting_is_described_that_does_not_exist(self) -> None:
        known = {
            PREFIX + field.name.upper() for field in dataclasses.fields(Settings) if "parse" in field.metadata
        }

        assert set(re.findall(rf"`({PREFIX}[A-Z_]+)`", CONFIGURATION.read_text())) <= known


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
class TestApi:
    def test_each_endpoint_is_described(self, app: Flask) -> None:
        described = {(method, anonymous(path)) for method, path in CALL.findall(API.read_text())}
        served = {
            (method, anonymous(rule.rule))
            for rule in app.url_map.iter_rules()
            for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        }

        assert sorted(served - described) == []

    def test_no_call_under_v1_is_described_that_does_not_exist(self, app: Flask) -> None:
        described = {(method, anonymous(path)) for method, path in CALL.findall(API.read_text())}
        served = {
            (method, anonymous(rule.rule))
            for rule in app.url_map.iter_rules()
            for method in rule.methods or set()
        }

        assert sorted(call for call in described - served if call[1].startswith("/v1/")) == []


class TestErrors:
    def test_each_code_is_described(self) -> None:
        codes = {kind.code for kind in error_classes()} | set(HTTP_CODES.values())
        text = API.read_text()

        assert sorted(code for code in codes if f"`{code}`" not in text) == []


class TestLinks:
    @pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
    def test_what_a_page_links_to_exists(self, page: Path) -> None:
        targets = [first or second for first, second in LINK.findall(page.read_text())]
        local = [target.partition("#")[0] for target in targets if not re.match(r"[a-z]+:", target)]

        assert [target for target in local if target and not (page.parent / target).exists()] == []


class TestMetrics:
    def test_each_that_is_described_exists_and_the_other_way_round(self) -> None:
        described = set(re.findall(r"pollsvc_[a-z_]+(?=[{`\[])", OPERATIONS.read_text()))
        families = {family.name for family in REGISTRY.collect() if family.name.startswith("pollsvc_")}

        assert {re.sub("_(total|bucket|sum|count)$", "", name) for name in described} == families
