"""Where a word starts and ends, in scripts with spaces and in those without, and beside signs that may be letters."""

import unicodedata
from functools import lru_cache

from pollsvc.comments.words.folding import Folded
from pollsvc.comments.words.letters import is_punctuating, is_sticky, script_of
from pollsvc.comments.words.respelling import BREAK, Reading

#: Scripts that are written without spaces between words, by the first word of their letters' Unicode names.
_WITHOUT_SPACES = frozenset({"CJK", "HIRAGANA", "THAI", "LAO", "KHMER", "MYANMAR", "BOPOMOFO", "YI", "TAI"})
_KATAKANA = frozenset({"KATAKANA", "KATAKANA-HIRAGANA", "HALFWIDTH"})
#: Signs and digits beside a word are followed so far to see whether the word goes on; more of them end it.
_FARTHEST = 12


def starts_word(folded: Folded, reading: Reading, index: int) -> bool:
    """Tell whether a word may start at this letter of a reading."""
    return _is_bound(folded, reading, index, -1)


def ends_word(folded: Folded, reading: Reading, index: int) -> bool:
    """Tell whether a word may end before this letter of a reading."""
    return _is_bound(folded, reading, index - 1, 1)


def is_digit_after(folded: Folded, reading: Reading, index: int) -> bool:
    """Tell whether this letter of a reading, the first behind a find, is a digit."""
    return not _is_open(reading, index) and _raw(folded, reading, index).isdecimal()


def _is_bound(folded: Folded, reading: Reading, inside: int, step: int) -> bool:
    outside = inside + step
    if _is_open(reading, outside):
        return True
    if folded.origin[reading.units[inside]] == folded.origin[reading.units[outside]]:
        return False  # half of a character, such as ﬁ or a Hangul syllable
    within, without = _raw(folded, reading, inside), _raw(folded, reading, outside)
    if is_punctuating(without) or is_punctuating(within):
        return True
    is_digit = step > 0 and without.isdecimal() and not within.isdecimal()
    if is_digit or is_sticky(without):
        return _stops(folded, reading, outside, step, digits=is_digit)
    # "pa$$word": what stands for a letter goes on like one.
    return not (is_sticky(within) and without.isalpha()) and _part(within, without, step)


def _stops(folded: Folded, reading: Reading, place: int, step: int, *, digits: bool) -> bool:
    """Tell whether nothing but signs, or digits, follows up to the next bound."""
    for _ in range(_FARTHEST):
        if _is_open(reading, place):
            return True
        char = _raw(folded, reading, place)
        if not (char.isdecimal() if digits else is_sticky(char)):
            return is_punctuating(char)
        place += step
    return True


def _is_open(reading: Reading, place: int) -> bool:
    return not 0 <= place < len(reading.coarse) or reading.coarse[place] in (" ", BREAK)


def _raw(folded: Folded, reading: Reading, place: int) -> str:
    return folded.text[folded.origin[reading.units[place]]]


@lru_cache(maxsize=8192)
def _part(within: str, without: str, step: int) -> bool:
    """Tell whether two letters beside each other are of different words."""
    if unicodedata.category(without)[0] == "S" or unicodedata.category(within)[0] == "S":
        return True  # a sign that looks like a letter ("×"), where none stands
    if unicodedata.category(without)[0] == "M" or "\u11a8" <= without <= "\u11ff":
        return False  # a vowel sign, or the end of a syllable: it belongs to the letter before
    inner, outer = script_of(within), script_of(without)
    if inner in _KATAKANA:
        return outer not in _KATAKANA
    if inner in _WITHOUT_SPACES or outer in _WITHOUT_SPACES:
        return True
    return inner == outer == "HANGUL" and step > 0
