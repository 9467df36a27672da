"""What the documentation tells operators to run, so that tests can run it."""

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

OPERATIONS = Path(__file__).parent.parent / "docs" / "operations.md"


def blocks(heading: str, language: str, page: Path = OPERATIONS) -> list[str]:
    """Give the fenced blocks of a language between a heading and the next one."""
    section = re.search(
        rf"^#+ {re.escape(heading)}\n(.*?)(?=^#{{1,6}} |\Z)", page.read_text(), re.MULTILINE | re.DOTALL
    )
    assert section, f"{page.name} has no section {heading}"
    found = re.findall(rf"^```{language}\n(.*?)^```$", section[1], re.MULTILINE | re.DOTALL)
    assert found, f"{heading} shows no {language}"
    return found


def run(commands: str, directory: Path, environ: Mapping[str, str]) -> str:
    """Run lines of shell as they stand, until one fails; give what they wrote."""
    done = subprocess.run(
        ["/bin/sh", "-eu", "-c", commands],
        cwd=directory,
        env=dict(environ),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, f"{commands}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr
