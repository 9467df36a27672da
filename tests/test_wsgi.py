"""wsgi.py, as another WSGI server loads it."""

import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import ENVIRON

ROOT = Path(__file__).parent.parent


def load(database_url: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "import wsgi; print(wsgi.app.test_client().get('/readyz').status_code)"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **ENVIRON, "POLLSVC_DATABASE_URL": database_url, **environ},
        capture_output=True,
        text=True,
        check=False,
    )


def test_serves_the_database_of_its_settings(database_url: str) -> None:
    assert load(database_url).stdout == "200\n"


def test_refuses_a_database_of_another_hash_key(database_url: str) -> None:
    loaded = load(database_url, POLLSVC_HASH_KEY="another-hash-key-than-the-database-knows")

    assert loaded.returncode == 1
    assert "WrongHashKey" in loaded.stderr
