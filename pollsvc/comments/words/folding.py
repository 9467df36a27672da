"""Text as the word matcher reads it: one coarse letter for each that is seen, with its place in the original.

The coarse reading throws together all that could stand for one letter, so that one automaton without variants sees every
evasion: case, compatibility forms (NFKC), look-alikes, marks, digits and symbols for letters. It says only where to look. What
stands there is then judged letter by letter (`Letter`), against the entry as it was given.
"""

import codecs
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import compress
from operator import ne

from pollsvc.comments.words.letters import (
    MOST_REMEMBERED,
    PLAIN,
    UNSPACED,
    Letter,
    coarse_of,
    is_symbol,
    kind_of,
    read_letter,
    script_of,
)
from pollsvc.comments.words.look_alikes import EARNEST_LATIN, LOOK_ALIKES

#: A grapheme is judged by its letter and this many characters after it; towers of marks have no end.
_MOST_FOLLOWERS = 5


class _Table(dict[int, str]):
    """What becomes of a character, by code point, worked out when first met; it forgets all when it has met very many."""

    def __init__(self, work_out: Callable[[str], str]) -> None:
        super().__init__()
        self._work_out = work_out

    def __missing__(self, code: int) -> str:
        if len(self) > MOST_REMEMBERED:
            # What is common is met again at once; another thread loses nothing but time.
            self.clear()
        found = self[code] = self._work_out(chr(code))
        return found


_WITH_SYMBOLS = _Table(lambda char: coarse_of(char, symbols=True))
_WITHOUT_SYMBOLS = _Table(lambda char: coarse_of(char, symbols=False))
_SYMBOLS = _Table(lambda char: ("S" if is_symbol(char) else " ") * len(coarse_of(char, symbols=True)))
_KINDS = _Table(lambda char: kind_of(char, len(coarse_of(char, symbols=True))))


@dataclass(frozen=True)
class Folded:
    """A text and its coarse reading.

    The readings are equally long: a letter for each one seen, a space for each that parts words.

    :param coarse: with every symbol that may be a letter as a letter, and pictures as themselves.
    :param trimmed: the same with a space for the symbols at the ends of words.
    :param spoken: the same with a space for all symbols but those inside words that punctuate nothing, such as ``$``.
    :param parted: `spoken`, with a space for each letter of a script without spaces that stands before one of an alphabet.
    :param kinds: `PLAIN` or `UNSPACED` for letters, a space for all else.
    :param origin: the place in the text of each of those letters.
    """

    text: str
    coarse: str
    trimmed: str
    spoken: str
    parted: str
    kinds: str
    origin: range | list[int]

    def end_of(self, unit: int) -> int:
        """Return where a letter ends in the text, its marks and what is not seen behind it included."""
        follower = self.origin[unit + 1] if unit + 1 < len(self.origin) else len(self.text)
        return max(follower, self.origin[unit] + 1)

    def letter(self, unit: int) -> Letter:
        """Judge the letter at one place of the coarse reading."""
        start = self.origin[unit]
        number = 0
        while number < unit and self.origin[unit - number - 1] == start:
            number += 1
        return read_letter(self.text[start : min(self.end_of(unit), start + 1 + _MOST_FOLLOWERS)], number)

    @cached_property
    def earnest_scripts(self) -> frozenset[str]:
        """Return the scripts that the text holds a letter of which looks like none of Latin."""
        return frozenset(_earnest(set(self.text)))


def _earnest(chars: set[str]) -> Iterator[str]:
    for char in chars:
        if (
            char.isalpha()
            and char not in LOOK_ALIKES
            and (not char.isascii() or char.lower() in EARNEST_LATIN)
        ):
            yield script_of(char)


def fold(text: str) -> Folded:
    """Read a text coarsely, in time that grows with its length only."""
    chars = set(text)
    unseen = {char for char in chars if not _WITH_SYMBOLS[ord(char)]}
    seen = "".join([char for char in text if char not in unseen]) if unseen else text
    read = _reader(seen, chars - unseen)
    coarse, kinds = read(_WITH_SYMBOLS), read(_KINDS)
    trimmed = spoken = coarse
    if any(map(is_symbol, chars)):
        trimmed, spoken = _without_symbols(coarse, read(_WITHOUT_SYMBOLS), read(_SYMBOLS))
    parted = spoken if text.isascii() else _parted(spoken, kinds)
    origin: range | list[int] = range(len(text))
    if unseen or len(coarse) != len(seen):
        widths = [len(_WITH_SYMBOLS[ord(char)]) for char in text]
        origin = [place for place, width in enumerate(widths) for _ in range(width)]
    return Folded(text, coarse, trimmed, spoken, parted, kinds, origin)


def _reader(text: str, chars: set[str]) -> Callable[[_Table], str]:
    """Return what gives the reading of a text by a table, fast where it has few different characters, each of one letter.

    Such a text is encoded once, in a code page of its own, and decoded for each reading, which takes a fraction of `str.translate`.
    """
    page = "".join(sorted(chars | {"\0"}))
    if text.isascii() or len(page) > 256 or any(len(_WITH_SYMBOLS[ord(char)]) != 1 for char in page):
        return text.translate
    encoded, _ = codecs.charmap_encode(text, "strict", codecs.charmap_build(page))
    return lambda table: codecs.charmap_decode(
        encoded, "strict", "".join([table[ord(char)] for char in page])
    )[0]


def _without_symbols(coarse: str, without: str, symbols: str) -> tuple[str, str]:
    """Return a reading without the symbols that have no letter on one of their sides, and one without punctuation besides.

    :param without: the reading with a space for punctuation.
    :param symbols: ``S`` for each symbol, a space for all else.
    """
    trimmed: list[str] = []
    spoken: list[str] = []
    last = 0
    place = symbols.find("S")
    while place >= 0:
        start = max(coarse.rfind(" ", last, place) + 1, last)
        end = coarse.find(" ", place)
        end = len(coarse) if end < 0 else end
        marked = symbols[start:end]
        first = len(marked) - len(marked.lstrip("S"))
        behind = max(len(marked.rstrip("S")), first)
        for pieces, reading in ((trimmed, coarse), (spoken, without)):
            inner = reading[start + first : start + behind]
            pieces.append(f"{coarse[last:start]}{' ' * first}{inner}{' ' * (len(marked) - behind)}")
        last = end
        place = symbols.find("S", end)
    return "".join([*trimmed, coarse[last:]]), "".join([*spoken, coarse[last:]])


def _parted(spoken: str, kinds: str) -> str:
    """Return a reading with a space where letters of a script without spaces meet those of an alphabet."""
    pieces, last = [], 0
    place = kinds.find(UNSPACED + PLAIN)
    while place >= 0:
        pieces.append(spoken[last:place])
        last = place + 1
        place = kinds.find(UNSPACED + PLAIN, last)
    return " ".join([*pieces, spoken[last:]])


def squeeze(coarse: str) -> tuple[str, list[int]]:
    """Return a coarse reading with one letter for each run of the same, and where each run starts."""
    is_first = firsts(coarse)
    return "".join(compress(coarse, is_first)), list(compress(range(len(coarse)), is_first))


def firsts(text: str) -> bytes:
    """Return for each letter of a text whether it is another than the one before it: 0 where it is the same."""
    if text.isascii():
        # As one number, beside itself moved by a letter: a fraction of the time that letter by letter takes.
        number = int.from_bytes(text.encode())
        return (number ^ number >> 8).to_bytes(len(text))
    return bytes(map(ne, text, f"\0{text}"))
