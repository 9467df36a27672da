"""The characters of a comment, one by one: what each is, and which letters it may stand for."""

import unicodedata
from functools import lru_cache
from typing import NamedTuple

from pollsvc.comments.words.look_alikes import (
    LEET_DIGITS,
    LEET_SYMBOLS,
    LOOK_ALIKES,
    PUNCTUATING,
    STICKY,
    STROKES,
)

#: So many judgements of different characters are kept at hand.
MOST_REMEMBERED = 20_000
# Marks that are written above, below or through the letters of alphabets, vowel points among them. The marks of
# Indic scripts, Thai and kana are not here: without them it is another letter.
_MARKS = (
    (0x0300, 0x036F),
    (0x0483, 0x0489),
    (0x0591, 0x05C7),
    (0x0610, 0x061A),
    (0x064B, 0x065F),
    (0x0670, 0x0670),
    (0x06D6, 0x06ED),
    (0x0711, 0x074A),
    (0x1AB0, 0x1AFF),
    (0x1DC0, 0x1DFF),
    (0x20D0, 0x20FF),
    (0xFE20, 0xFE2F),
)
# What shows nothing, or only lengthens (the Arabic tatweel); joiners and variation selectors are Cf and Mn.
_UNSEEN = (
    (0x0640, 0x0640),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x3164, 0x3164),
    (0xFE00, 0xFE0F),
    (0xFFA0, 0xFFA0),
    (0x1F3FB, 0x1F3FF),
    (0xE0000, 0xE0FFF),
)


#: The kind of a letter that makes one word with its like beside it: no sign, no digit, none of a script without spaces.
PLAIN = "L"
#: The kind of a letter of a script whose words need no space around them; all else is a space.
UNSPACED = "U"
_ALPHABETS = frozenset(
    {"LATIN", "GREEK", "CYRILLIC", "ARABIC", "HEBREW", "ARMENIAN", "GEORGIAN", "DEVANAGARI"}
)
_UNSPACED = frozenset(
    {
        "CJK",
        "HIRAGANA",
        "KATAKANA",
        "KATAKANA-HIRAGANA",
        "HALFWIDTH",
        "HANGUL",
        "THAI",
        "LAO",
        "KHMER",
        "MYANMAR",
    }
)


class Letter(NamedTuple):
    """One unit of a text: a letter, a digit or a symbol, with all that it may stand for.

    :param raw: the character as it was written.
    :param clean: the letter in lower case with the marks that belong to it (NFKC and casefold; ``ñ`` is one letter).
    :param plain: the same without marks and strokes.
    :param looks: the Latin letters that it is taken for, its own among them; itself in a script of its own.
    :param leet: the letters that it stands for where it is a digit or a symbol.
    :param is_marked: it bears a mark that no composed letter bears, which no language writes.
    :param script: the first word of its Unicode name, such as ``LATIN``.
    """

    raw: str
    clean: str
    plain: str
    looks: str
    leet: str
    is_marked: bool
    script: str

    @property
    def is_composed(self) -> bool:
        return self.clean != self.plain


def is_mark(char: str) -> bool:
    """Tell whether a character is a mark that may be taken off a letter."""
    return _within(ord(char), _MARKS) and unicodedata.category(char) in {"Mn", "Me"}


def is_unseen(char: str) -> bool:
    """Tell whether a character shows nothing of its own: joiners, selectors, soft hyphens, the tatweel, skin tones."""
    return unicodedata.category(char) == "Cf" or char == "\u034f" or _within(ord(char), _UNSEEN)


@lru_cache(maxsize=MOST_REMEMBERED)
def is_symbol(char: str) -> bool:
    """Tell whether a character is a symbol that may stand for a letter (``@``, ``$``, ``!``, in any width), or a picture."""
    return unicodedata.normalize("NFKC", char) in LEET_SYMBOLS or is_picture(char)


@lru_cache(maxsize=MOST_REMEMBERED)
def is_punctuating(char: str) -> bool:
    """Tell whether a character is a symbol that is a letter now and punctuation then, or a picture."""
    return unicodedata.normalize("NFKC", char) in PUNCTUATING or is_picture(char)


@lru_cache(maxsize=MOST_REMEMBERED)
def is_sticky(char: str) -> bool:
    """Tell whether a character is a symbol that belongs to the letters around it, such as ``$``."""
    return unicodedata.normalize("NFKC", char) in STICKY


