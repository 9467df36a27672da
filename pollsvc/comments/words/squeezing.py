"""Readings of a text as automata take them: runs of one letter as one, in bytes."""

from collections.abc import Sequence
from dataclasses import dataclass

from pollsvc.comments.words.folding import Folded, fold, squeeze
from pollsvc.comments.words.respelling import Reading, respellings


@dataclass(frozen=True)
class Squeezed:
    """A reading as an automaton takes it.

    :param encoded: with one letter for each run of the same, as `encoded` gives it.
    :param starts: where each run starts in the reading, and where the last one ends.
    :param places: for each byte that was encoded, the number of its run; None where each run is one.
    """

    reading: Reading
    encoded: str
    starts: Sequence[int]
    places: Sequence[int] | None


class Reader:
    """Reads texts for one automaton after the other, each text once: it remembers them for as long as it lives."""

    def __init__(self) -> None:
        self._folded: dict[str, Folded] = {}
        self._readings: dict[tuple[str, int], Sequence[Squeezed]] = {}

    def read(self, text: str, reach: int) -> tuple[Folded, Sequence[Squeezed]]:
        """Return a text folded, and all its readings.

        :param reach: how many words beside a changed one are read with it.
        """
        folded = self._folded.get(text)
        if folded is None:
            folded = self._folded[text] = fold(text)
        if (text, reach) not in self._readings:
            self._readings[text, reach] = list(map(_squeezed, respellings(folded, reach)))
        return folded, self._readings[text, reach]


def _squeezed(reading: Reading) -> Squeezed:
    squeezed, starts = squeeze(reading.coarse)
    # A word starts behind a space, at the start of the text as well.
    taken = encoded(f" {squeezed}")
    places = None if len(taken) == len(squeezed) + 1 else _places(squeezed)
    return Squeezed(reading, taken, [*starts, len(reading.coarse)], places)


def encoded(coarse: str) -> str:
    """Return a coarse reading as the bytes of its UTF-8, one character each.

    The automaton looks for the next state along a list: a node with one branch for each of thousands of Han characters is
    thirty times as slow as two nodes with some dozens.
    """
    return coarse if coarse.isascii() else coarse.encode("utf-8", "surrogatepass").decode("latin-1")


def _places(squeezed: str) -> list[int]:
    """Return, for each byte of an encoded reading, the number of its character."""
    return [
        0,
        *(place for place, char in enumerate(squeezed, 1) for _ in char.encode("utf-8", "surrogatepass")),
    ]
