"""Whether what the coarse reading found is the entry, written so that it hides, or another word.

Each letter of the text either is the entry's, or may stand for it in one of five ways (`Way`). The rules over all letters of a
find, and why:

- *Marks.* What no language writes (a stroke through the letter, a second mark, ``v̈``) is taken off always. A composed letter
  stands for its plain one in entries of four letters and more, unless an entry of the list holds that letter: then it is one
  of the language's own and makes another word (``schwul``, ``schwül``). In shorter ones it never does (``ano``, ``año``). An
  entry's own marks are never optional.
- *Runs.* Three letters or more in a row may be one or two that were stretched. Two may be one in longer entries (`may_double`):
  ``biitch``, but not ``ass`` for ``as``, nor Italian ``penne`` for a word with one ``n``.
- *Digits and symbols* stand for letters beside at least one true letter, in finds of three and more: numbers, prices and ``5s``
  are themselves. Where all digits are at one end of the find, as in road and model numbers, they may not outnumber the letters.
- *Punctuation.* ``!`` or ``|`` at an end is punctuation unless another sign in the word is a letter too ("Ana!").
- *Look-alikes* of another script stand for letters beside a true one. A find of look-alikes only counts where the text holds no
  letter of that script without a look-alike: Russian ``рот`` is no English word in a Russian comment.
"""

from collections.abc import Sequence
from enum import Enum
from functools import lru_cache
from itertools import groupby, pairwise

from pollsvc.comments.words.folding import Folded, fold
from pollsvc.comments.words.letters import Letter, is_picture
from pollsvc.comments.words.look_alikes import LOOK_ALIKES, PUNCTUATING

#: Letters of an entry in which one may be doubled.
_DOUBLED_FROM = 5
_DOUBLED_FROM_IN_ENGLISH = 4
#: Mixed runs longer than this are nobody's word (``ililil…``), and would take time in the square of their length.
_LONGEST_MIXED_RUN = 48


class Way(Enum):
    """How a letter of the text stands for one of the entry's."""

    ITSELF = "itself"
    COMPOSED = "composed"
    LOOKS = "looks"
    CAPITAL_I = "capital i"
    SMALL_L = "small l"
    DIGIT = "digit"
    SYMBOL = "symbol"


#: Letters that are one stroke in most typefaces, by what is written and what is meant.
_STROKES = {("I", "l"): Way.CAPITAL_I, ("l", "i"): Way.SMALL_L}


def way_of(letter: Letter, wanted: Letter) -> Way | None:
    """Tell how a letter may stand for another, or None."""
    if letter.clean == wanted.clean:
        return Way.ITSELF
    if wanted.is_composed:
        return None
    if letter.plain == wanted.clean:
        return Way.COMPOSED
    if wanted.clean in letter.leet:
        return Way.DIGIT if letter.clean.isdigit() else Way.SYMBOL
    if (letter.raw, wanted.clean) in _STROKES:
        return _STROKES[letter.raw, wanted.clean]
    return Way.LOOKS if _looks_like(letter, wanted) else None


def _looks_like(letter: Letter, wanted: Letter) -> bool:
    """Tell whether a letter of another script, or an odd one of Latin (small capitals), shows the wanted one."""
    if letter.script == wanted.script and not (letter.raw in LOOK_ALIKES and wanted.clean.isascii()):
        return False
    return not set(letter.looks).isdisjoint(wanted.looks)


@lru_cache(maxsize=8192)
def letters_of_runs(entry: str) -> tuple[tuple[Letter, ...], ...]:
    """Return an entry's letters by the runs of its coarse reading; a gap between its words is a run without any."""
    folded = fold(entry.strip())
    units = [unit for unit, char in enumerate(folded.coarse)]
    runs = []
    for coarse, members in groupby(units, key=folded.coarse.__getitem__):
        runs.append(() if coarse == " " else tuple(folded.letter(unit) for unit in members))
    if runs and not runs[0]:
        runs = runs[1:]
    if runs and not runs[-1]:
        runs = runs[:-1]
    return tuple(runs)


def longest_word(entry: Sequence[Sequence[Letter]]) -> int:
    """Return how many letters the longest word of an entry has, given as its runs."""
    return max(sum(map(len, runs)) for _, runs in groupby(entry, key=bool))


def may_stand(size: int, wanted: Sequence[Letter]) -> bool:
    """Tell whether a run of this size may stand for one of the entry: as long, or stretched."""
    return size >= len(wanted)


def may_double(sizes: Sequence[int], entry: Sequence[Sequence[Letter]], language: str) -> bool:
    """Tell whether the runs that are two for one of the entry's may be so: in a long entry, or several in one not quite short.

    Pictures are stretched by any more.

    :param language: of the list. In English a doubled letter makes another word more rarely than elsewhere.
    """
    doubled = sum(
        (size == 2 and len(run) == 1 and not is_picture(run[0].raw))
        # Of different letters any may be.
        or (size > len(run) and len({letter.clean for letter in run}) > 1)
        for size, run in zip(sizes, entry, strict=True)
    )
    letters = sum(map(len, entry))
    least = _DOUBLED_FROM_IN_ENGLISH if language == "en" or doubled > 1 else _DOUBLED_FROM
    return not doubled or letters >= least


