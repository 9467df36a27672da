"""What importing and exporting so many consents takes of memory: run by :mod:`tests.consent.test_memory`, in a process of its own.

`python -m tests.consent.measured TOKEN TEXT_ID FEW MANY` prints MiB by what was done, as JSON.
"""

import json
import os
import sys
from collections.abc import Callable
from functools import partial
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

from flask.testing import FlaskClient

from pollsvc.app import create_app
from pollsvc.config import Settings
from tests.bench.usage import told

#: Every tenth row is refused, and answered with a line.
EVERY = 10


def main() -> None:
    token, text_id, few, many = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    app = create_app(Settings.from_environ(os.environ, Path.cwd()), None, lambda: None)
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    measured: dict[str, dict[str, float]] = {"import": {}, "export": {}}
    for name, first, last in (("few", 0, few), ("many", few, many)):
        measured["import"][name] = peak_of(partial(take_in, client, text_id, first, last))
        measured["export"][name] = peak_of(partial(give_out, client, last * (EVERY - 1) // EVERY))
    print(json.dumps(measured))


def peak_of(act: Callable[[], None]) -> float:
    """MiB that a process held at once while it did something: a fork, which has nothing left over from what came before."""
    reading, writing = os.pipe()
    if not os.fork():
        act()
        os.write(writing, str(told(os.getpid(), "status", "VmHWM")).encode())
        os._exit(0)
    os.close(writing)
    _, status = os.wait()
    assert status == 0, "see above"
    return float(os.read(reading, 64))


def take_in(client: FlaskClient, text_id: str, first: int, last: int) -> None:
    with TemporaryFile() as file:
        write_rows(file, first, last)
        size = file.tell()
        file.seek(0)
        answer = client.post(
            "/v1/consents/import",
            query_string={"text_id": text_id},
            input_stream=file,
            content_type="text/csv",
            headers={"Content-Length": str(size)},
        )
        assert answer.status_code == 200, answer.text
        ends = b""
        for piece in answer.iter_encoded():
            ends = piece or ends
    totals = json.loads(BytesIO(ends).readlines()[-1])["totals"]
    assert totals["imported"] == (last - first) * (EVERY - 1) // EVERY, totals


def write_rows(file: BinaryIO, first: int, last: int) -> None:
    file.write(b"email,consented_at,source\n")
    for number in range(first, last):
        name = f"reader-{number}@reader.example" if number % EVERY else "nobody"
        file.write(f"{name},2025-03-01T10:00:00Z,the former newsletter\n".encode())


def give_out(client: FlaskClient, rows: int) -> None:
    answer = client.get("/v1/consents/export.jsonl")
    assert answer.status_code == 200, answer.text
    lines = sum(piece.count(b"\n") for piece in answer.iter_encoded())
    assert lines == rows


if __name__ == "__main__":
    main()
