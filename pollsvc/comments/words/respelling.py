"""Second readings of a text: words whose letters were set apart, put together; symbols read as letters.

A reading is made of the places where it differs only, each with as many words around it as the longest entry has, so that a
phrase is found across them. All of it is linear in the text: every letter is in at most one excerpt of each reading.

Put together is what nobody sets apart in earnest: three letters or more that each stand alone (``c i a l i s``, ``c.i.a.l.i.s``),
and a word with dots, hyphens and their like inside (``cia.lis``) when nothing else is between the two spaces around it. Words of
several letters with spaces between them are never joined: "the pen is mine" says what it says. Where a dot or a dash is between
two that may be words ("my pen.is it", "my pen—is it"), only an entry of six letters and more is believed.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import chain

from pollsvc.comments.words.folding import Folded

#: What parts two excerpts; no entry holds it.
BREAK = "\n"
#: What is set inside a word to hide it. No apostrophe ("who're"), comma or slash ("his/her"): those join words in earnest.
_INSERTED = frozenset(".-_*·•~^=\\‐‑‒–—․…．﹒。∙‧⋅・－﹣＿＊∗～")
# What also stands between two words in earnest, with no space beside it.
_PARTING = frozenset(".․．﹒。…–—")
# A word with such a sign right before it, or right behind, is a part of an address.
_BEFORE_IN_ADDRESSES = frozenset("/:@?&#%=")
_BEHIND_IN_ADDRESSES = frozenset("/@=")
_WIDEST_GAP = 6
_WORD = re.compile("[^ ]+")
# Without either there is nothing to put together, which most texts are told by in a fifth of the time that looking takes.
_TWO_ALONE = re.compile(r" ([^ ])\1* +([^ ])\2*(?![^ ])")
_SIGN_INSIDE = re.compile(rf"[{re.escape(''.join(sorted(_INSERTED)))}]+\S")
#: The fewest letters of an entry that is believed where its letters stand alone, where signs are inside it, and where those may
#: part two words.
_FEWEST_APART = 3
_FEWEST_BESIDE_SIGNS = 4
_FEWEST_OF_TWO_WORDS = 6
#: Coarse letters that may be a vowel.
_VOWELS = frozenset("aeiouy")


@dataclass(frozen=True)
class Reading:
    """A text, or excerpts of it, ready for the automaton.

    :param coarse: coarse letters, a space between words and `BREAK` between excerpts.
    :param kinds: for each, `letters.PLAIN` where it is a letter of an alphabet, and a space for all else.
    :param units: for each, its place in the folded text; -1 for a break.
    :param shortest: the fewest letters of an entry that is believed here.
    """

    coarse: str
    kinds: str
    units: Sequence[int]
    shortest: int = 1

    @property
    def is_joined(self) -> bool:
        """Tell whether words in it were put together."""
        return self.shortest > 1


class _Words:
    """The words of a coarse reading, and what is between them."""

    def __init__(self, folded: Folded, coarse: str) -> None:
        self.coarse = coarse
        self.kinds = folded.kinds
        self.spans = list(map(re.Match.span, _WORD.finditer(coarse)))
        self._folded = folded

    def gap(self, number: int) -> str:
        """Return what is seen between the word of this number and the next, or behind the last and before the first (-1)."""
        start = self.spans[number][1] if number >= 0 else 0
        end = self.spans[number + 1][0] if number + 1 < len(self.spans) else len(self.coarse)
        text, origin = self._folded.text, self._folded.origin
        if isinstance(origin, range):
            return text[start:end]
        return "".join([text[origin[unit]] for unit in range(start, end)])

    @cached_property
    def alone(self) -> list[bool]:
        """Tell of each word whether it is one letter, stretched or not."""
        coarse = self.coarse
        return [
            end - start == 1 or (coarse[start] == coarse[end - 1] and _is_alone(coarse[start:end]))
            for start, end in self.spans
        ]

    @cached_property
    def spaceless(self) -> list[int]:
        """The numbers of the gaps without a space in them."""
        text, origin = self._folded.text, self._folded.origin
        # Most gaps end with a space.
        ending = [
            number
            for number, (start, _) in enumerate(self.spans[1:])
            if not text[origin[start - 1]].isspace()
        ]
        return [number for number in ending if self.rank(number) == 0]

    def are_two(self, number: int) -> bool:
        """Tell whether what is around a gap may be two words, of which somebody forgot the space, or set a dash between them."""
        return _PARTING.issuperset(self.gap(number)) and self._is_one(number) and self._is_one(number + 1)

    def _is_one(self, number: int) -> bool:
        # In Latin letters, which are all we know, a word has two of them and a vowel.
        start, end = self.spans[number]
        letters = self.coarse[start:end]
        return not self.alone[number] and not (letters.isascii() and _VOWELS.isdisjoint(letters))

    def is_sentence_end(self, number: int) -> bool:
        """Tell whether a small letter stands before a gap and a capital behind it."""
        text, origin = self._folded.text, self._folded.origin
        (_, end), (start, _) = self.spans[number], self.spans[number + 1]
        return text[origin[end - 1]].islower() and text[origin[start]].isupper()

    def rank(self, number: int) -> int:
        """Tell how wide a gap is: 0 without a space in it, 1 with one, 2 with more or a line's end, 3 too wide, 9 at the end."""
        if number + 1 >= len(self.spans):
            return 9
        if self.spans[number + 1][0] - self.spans[number][1] > _WIDEST_GAP:
            return 3
        return _rank_of(self.gap(number))


