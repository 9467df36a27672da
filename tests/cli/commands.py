"""Ways to run a command."""

import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from click.testing import Result

from tests.live_server import clean_environ, command

#: Run a command in this process; settings by their full names, None for one that is not set.
Run = Callable[..., Result]
NextRelease = Callable[[], AbstractContextManager[None]]


def installed(directory: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run the installed command in a directory, as an operator does."""
    return subprocess.run(
        command(*arguments),
        cwd=directory,
        env=clean_environ(settings),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
