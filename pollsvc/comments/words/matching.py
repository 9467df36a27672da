"""Listed words in a comment, hidden or not: one automaton for each list (Aho–Corasick), however long the list is.

What a word is: in alphabets, that of Arabic and Hebrew included, what stands between spaces, signs or the text's ends, so that a
form with an article written to it is an entry of its own. Scripts without spaces (Han, hiragana, Thai, Lao, Khmer, Burmese) have
no bounds that could be seen, and an entry is found wherever it stands; "exceptions" are the means against that. Katakana ends
where katakana ends. Hangul words start at a bound, and what follows them may be a particle.
"""

import unicodedata
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import sub

import ahocorasick

from pollsvc.comments.words.bounds import ends_word, is_digit_after, starts_word
from pollsvc.comments.words.folding import Folded, fold, squeeze
from pollsvc.comments.words.judging import (
    Way,
    cost_of,
    letters_of_runs,
    longest_word,
    match_run,
    may_double,
    may_stand,
)
from pollsvc.comments.words.letters import PLAIN, read_letter, script_of
from pollsvc.comments.words.respelling import Reading
from pollsvc.comments.words.squeezing import Reader, Squeezed, encoded

#: Entries of one coarse reading that are compared with a find; a list of more spells one word in every way.
_MOST_ALIKE = 64

#: Words beside a changed one that are read with it, at the least.
_LEAST_REACH = 1
#: By an entry, what is written where it may stand, how that is read, and whether a digit follows: its cost, and the letters of its
#: longest word.
_Judged = dict[tuple[str, str, str, bool], tuple[int | None, int]]


@dataclass(frozen=True)
class Found:
    """A listed word in a text.

    :param word: the list's entry, as it was given.
    :param start: its place in the text, in characters.
    :param end: the same, exclusive; marks and what is not seen behind its last letter belong to it.
    """

    word: str
    start: int
    end: int


