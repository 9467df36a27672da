"""The rows of a file of subscribers, one after the other; what cannot be read is a row too, with what is wrong with it.

No line, and no row of several lines, is held longer than :data:`LONGEST`: a file without a single line break is as
harmless as any other.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

import orjson

from pollsvc.errors import Invalid

COLUMNS = ("email", "consented_at", "source")
LONGEST = 65_536
_BOM = b"\xef\xbb\xbf"


class ImportUnreadable(Invalid):
    """The file as a whole cannot be read; nothing of it was stored."""

    code = "import_unreadable"


@dataclass(frozen=True)
class Row:
    """A row as it stands in the file.

    :param number: the header of a CSV file is row 1, as in a spreadsheet; the first line of JSON lines is row 1 too.
    :param broken: why it cannot be read, or None.
    """

    number: int
    fields: dict[str, object] = field(default_factory=dict)
    broken: str | None = None


def open_rows(file: BinaryIO, kind: str) -> Iterator[Row]:
    """The rows of a file. Its header is read at once.

    :param kind: ``text/csv`` or ``application/x-ndjson``.
    :raises ImportUnreadable: if the header cannot be read, or lacks a column, or has one that is not known.
    """
    source = _Lines(file)
    if kind != "text/csv":
        return _json_rows(source)
    lines = iter(source)
    first = next(lines, "")
    if source.trouble:
        raise _unreadable(f"The header cannot be read: {source.trouble[0]}")
    # Spreadsheets of many countries part cells by semicolons, and others by tabs.
    mark = max(",;\t", key=first.count)
    try:
        names = [name.strip().lower() for name in next(csv.reader([first], delimiter=mark), [])]
    except csv.Error as error:
        raise _unreadable(f"The header is no row of CSV: {error}.") from error
    if "email" not in names:
        raise _unreadable("The first row must name the columns, and email among them.")
    if unknown := sorted(set(names) - set(COLUMNS)):
        told = ", ".join(name[:40] or "(empty)" for name in unknown[:10])
        raise _unreadable(f"These columns are not known: {told}. Known are {', '.join(COLUMNS)}.")
    if len(set(names)) < len(names):
        raise _unreadable("A column is named twice.")
    return _csv_rows(source, lines, names, mark)


class _Lines:
    """Lines as text; of one that is none, or too long, nothing but the trouble is kept."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._read = 0
        self.trouble: list[str] = []

    def __iter__(self) -> Iterator[str]:
        while line := self._file.readline(LONGEST):
            began, self._read = self._read, self._read + len(line)
            if len(line) == LONGEST and not line.endswith(b"\n"):
                self.trouble.append(f"a line is longer than {LONGEST} bytes.")
                self._skip()
                yield "\n"
                continue
            if began == 0:
                line = line.removeprefix(_BOM)
                began = self._read - len(line)
            try:
                yield line.decode()
            except UnicodeDecodeError as error:
                self.trouble.append(f"byte {began + error.start + 1} of the file is no UTF-8.")
                yield "\n"

    def _skip(self) -> None:
        while line := self._file.readline(LONGEST):
            self._read += len(line)
            if line.endswith(b"\n"):
                return

    def taken(self) -> str | None:
        """The trouble since it was last asked for."""
        told = self.trouble[0] if self.trouble else None
        self.trouble.clear()
        return told[:1].upper() + told[1:] if told else None


def _csv_rows(source: _Lines, lines: Iterator[str], names: list[str], mark: str) -> Iterator[Row]:
    bounded = _Bounded(lines)
    rows = csv.reader(bounded, delimiter=mark, strict=True)
    number = 1
    while True:
        number += 1
        bounded.begin_row()
        try:
            cells = next(rows, None)
        except csv.Error as error:
            yield Row(number, broken=source.taken() or f"This is no row of CSV: {error}.")
            continue
        if trouble := source.taken():
            yield Row(number, broken=trouble)
        elif cells is None:
            return
        elif cells and len(cells) != len(names):
            yield Row(number, broken=f"It has {len(cells)} cells, the header {len(names)}.")
        elif any(map(str.strip, cells)):
            # An empty cell is one left out.
            yield Row(number, {name: cell for name, cell in zip(names, cells, strict=True) if cell.strip()})


class _Bounded:
    """Lines for the csv module, which would hold a row of many lines whole however long it is."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines, self._left = lines, LONGEST

    def begin_row(self) -> None:
        """Let a row have all its room again."""
        self._left = LONGEST

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self._left -= len(line)
        if self._left < 0:
            raise csv.Error(f"it is longer than {LONGEST} characters")
        # A NUL is kept by the csv module in some releases and refused in others; no field takes one.
        return line.replace("\0", "\ufffd")


def _json_rows(source: _Lines) -> Iterator[Row]:
    for number, line in enumerate(source, 1):
        if trouble := source.taken():
            yield Row(number, broken=trouble)
        elif line.strip():
            try:
                found = orjson.loads(line)
            except orjson.JSONDecodeError:
                found = None
            if not isinstance(found, dict):
                yield Row(number, broken="This line is no JSON object.")
            else:
                yield Row(number, {name: value for name, value in found.items() if value is not None})


def _unreadable(sentence: str) -> ImportUnreadable:
    return ImportUnreadable(sentence, fields={"body": sentence})