@lru_cache(maxsize=MOST_REMEMBERED)
def script_of(char: str) -> str:
    """Return the first word of a character's Unicode name, which for letters is their script."""
    return unicodedata.name(char, "").partition(" ")[0]


def _within(code: int, ranges: tuple[tuple[int, int], ...]) -> bool:
    return any(first <= code <= last for first, last in ranges)


def is_picture(char: str) -> bool:
    """Tell whether a character is an emoji or another symbol that stands for nothing but itself."""
    return unicodedata.category(char) == "So" and not _bases(char)


def _bases(char: str) -> list[str]:
    """Take a character apart into letters in lower case, each with its marks; an empty list where it holds none."""
    kind = unicodedata.category(char)
    if char in LOOK_ALIKES:
        pass
    elif kind == "So" and not (len(unicodedata.normalize("NFKD", char)) == 1 and char.casefold() != char):
        # Enclosed letters have a small letter; ™ and ㎏ have not, and end the word before them.
        if not ("\u24d0" <= char <= "\u24e9"):
            return []
    elif kind[0] not in "LNM" or kind == "No":
        return []
    found: list[str] = []
    for part in unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", char).casefold()):
        if is_mark(part) and found:
            found[-1] += part
        elif part.isalnum() or unicodedata.category(part)[0] == "M" or part in LOOK_ALIKES:
            found.append(part)
    return found


def _shape_of(char: str) -> str:
    """Return the letter that a character shows, in its own case (NFKC makes the lunate sigma, a ``C``, a sigma)."""
    return char if char in LOOK_ALIKES else unicodedata.normalize("NFKD", char)[0]


def _coarse_letter(base: str, original: str) -> str:
    """Return the one letter that stands for all that may be meant by this one."""
    head = base[0]
    looks = LOOK_ALIKES.get(original) or LOOK_ALIKES.get(head) or LEET_DIGITS.get(head) or STROKES.get(head)
    letter = looks[0] if looks else head
    return "i" if letter == "l" else letter


def coarse_of(char: str, *, symbols: bool) -> str:
    """Return the coarse letters of one character: none where it is not seen, a space where it parts words.

    With `symbols`, what is a letter now and punctuation then is a letter, and a picture is itself; without, a space.
    Either way it is as many.
    """
    if is_mark(char) or is_unseen(char):
        return ""
    folded = unicodedata.normalize("NFKC", char)
    if folded in LEET_SYMBOLS:
        if folded in PUNCTUATING and not symbols:
            return " "
        letter = LEET_SYMBOLS[folded][0]
        return "i" if letter == "l" else letter
    if bases := _bases(char):
        # The shape of a capital counts: Ν is taken for N, ν for v.
        original = _shape_of(char) if len(bases) == 1 else ""
        return "".join(_coarse_letter(base, original) for base in bases)
    return char if symbols and is_picture(char) else " "


def kind_of(char: str, width: int) -> str:
    """Return `PLAIN` or `UNSPACED` for a letter, a space for all else, as often as the character has coarse letters."""
    if not char.isalpha():
        return " " * width
    script = script_of(char)
    return (PLAIN if script in _ALPHABETS else UNSPACED if script in _UNSPACED else " ") * width


@lru_cache(maxsize=MOST_REMEMBERED)
def read_letter(grapheme: str, number: int = 0) -> Letter:
    """Judge a character and those after it that are not seen by themselves; `number` where it is several letters (``ﬁ``)."""
    raw = grapheme[0]
    symbol = unicodedata.normalize("NFKC", raw)
    marks = "".join(char for char in grapheme[1:] if is_mark(char))
    if symbol in LEET_SYMBOLS:
        return Letter(raw, symbol, symbol, "", LEET_SYMBOLS[symbol], bool(marks), "")
    bases = _bases(raw) or [raw]
    base, whole = bases[number], len(bases) == 1
    if number < len(bases) - 1:
        marks = ""
    composed = unicodedata.normalize("NFC", base + marks)
    head = base[0]
    original = _shape_of(raw) if whole else head
    plain = STROKES.get(head, head)
    looks = LOOK_ALIKES.get(original) or LOOK_ALIKES.get(head) or ("" if head.isdigit() else plain)
    return Letter(
        raw, composed[0], plain, looks, LEET_DIGITS.get(head, ""), len(composed) > 1, script_of(original)
    )
