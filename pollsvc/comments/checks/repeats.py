"""The same text, or nearly the same, sent before by anybody; and the fingerprints that it is found by.

Two texts are as alike as the share of their four-letter pieces that they have in common (Jaccard). What may be alike is
found by MinHash (Broder 1997, "On the resemblance and containment of documents") in four bands of three: of texts that are
alike by 0.9, 99 in 100 have a band in common; of unrelated ones one in thousands. So the database looks for equal numbers,
and only what it finds is read and compared. The pieces go in by a keyed hash: what is stored tells nobody without the key
whether it is of a text that he guesses.

One hash of each piece does for all twelve rows (Li, Owen and Zhang 2012, "One permutation hashing"): hashes lie on a circle,
and a row is the first one from its place on. Which piece that is depends on no text, so that two texts have it in common as
often as they are alike.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from bisect import bisect_left
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
#: Where each row begins on the circle of hashes.
_PLACES = [row * 2**32 // (_BANDS * _ROWS) for row in range(_BANDS * _ROWS)]


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
    hashes = _hashes_of(letters, key)
    rows = [hashes[bisect_left(hashes, place) % len(hashes)] for place in _PLACES]
    # A band's rows lie far from each other: of a short text neighbours are the same.
    bands = tuple(
        zlib.crc32(struct.pack(f"<{_ROWS}I", *rows[band::_BANDS])) & 0x7FFF_FFFF for band in range(_BANDS)
    )
    return Fingerprint(hashlib.blake2b(letters.encode(), digest_size=32, key=key).digest(), bands)


def _hashes_of(letters: str, key: bytes) -> list[int]:
    """A keyed hash of each piece, in order.

    It is a quarter of what AES makes of it: four letters are one block, so that one call hashes all pieces. Equal pieces are to
    have equal hashes, which is why there is no chain from one block to the next.
    """
    wide = letters.encode("utf-32-le")
    pieces = b"".join(
        wide[_WIDTH * start : _WIDTH * start + (len(wide) - _WIDTH * start) // _BLOCK * _BLOCK]
        for start in range(_PIECE)
    )
    encryptor = Cipher(AES(key), ECB()).encryptor()  # noqa: S305 (a keyed hash of one block, not a secret text)
    return sorted(memoryview(encryptor.update(pieces)).cast("I")[:: _BLOCK // _WIDTH])


def likeness(left: str, right: str) -> float:
    """How alike two texts are, from 0 to 1."""
    one, other = _pieces_of(_letters_of(left)), _pieces_of(_letters_of(right))
    return len(one & other) / max(len(one | other), 1)


def _letters_of(body: str) -> str:
    return "".join(filter(str.isalnum, body.casefold()))


def _pieces_of(letters: str) -> set[str]:
    return {letters[at : at + _PIECE] for at in range(len(letters) - _PIECE + 1)}


class Repeats:
    """How alike the nearest text of the last days is, where it is nearly the same."""

    name = "repeats"
    version = "3"

    def look(self, submission: Submission) -> Opinion:
        """1 for the same words, down to 0.8 for nearly the same; 0 where there is none."""
        if not submission.likenesses:
            return Opinion(0)
        nearest = max(submission.likenesses, key=lambda each: each.score)
        who = "this writer" if nearest.is_own else "somebody else"
        how = "The same" if nearest.score == 1 else "Nearly the same"
        return Opinion(nearest.score, f"{how} text came from {who} lately.")