class WordMatcher:
    """An automaton over one list, built once and then read by any number of threads.

    :param words: words and phrases, each literally as it stands: no sign in them is a pattern. One without any letter, digit,
        symbol or picture is never found.
    :param exceptions: words and phrases in which a find does not count ("Scunthorpe", "Dick van Dyke"). They are found as they
        are spelled only, in any case: one that is hidden has no reason to be.
    :param language: of the words, such as ``en``; empty where they are of any.
    """

    def __init__(self, words: Iterable[str], exceptions: Iterable[str] = (), language: str = "") -> None:
        self._language = language
        self._words = list(dict.fromkeys(words))
        self._entries = self._words + list(dict.fromkeys(exceptions))
        self._own = _composed_in(self._entries)
        # More words than an entry has do no harm, and lists that ask for as many share one reading.
        self._reach = _LEAST_REACH
        self._forms: list[str] = []
        self._number_of_form = array("L")
        alike: dict[str, list[int]] = {}
        for number, entry in enumerate(self._entries):
            for form in _forms(entry):
                coarse = _key(form)
                if coarse:
                    alike.setdefault(coarse, []).append(len(self._forms))
                    self._forms.append(form)
                    self._number_of_form.append(number)
                self._reach = max(self._reach, coarse.strip(" ").count(" "))
        # Numbers in the automaton and flat rows beside it: 65,000 tuples in tuples would be walked by the garbage collector.
        self._alike = [tuple(entries[:_MOST_ALIKE]) for entries in alike.values()]
        self._runs = array("L", [len(coarse.lstrip(" ")) for coarse in alike])
        self._automaton = ahocorasick.Automaton(ahocorasick.STORE_INTS)
        for number, coarse in enumerate(alike):
            self._automaton.add_word(encoded(coarse), number)
        self._automaton.make_automaton()

    def find(self, text: str, reader: Reader | None = None) -> list[Found]:
        """Return the listed words of a text in order of their start; of those that lie in one another, the longest.

        The time grows with the length of the text, and not with that of the list.

        :param reader: what has read the text for other lists.
        """
        if not self._alike or not text:
            return []
        folded, readings = (reader or Reader()).read(text, self._reach)
        found: dict[tuple[int, int], tuple[int, int]] = {}
        excepted: list[tuple[int, int]] = []
        judged: _Judged = {}
        for reading in readings:
            for start, end, cost, number in self._found_in(folded, reading, judged):
                if number < len(self._words):
                    found[start, end] = min(found.get((start, end), (cost, number)), (cost, number))
                elif cost == 0 and not reading.reading.is_joined:
                    excepted.append((start, end))
        spans = _outside(sorted(found, key=lambda span: (span[0], -span[1])), excepted)
        return [Found(self._words[found[span][1]], *span) for span in _outermost(spans)]

    def _found_in(
        self, folded: Folded, squeezed: Squeezed, judged: _Judged
    ) -> Iterator[tuple[int, int, int, int]]:
        """Return start, end, cost and number of each entry in one reading."""
        reading, starts, places = squeezed.reading, squeezed.starts, squeezed.places
        # A letter before, for the first, and none behind the last: neither is within a word.
        kinds = f"{reading.kinds} "
        for place, group in self._automaton.iter(squeezed.encoded):
            runs = self._runs[group]
            last = places[place] if places else place
            start, end = starts[last - runs], starts[last]
            # Nearly all that a long list meets are parts of longer words: these two lines decide what a comment costs.
            if kinds[start - 1] == PLAIN == kinds[start] or kinds[end] == PLAIN == kinds[end - 1]:
                continue
            if not (starts_word(folded, reading, start) and ends_word(folded, reading, end)):
                continue
            first, behind = folded.origin[reading.units[start]], folded.end_of(reading.units[end - 1])
            bounds = starts[last - runs : last + 1]
            written = folded.text[first:behind]
            for each in self._alike[group]:
                form = self._forms[each]
                key = (form, written, reading.coarse[start:end], is_digit_after(folded, reading, end))
                if key not in judged:
                    is_as_given = written.isascii() and written.lower() == form.lower()
                    judged[key] = (
                        (0, max(map(len, form.split())))
                        if is_as_given
                        else self._cost(folded, reading, bounds, form)
                    )
                cost, size = judged[key]
                if cost is not None and size >= reading.shortest:
                    yield first, behind, cost, self._number_of_form[each]

    def _cost(
        self, folded: Folded, reading: Reading, bounds: Sequence[int], form: str
    ) -> tuple[int | None, int]:
        """Return how much an entry is hidden where its coarse reading stands, None where it is another word, and the letters of its
        longest word.
        """
        entry = letters_of_runs(form)
        sizes = list(map(sub, bounds[1:], bounds[:-1]))
        is_long_enough = all(not run or may_stand(size, run) for size, run in zip(sizes, entry, strict=True))
        if not is_long_enough or not may_double(sizes, entry, self._language):
            return None, 0  # by far the most common reason, and the cheapest to see
        pairs = []
        for wanted, start, end in zip(entry, bounds[:-1], bounds[1:], strict=True):
            if not wanted:
                continue
            letters = [folded.letter(unit) for unit in reading.units[start:end]]
            matched = match_run(letters, wanted)
            if matched is None:
                return None, 0
            pairs += matched
        if is_digit_after(folded, reading, bounds[-1]) and any(way is Way.DIGIT for _, way in pairs):
            return None, 0  # "h3ll0": the digit behind is a letter, as the one inside
        return cost_of(folded, pairs, entry, self._own), longest_word(entry)


def _composed_in(entries: Iterable[str]) -> frozenset[str]:
    """Return the composed letters of a list: those of its languages' alphabets."""
    chars = set(unicodedata.normalize("NFC", "\n".join(entries)))
    return frozenset(letter.clean for letter in map(read_letter, chars) if letter.is_composed)


def _forms(entry: str) -> set[str]:
    """Return an entry in the cases to look for: as it is, save in Greek, whose capitals look like other letters than the small."""
    if any(script_of(char) == "GREEK" for char in entry if not char.isascii()):
        return {entry.lower(), entry.upper(), entry.capitalize()}
    return {entry}


def _key(form: str) -> str:
    """Return what the automaton looks for: runs of coarse letters, behind a space where an alphabet's letter comes first.

    The space keeps it silent inside words. In other scripts a word may start anywhere.
    """
    folded = fold(form)
    coarse = folded.coarse.strip(" ")
    key = squeeze(coarse)[0]
    is_behind_space = folded.kinds[len(folded.coarse) - len(folded.coarse.lstrip(" ")) :][:1] == PLAIN
    return f" {key}" if is_behind_space else key


def _outside(spans: Iterable[tuple[int, int]], excepted: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Return the spans, given in order of their start, that lie wholly inside no exception."""
    waiting = iter(sorted(excepted))
    ahead = next(waiting, None)
    farthest = -1
    for start, end in spans:
        while ahead is not None and ahead[0] <= start:
            farthest = max(farthest, ahead[1])
            ahead = next(waiting, None)
        if end > farthest:
            yield start, end


def _outermost(spans: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Return the spans, given in order of start and the longer first, that lie in none of the others."""
    farthest = -1
    for start, end in spans:
        if end > farthest:
            farthest = end
            yield start, end
