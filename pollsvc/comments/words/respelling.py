"""Second readings of a text: words whose letters were set apart, put together; symbols read as letters.

A reading is made of the places where it differs only, each with as many words around it as the longest entry has, so that a
phrase is found across them. All of it is linear in the text: every letter is in at most one excerpt of each reading.

Put together is what nobody sets apart in earnest: three letters or more that each stand alone (``c i a l i s``, ``c.i.a.l.i.s``),
and a word with dots, hyphens and their like inside (``cia.lis``) when nothing else is between the two spaces around it. Words of
several letters with spaces between them are never joined: "the pen is mine" says what it says.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from pollsvc.comments.words.folding import Folded

#: What parts two excerpts; no entry holds it.
BREAK = "\n"
#: What is set inside a word to hide it. No apostrophe ("who're"), comma or slash ("his/her"): those join words in earnest.
_INSERTED = frozenset(".-_*·•~^=\\‐‑‒–—")
# A word with such a sign right before or after it is a part of an address.
_OF_ADDRESSES = frozenset("/:@?&#%=")
_WIDEST_GAP = 6
_WORD = re.compile("[^ ]+")
# Without either there is nothing to put together, which most texts are told by in a fifth of the time that looking takes.
_TWO_ALONE = re.compile(r"(?<![^ ])([^ ])\1* +([^ ])\2*(?![^ ])")
_SIGN_INSIDE = re.compile(rf"\S[{re.escape(''.join(sorted(_INSERTED)))}]+\S")
_FEWEST_APART = 3


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


class _Words:
    """The words of a coarse reading, and what is between them."""

    def __init__(self, folded: Folded, coarse: str) -> None:
        self.coarse = coarse
        self.kinds = folded.kinds
        self.spans = [found.span() for found in _WORD.finditer(coarse)]
        self._folded = folded

    def gap(self, number: int) -> str:
        """Return what is seen between the word of this number and the next, or behind the last and before the first (-1)."""
        start = self.spans[number][1] if number >= 0 else 0
        end = self.spans[number + 1][0] if number + 1 < len(self.spans) else len(self.coarse)
        text, origin = self._folded.text, self._folded.origin
        if end - start == 1:
            return text[origin[start]]
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
    def ranks(self) -> list[int]:
        """Tell of each gap how wide it is, as `rank` does."""
        text, origin = self._folded.text, self._folded.origin
        return [
            1 if start - end == 1 and text[origin[end]] == " " else self.rank(number)
            for number, ((_, end), (start, _)) in enumerate(pairwise(self.spans))
        ]

    def rank(self, number: int) -> int:
        """Tell how wide a gap is: 0 without a space in it, 1 with one, 2 with more or a line's end, 3 too wide, 9 at the end."""
        if number + 1 >= len(self.spans):
            return 9
        if self.spans[number + 1][0] - self.spans[number][1] > _WIDEST_GAP:
            return 3
        gap = self.gap(number)
        if len(gap) == 1 and not gap.isspace():
            return 0
        spaces = sum(map(str.isspace, gap))
        return min(spaces + ("\n" in gap), 2)


def respellings(folded: Folded, reach: int) -> Iterator[Reading]:
    """Return the text without symbols, the places where symbols may be letters, and words put together.

    :param reach: how many words beside a changed one an entry may span.
    """
    yield Reading(folded.spoken, folded.kinds, range(len(folded.spoken)))
    if _TWO_ALONE.search(folded.spoken) or _SIGN_INSIDE.search(folded.text):
        yield from _joined(_Words(folded, folded.spoken), reach)
    if folded.parted != folded.spoken:
        words = _Words(folded, folded.parted)
        starting = [
            number for number, (start, _) in enumerate(words.spans) if folded.spoken[max(start - 1, 0)] != " "
        ]
        yield _excerpts(words, starting, frozenset(), reach, 1)
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
    yield _excerpts(words, changed, frozenset(), reach, 1)
    # Where all of them stand between spaces, and none is a letter alone, the first reading has joined what there is to join.
    if any(
        _is_alone(coarse[slice(*words.spans[number])])
        or 0 in {words.rank(number - 1) if number else 9, words.rank(number)}
        for number in changed
    ):
        yield from _joined(words, reach)


def _joined(words: _Words, reach: int) -> Iterator[Reading]:
    """Return what words are when those set apart are put together, once for each way to do so."""
    seen: set[frozenset[int]] = {frozenset()}
    ways: list[tuple[frozenset[int], int]] = []
    alone = words.alone
    between = [gap for gap, is_alone in enumerate(alone[:-1]) if is_alone and alone[gap + 1]]
    for widest in range(3):
        near = [gap for gap in between if words.ranks[gap] <= widest]
        chains = [row for row in _rows(near) if len(row) + 1 >= _FEWEST_APART]
        ways.append((frozenset(gap for chain in chains for gap in chain), 3))
        # "a v i a g r a": the article stands before the word and is none of its letters.
        with_article = [chain for chain in chains if words.coarse[words.spans[chain[0]][0]] in "ai"]
        ways.append((frozenset(gap for chain in with_article for gap in chain[1:]), 3))
    ways.append((frozenset(_inserted(words)), 4))
    for glued, shortest in ways:
        if glued not in seen:
            seen.add(glued)
            numbers = sorted({number for gap in glued for number in (gap, gap + 1)})
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


def _inserted(words: _Words) -> Iterator[int]:
    """Return the gaps inside words that stand between spaces and have nothing but inserted signs in them."""
    for inside in _rows([gap for gap, rank in enumerate(words.ranks) if rank == 0]):
        around = words.gap(inside[0] - 1)[-1:] + words.gap(inside[-1] + 1)[:1]
        if _OF_ADDRESSES.isdisjoint(around) and _hides(words, inside):
            yield from inside


def _hides(words: _Words, inside: range) -> bool:
    """Tell whether the signs in a word hide it: a single dot between words ("my pen.is it") is a space that was forgotten."""
    if not all(_INSERTED.issuperset(words.gap(gap)) for gap in inside):
        return False
    return (
        len(inside) > 1 or words.gap(inside[0]) != "." or words.alone[inside[0]] or words.alone[inside[0] + 1]
    )


def _excerpts(
    words: _Words, numbers: Sequence[int], glued: frozenset[int], reach: int, shortest: int
) -> Reading:
    """Return the words of these numbers and those within reach of them, without the gaps that are glued."""
    pieces: list[str] = []
    kinds: list[str] = []
    units: list[int] = []
    last = -1
    for number in numbers:
        for each in range(max(number - reach, last + 1), min(number + reach + 1, len(words.spans))):
            start, end = words.spans[each]
            if each - 1 != last:
                # A space as well: it is what tells the automaton that a word starts.
                pieces.append(f"{BREAK} ")
                kinds.append("  ")
                units += (-1, -1)
            elif each - 1 not in glued and pieces:
                pieces.append(" ")
                kinds.append(" ")
                units.append(words.spans[each - 1][1])
            pieces.append(words.coarse[start:end])
            kinds.append(words.kinds[start:end])
            units += range(start, end)
            last = each
    return Reading("".join(pieces), "".join(kinds), units, shortest)
