"""A large body is kept aside, and the disk sees nothing of it."""

import io
import tempfile
from pathlib import Path

import pytest

from pollsvc.web.spooling import Spool


class TestSpool:
    def test_the_disk_never_holds_an_address(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        kept = tempfile.TemporaryFile(dir=tmp_path)  # noqa: SIM115 (the spool closes it)
        monkeypatch.setattr(tempfile, "TemporaryFile", lambda: kept)
        body = b"email\r\n" + b"ada@reader.example,,\r\n" * 10_000

        with Spool(io.BytesIO(body)) as spool:
            kept.seek(0)
            on_disk = kept.read()
            kept.seek(0)
            read = io.BufferedReader(spool).read()

        assert read == body
        assert len(on_disk) == len(body)
        assert b"reader" not in on_disk
        assert list(tmp_path.iterdir()) == []
        assert kept.closed

    def test_a_spool_whose_source_breaks_is_closed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        kept = tempfile.TemporaryFile()  # noqa: SIM115 (the spool closes it)
        monkeypatch.setattr(tempfile, "TemporaryFile", lambda: kept)

        class Broken:
            def read(self, size: int = -1, /) -> bytes:
                raise ConnectionError

        with pytest.raises(ConnectionError):
            Spool(Broken())

        assert kept.closed
