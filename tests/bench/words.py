"""Listed words in comments: how long a search takes, by the length of the list and of the comment.

Words and comments are made of syllables, so that lists and texts share beginnings as languages do. Two percent of a comment's
words are spelled to hide in each of three ways, which costs more than plain text. Processor time of one search at a time.
"""

import random
import statistics
import time
import tracemalloc
from dataclasses import dataclass

import click

from pollsvc.comments.words.matching import WordMatcher

ENTRIES = (1_000, 10_000, 65_000)
KILOBYTES = (1, 2, 5, 10, 20, 40)
#: The most that the longest list may take on a comment of 10 kB, in milliseconds, in 99 of 100 searches.
GOAL = 10.0
SEARCHES = 100

_ONSETS = [
    "b",
    "c",
    "d",
    "f",
    "g",
    "h",
    "j",
    "k",
    "l",
    "m",
    "n",
    "p",
    "r",
    "s",
    "t",
    "v",
    "w",
    "st",
    "tr",
    "ch",
    "sh",
    "br",
]
_VOWELS = ["a", "e", "i", "o", "u", "ee", "oo", "ai", "ou"]
_ENDS = ["", "n", "r", "s", "t", "l", "ck", "st", "m"]


@dataclass(frozen=True)
class Searched:
    """What searches with one list in texts of one length came to, in milliseconds of processor time."""

    entries: int
    kilobytes: int
    p50: float
    p99: float


def measure() -> tuple[list[Searched], dict[str, str]]:
    """Build each list and search texts of each length with it; return what it took, and facts about the lists."""
    found = []
    facts = {}
    for entries in ENTRIES:
        words = make_list(entries)
        began = time.process_time()
        matcher = WordMatcher(words)
        facts[f"list of {entries:,}, built"] = f"{time.process_time() - began:.2f} s of processor time"
        for kilobytes in KILOBYTES:
            found.append(_search(matcher, entries, kilobytes))
            click.echo(f"words: {entries:,} entries, {kilobytes} kB: p99 {found[-1].p99:.1f} ms", err=True)
    facts["list of 65,000, memory beside the automaton"] = f"{_traced(make_list(65_000)):.0f} MiB"
    return found, facts


def table(found: list[Searched]) -> str:
    """Give what was measured as Markdown: a row for each length of a comment, median and p99 for each list."""
    by_size = {(each.entries, each.kilobytes): each for each in found}
    told = ["| comment | " + " | ".join(f"{entries:,} entries, p50 / p99 ms" for entries in ENTRIES) + " |"]
    told.append("|--:" * (len(ENTRIES) + 1) + "|")
    for kilobytes in KILOBYTES:
        cells = [by_size[entries, kilobytes] for entries in ENTRIES]
        told.append(
            f"| {kilobytes} kB | " + " | ".join(f"{each.p50:.2f} / {each.p99:.2f}" for each in cells) + " |"
        )
    return "### Listed words in a comment\n\n" + "\n".join(told) + "\n"


def missed(found: list[Searched]) -> list[str]:
    """Name what took longer than it may, and a time that grew faster than the comment."""
    longest = {each.kilobytes: each for each in found if each.entries == ENTRIES[-1]}
    told = []
    if longest[10].p99 >= GOAL:
        told.append(f"65,000 listed words on 10 kB: p99 {longest[10].p99:.1f} ms, goal {GOAL:.0f}")
    growth = longest[40].p50 / longest[10].p50
    if growth > 5:
        told.append(f"65,000 listed words: {growth:.1f} times as long for four times the comment")
    return told


def make_list(entries: int) -> list[str]:
    """Make a list of words, one in ten of them a phrase of two."""
    chooser = random.Random(1)
    words: dict[str, None] = {}
    while len(words) < entries:
        word = _word(chooser, chooser.randint(2, 4))
        words[word if chooser.random() < 0.9 else f"{word} {_word(chooser, 2)}"] = None
    return list(words)


def make_comment(chooser: random.Random, size: int) -> str:
    """Make a comment of so many characters; some of its words are hidden, few are listed."""
    words: list[str] = []
    length = 0
    while length < size:
        word = _word(chooser, chooser.choice([1, 1, 2, 3]))
        chance = chooser.random()
        if chance < 0.02:
            word = ".".join(word)
        elif chance < 0.04:
            word = word.replace("a", "@").replace("e", "3")
        elif chance < 0.06:
            word = f"{word.replace('a', 'а')}é!"
        words.append(f"{word}," if chooser.random() < 0.1 else word)
        length += len(words[-1]) + 1
    return " ".join(words)[:size]


def _word(chooser: random.Random, syllables: int) -> str:
    parts = (_ONSETS, _VOWELS, _ENDS)
    return "".join(chooser.choice(part) for _ in range(syllables) for part in parts)


def _search(matcher: WordMatcher, entries: int, kilobytes: int) -> Searched:
    chooser = random.Random(kilobytes)
    took = []
    for _ in range(SEARCHES):
        comment = make_comment(chooser, kilobytes * 1_000)
        began = time.process_time()
        matcher.find(comment)
        took.append((time.process_time() - began) * 1_000)
    took.sort()
    return Searched(entries, kilobytes, statistics.median(took), took[int(len(took) * 0.99) - 1])


def _traced(words: list[str]) -> float:
    tracemalloc.start()
    matcher = WordMatcher(words)
    size = tracemalloc.get_traced_memory()[0] / 2**20
    tracemalloc.stop()
    del matcher
    return size