@lru_cache(maxsize=1024)
def _rank_of(gap: str) -> int:
    return min(sum(map(str.isspace, gap)) + ("\n" in gap), 2)


def respellings(folded: Folded, reach: int) -> Iterator[Reading]:
    """Return the text without symbols, the places where symbols may be letters, and words put together.

    :param reach: how many words beside a changed one an entry may span.
    """
    yield Reading(folded.spoken, folded.kinds, range(len(folded.spoken)))
    if _TWO_ALONE.search(f" {folded.spoken}") or _SIGN_INSIDE.search(folded.text):
        yield from _joined(_Words(folded, folded.spoken), reach)
    if folded.parted != folded.spoken:
        words = _Words(folded, folded.parted)
        starting = [
            number for number, (start, _) in enumerate(words.spans) if folded.spoken[max(start - 1, 0)] != " "
        ]
        yield _excerpts(words, starting, (), reach, 1)
    if folded.trimmed != folded.spoken:
        yield from _changed(_Words(folded, folded.trimmed), folded.spoken, reach)
    if folded.coarse != folded.trimmed:
        yield from _changed(_Words(folded, folded.coarse), folded.trimmed, reach)


def _changed(words: _Words, other: str, reach: int) -> Iterator[Reading]:
    """Return the words that another reading has not, and what they are when those set apart are put together."""
    coarse = words.coarse
    changed = [
        number for number, (start, end) in enumerate(words.spans) if coarse[start:end] != other[start:end]
    ]
    yield _excerpts(words, changed, (), reach, 1)
    # Where all of them stand between spaces, and none is a letter alone, the first reading has joined what there is to join.
    if any(
        _is_alone(coarse[slice(*words.spans[number])])
        or 0 in {words.rank(number - 1) if number else 9, words.rank(number)}
        for number in changed
    ):
        yield from _joined(words, reach)


