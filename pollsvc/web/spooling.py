"""A body that is larger than memory should hold, kept aside until it has been read from its first to its last byte.

What was read must be known as a whole before the first row is stored: its hash stands in what is stored, and whoever
sends it may read our answer only when all is sent.
"""

from __future__ import annotations

import hashlib
import io
import secrets
import tempfile
from typing import Protocol

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from flask import request
from werkzeug.exceptions import ClientDisconnected

_CHUNK = 65_536


class Readable(Protocol):
    """What bytes come out of."""

    def read(self, size: int = ..., /) -> bytes: ...


class Spool(io.RawIOBase):
    """Bytes in a file that has no name and is enciphered with a key that only this object knows: addresses lie on the
    disk as they do in the database.
    """

    def __init__(self, source: Readable) -> None:
        super().__init__()
        cipher = Cipher(AES(secrets.token_bytes(32)), CTR(secrets.token_bytes(16)))
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the spool)
        self._reading = cipher.decryptor()
        self.size, digest, writing = 0, hashlib.sha256(), cipher.encryptor()
        try:
            while chunk := source.read(_CHUNK):
                self.size += len(chunk)
                digest.update(chunk)
                self._file.write(writing.update(chunk))
        except BaseException:
            self.close()
            raise
        self._file.seek(0)
        self.sha256 = digest.digest()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        chunk = self._reading.update(self._file.read(len(buffer)))
        buffer[: len(chunk)] = chunk
        return len(chunk)

    def close(self) -> None:
        self._file.close()
        super().close()


def spool_body() -> Spool:
    """The body of the current request, whole.

    :raises ClientDisconnected: if its sender hung up before the end. Werkzeug only notices where the server leaves the
        counting of bytes to it; ours gives what came as if that were all.
    """
    spool = Spool(request.stream)
    if spool.size != request.content_length:
        spool.close()
        raise ClientDisconnected
    return spool