def match_run(letters: Sequence[Letter], wanted: Sequence[Letter]) -> list[tuple[Letter, Way]] | None:
    """Match one run of the text with one of the entry, which may be shorter where it was stretched."""
    if not may_stand(len(letters), wanted):
        return None
    if len(letters) == len(wanted):
        return _paired(letters, wanted)
    groups = [list(same) for _, same in groupby(wanted, key=lambda each: each.clean)]
    if len(groups) == 1:
        return _paired(letters, [wanted[0]] * len(letters))
    return _match_mixed(_shortened(letters), [(group[0], len(group)) for group in groups])


def _paired(letters: Sequence[Letter], wanted: Sequence[Letter]) -> list[tuple[Letter, Way]] | None:
    found = []
    for letter, other in zip(letters, wanted, strict=True):
        way = way_of(letter, other)
        if way is None:
            return None
        found.append((letter, way))
    return found


def _shortened(letters: Sequence[Letter]) -> list[Letter]:
    """Cut a run's stretches of one and the same letter, of which nobody counts more than a few."""
    return [letter for _, same in groupby(letters) for letter in list(same)[:8]]


def _disguises(path: Sequence[tuple[Letter, Way]]) -> int:
    return sum(way is not Way.ITSELF for _, way in path)


def _match_mixed(
    letters: Sequence[Letter], heads: Sequence[tuple[Letter, int]]
) -> list[tuple[Letter, Way]] | None:
    """Match a run that holds different letters of one coarse letter (``illi``), each of which may be stretched."""
    if len(letters) > _LONGEST_MIXED_RUN:
        return None
    reached: dict[int, list[tuple[Letter, Way]]] = {0: []}
    for wanted, length in heads:
        after: dict[int, list[tuple[Letter, Way]]] = {}
        for start, before in reached.items():
            path = list(before)
            for end in range(start, len(letters)):
                way = way_of(letters[end], wanted)
                if way is None:
                    break
                path.append((letters[end], way))
                size = end + 1 - start
                if size >= length:
                    # Of two ways to take letters the plainer one: an l is an i only where it must be.
                    after[end + 1] = min(after.get(end + 1, path), path, key=_disguises)[:]
        reached = after
    return reached.get(len(letters))


def cost_of(
    folded: Folded,
    pairs: Sequence[tuple[Letter, Way]],
    entry: Sequence[Sequence[Letter]],
    own: frozenset[str],
) -> int | None:
    """Return how many letters of a find are not themselves or too many, or None where it is another word.

    :param own: the composed letters that the list's entries hold.
    """
    size = sum(len(run) for run in entry)
    hidden = sum(letter.is_marked or way is not Way.ITSELF for letter, way in pairs)
    is_sound = not hidden or (
        _composed_count(pairs, size, own)
        and _leet_counts(pairs, size)
        and _looks_count(folded, pairs, entry)
        and _capitals_count(pairs)
    )
    return hidden + len(pairs) - size if is_sound else None


def _composed_count(pairs: Sequence[tuple[Letter, Way]], size: int, own: frozenset[str]) -> bool:
    composed = {letter.clean for letter, way in pairs if way is Way.COMPOSED}
    if not composed or any(letter.is_marked for letter, _ in pairs):
        return True
    return size >= 4 and not composed & own


def _leet_counts(pairs: Sequence[tuple[Letter, Way]], size: int) -> bool:
    leet = [way in {Way.DIGIT, Way.SYMBOL} for _, way in pairs]
    if not any(leet):
        return True
    true = sum(letter.clean[0].isalpha() and not sign for (letter, _), sign in zip(pairs, leet, strict=True))
    if size < 3 or not true:
        return False
    if sum(leet) == 1 and any(
        way is Way.SYMBOL and letter.clean in PUNCTUATING and letter.clean != "+"
        for letter, way in (pairs[0], pairs[-1])
    ):
        return False
    digits = [way is Way.DIGIT for _, way in pairs]
    switches = sum(one != other for one, other in pairwise(digits))
    return switches != 1 or sum(digits) <= true


def _looks_count(
    folded: Folded, pairs: Sequence[tuple[Letter, Way]], entry: Sequence[Sequence[Letter]]
) -> bool:
    if not any(way is Way.LOOKS for _, way in pairs):
        return True
    if any(way in {Way.ITSELF, Way.COMPOSED} and letter.clean[0].isalpha() for letter, way in pairs):
        return True
    own = {letter.script for run in entry for letter in run}
    foreign = {letter.script for letter, way in pairs if way is Way.LOOKS} - own
    return not foreign & folded.earnest_scripts


def _capitals_count(pairs: Sequence[tuple[Letter, Way]]) -> bool:
    """Believe a capital I in place of an l inside a word of small letters only: ``ciaIis``, not ``FAIL`` for "fall"; and a small l
    in place of an i in a word of capitals only: ``VlAGRA``.
    """
    strokes = {way for _, way in pairs if way in _STROKES.values()}
    if not strokes:
        return True
    others = [letter.raw for letter, way in pairs if way not in strokes]
    if strokes == {Way.SMALL_L}:
        return all(map(str.isupper, others))
    return (
        strokes == {Way.CAPITAL_I} and pairs[0][1] is not Way.CAPITAL_I and not any(map(str.isupper, others))
    )
