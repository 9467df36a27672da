"""Reads pages as a browser without scripts does: their forms, and whether their tags are in order."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

_EMPTY = {"input", "link", "meta", "br", "path", "rect", "circle"}


@dataclass
class Form:
    """A form: where it goes, and what it would send as it stands."""

    action: str
    method: str
    fields: dict[str, list[str]] = field(default_factory=dict)
    buttons: int = 0

    def filled(self, **changes: str | list[str]) -> dict[str, str | list[str]]:
        """Give what is sent after these fields were filled in."""
        return {**self.fields, **changes}


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.open: list[str] = []
        self.ids: list[str] = []
        self.wrong: list[str] = []
        self._textarea = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if len(given) < len(attrs):
            self.wrong.append(f"<{tag}> has an attribute twice")
        if given.get("id"):
            self.ids.append(str(given["id"]))
        if tag not in _EMPTY:
            self.open.append(tag)
        if tag == "form":
            # Without an address it goes to the page's own.
            self.forms.append(Form(given.get("action") or "", str(given["method"])))
        elif tag == "button":
            self.forms[-1].buttons += 1
        elif tag == "textarea":
            self._textarea = str(given["name"])
            self.forms[-1].fields[self._textarea] = [""]
        elif tag == "input" and (given.get("type") not in ("radio", "checkbox") or "checked" in given):
            self.forms[-1].fields.setdefault(str(given["name"]), []).append(given.get("value") or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _EMPTY:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(f"</{tag}> closes nothing")
        self._textarea = "" if tag == "textarea" else self._textarea

    def handle_data(self, data: str) -> None:
        if self._textarea:
            # A line break right behind the tag is not part of the text.
            self.forms[-1].fields[self._textarea][0] += data.removeprefix("\n")


def _read(html: str) -> _Reader:
    reader = _Reader()
    # As a browser does before it parses.
    reader.feed(html.replace("\r\n", "\n"))
    reader.close()
    return reader


def form_of(html: str) -> Form:
    """Give the only form of a page."""
    (form,) = _read(html).forms
    return form


def has_form(html: str) -> bool:
    """Tell whether there is a form to press."""
    return bool(_read(html).forms)


def faults_of(html: str) -> list[str]:
    """Give what is wrong with the tags of a page or a piece of one."""
    reader = _read(html)
    twice = sorted({each for each in reader.ids if reader.ids.count(each) > 1})
    return (
        reader.wrong + [f"<{tag}> stays open" for tag in reader.open] + [f"id {each} twice" for each in twice]
    )
