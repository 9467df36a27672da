"""Addresses made from the URL map, for tests that walk it."""

import re
from collections.abc import Iterator

from flask import Flask
from werkzeug.routing import Rule

ID = "01a203cc-78e1-7762-8d8b-4a59595984c6"


def filled(rule: Rule) -> str:
    """Give a rule's path with something that fits in the place of each parameter."""
    path = re.sub(r"<uuid:\w+>", ID, rule.rule)
    path = re.sub(r"<int:\w+>", "1", path)
    path = re.sub(r"<any\((\w+)[^>]*>", r"\1", path)
    return re.sub(r"<[^>]+>", "x", path)


def addresses(app: Flask) -> Iterator[tuple[str, set[str]]]:
    """Give each address with the methods it takes."""
    taken: dict[str, set[str]] = {}
    for rule in app.url_map.iter_rules():
        taken.setdefault(filled(rule), set()).update(rule.methods or set())
    yield from taken.items()
