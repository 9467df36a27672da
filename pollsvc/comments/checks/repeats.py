"""The same text, or nearly the same, sent before by anybody; and the fingerprints that it is found by.

Two texts are as alike as the share of their four-letter pieces that they have in common (Jaccard). What may be alike is
found by MinHash (Broder 1997, "On the resemblance and containment of documents") in four bands of three: of texts that are
alike by 0.9, 99 in 100 have a band in common; of unrelated ones one in thousands. So the database looks for equal numbers,
and only what it finds is read and compared. The pieces go in by a keyed hash: what is stored tells nobody without the key
whether it is of a text that he guesses.
"""

from __future__ import annotations

import hashlib
import re
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from operator import eq

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from pollsvc.comments.checks.check import Opinion, Submission

#: Texts with fewer letters are said by many: "Well said!"
LEAST_LETTERS = 20
#: From here on a text is nearly the same as another.
NEAR = 0.8
_PIECE = 4
#: Bytes of a letter in UTF-32, and of a piece: a block of AES.
_WIDTH = 4
_BLOCK = _PIECE * _WIDTH
_BANDS, _ROWS = 4, 3
#: Of the pieces of a text so many begin with the same byte, unless it says the same over and over.
_FEW = 64
_NO_LETTERS = re.compile(r"[\W_]+")


@dataclass(frozen=True)
class Fingerprint:
    """What a text is found by.

    :param text_hash: 32 bytes: of its letters and digits, whatever their case.
    :param bands: four numbers below 2³¹.
    """

    text_hash: bytes
    bands: tuple[int, ...]

    def may_be_like(self, other: Fingerprint) -> bool:
        """Whether two texts are worth comparing."""
        return self.text_hash == other.text_hash or any(map(eq, self.bands, other.bands))


def fingerprint_of(body: str, key: bytes) -> Fingerprint | None:
    """The fingerprint of a text; None where it is too short to tell anything.

    :param key: 32 bytes, of the installation.
    """
    letters = _letters_of(body)
    if len(letters) < LEAST_LETTERS:
        return None
    least = _least_hashes(letters, key)
    bands = tuple(
        zlib.crc32(struct.pack(f"<{_ROWS}I", *least[at : at + _ROWS])) & 0x7FFF_FFFF
        for at in range(0, _BANDS * _ROWS, _ROWS)
    )
    return Fingerprint(hashlib.blake2b(letters.encode(), digest_size=32, key=key).digest(), bands)


def _least_hashes(letters: str, key: bytes) -> list[int]:
    """The least number of all pieces, by each of as many keyed hashes as the bands have rows.

    The hash of a piece is what AES makes of it: four letters are one block, so that one call hashes all pieces, and one more
    of what came out gives other hashes. Each block is four numbers. Equal pieces are to have equal numbers, which is why there
    is no chain from one block to the next.
    """
    wide = letters.encode("utf-32-le")
    hashes = b"".join(
        wide[_WIDTH * start : _WIDTH * start + (len(wide) - _WIDTH * start) // _BLOCK * _BLOCK]
        for start in range(_PIECE)
    )
    encryptor = Cipher(AES(key), ECB()).encryptor()  # noqa: S305 (a keyed hash of one block, not a secret text)
    least: list[int] = []
    while len(least) < _BANDS * _ROWS:
        hashes = encryptor.update(hashes)
        least += [_least_at(hashes, place) for place in range(0, _BLOCK, _WIDTH)]
    return least


def _least_at(hashes: bytes, place: int) -> int:
    """The least of the numbers at one place of each block. Those whose first byte is higher than its are not even looked at."""
    first = hashes[place::_BLOCK]
    lowest = min(first)
    blocks: Iterable[int] = range(len(first))
    if first.count(lowest) <= _FEW:
        blocks = _places_of(lowest, first)
    starts = (block * _BLOCK + place for block in blocks)
    return int.from_bytes(min(hashes[start : start + _WIDTH] for start in starts))


def _places_of(byte: int, text: bytes) -> Iterator[int]:
    place = text.find(byte)
    while place >= 0:
        yield place
        place = text.find(byte, place + 1)


def likeness(left: str, right: str) -> float:
    """How alike two texts are, from 0 to 1."""
    one, other = _pieces_of(_letters_of(left)), _pieces_of(_letters_of(right))
    return len(one & other) / max(len(one | other), 1)


def _letters_of(body: str) -> str:
    return _NO_LETTERS.sub("", body.casefold())


def _pieces_of(letters: str) -> set[str]:
    return {letters[at : at + _PIECE] for at in range(len(letters) - _PIECE + 1)}


class Repeats:
    """How alike the nearest text of the last days is, where it is nearly the same."""

    name = "repeats"
    version = "2"

    def look(self, submission: Submission) -> Opinion:
        """1 for the same words, down to 0.8 for nearly the same; 0 where there is none."""
        if not submission.likenesses:
            return Opinion(0)
        nearest = max(submission.likenesses, key=lambda each: each.score)
        who = "this writer" if nearest.is_own else "somebody else"
        how = "The same" if nearest.score == 1 else "Nearly the same"
        return Opinion(nearest.score, f"{how} text came from {who} lately.")