def _joined(words: _Words, reach: int) -> Iterator[Reading]:
    """Return what words are when those set apart are put together, once for each way to do so."""
    ways: dict[tuple[int, ...], int] = {}
    alone = words.alone
    between = [gap for gap, is_alone in enumerate(alone[:-1]) if is_alone and alone[gap + 1]]
    ranks = list(map(words.rank, between))
    for widest in range(3):
        near = [gap for gap, rank in zip(between, ranks, strict=True) if rank <= widest]
        rows = [row for row in _rows(near) if len(row) + 1 >= _FEWEST_APART]
        ways.setdefault(tuple(chain.from_iterable(rows)), _FEWEST_APART)
        # "a v i a g r a": the article stands before the word and is none of its letters.
        with_article = [row for row in rows if words.coarse[words.spans[row[0]][0]] in "ai"]
        ways.setdefault(tuple(chain.from_iterable(row[1:] for row in with_article)), _FEWEST_APART)
    inserted = list(_inserted(words))
    for shortest in (_FEWEST_BESIDE_SIGNS, _FEWEST_OF_TWO_WORDS):
        ways.setdefault(
            tuple(chain.from_iterable(row for row, least in inserted if least == shortest)), shortest
        )
    for glued, shortest in ways.items():
        if glued:
            numbers = chain.from_iterable((gap, gap + 1) for gap in glued)
            yield _excerpts(words, numbers, glued, reach, shortest)


def _is_alone(word: str) -> bool:
    return word.count(word[0]) == len(word)


def _rows(gaps: Sequence[int]) -> Iterator[range]:
    """Return each row of gaps that follow one another."""
    first = last = None
    for gap in gaps:
        if first is None or last is None:
            first = gap
        elif gap != last + 1:
            yield range(first, last + 1)
            first = gap
        last = gap
    if first is not None and last is not None:
        yield range(first, last + 1)


def _inserted(words: _Words) -> Iterator[tuple[range, int]]:
    """Return the gaps inside words that stand between spaces and have nothing but inserted signs in them, row by row, and the
    fewest letters of an entry that is believed there.
    """
    for inside in _rows(words.spaceless):
        before, behind = words.gap(inside[0] - 1)[-1:], words.gap(inside[-1] + 1)[:1]
        is_in_address = before in _BEFORE_IN_ADDRESSES or behind in _BEHIND_IN_ADDRESSES
        if is_in_address or not all(_INSERTED.issuperset(words.gap(gap)) for gap in inside):
            continue
        if len(inside) > 1 or not words.are_two(inside[0]):
            yield inside, _FEWEST_BESIDE_SIGNS
        elif not words.is_sentence_end(inside[0]):
            # By a rare chance only do two words make a longer entry, save where a sentence ends: "Terror.Ist das so?"
            yield inside, _FEWEST_OF_TWO_WORDS


def _excerpts(
    words: _Words, numbers: Iterable[int], glued: Collection[int], reach: int, shortest: int
) -> Reading:
    """Return the words of these numbers and those within reach of them, without the gaps that are glued.

    :param numbers: in order, as those of the gaps.
    """
    spans = words.spans
    pieces: list[str] = []
    kinds: list[str] = []
    units: list[int] = []
    gaps = iter(glued)
    gap = next(gaps, len(spans))
    for first, last in _stretches(numbers, reach, len(spans)):
        # A space as well: it is what tells the automaton that a word starts.
        pieces.append(f"{BREAK} ")
        kinds.append("  ")
        units += (-1, -1)
        start = spans[first][0]
        while True:
            end = spans[min(gap, last)][1]
            pieces.append(words.coarse[start:end])
            kinds.append(words.kinds[start:end])
            units += range(start, end)
            if gap >= last:
                break
            start = spans[gap + 1][0]
            gap = next(gaps, len(spans))
    return Reading("".join(pieces), "".join(kinds), units, shortest)


def _stretches(numbers: Iterable[int], reach: int, end: int) -> Iterator[tuple[int, int]]:
    """Return the first and the last of each row of numbers up to `end`, exclusive, that lie within reach of one of these."""
    first = last = -1
    for number in numbers:
        if last < 0:
            first = max(number - reach, 0)
        elif number - reach > last + 1:
            yield first, last
            first = number - reach
        last = min(number + reach, end - 1)
    if last >= 0:
        yield first, last
