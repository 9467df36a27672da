"""The wheel that users get works away from the tree: nothing it needs stayed behind."""

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SHOW_PLACES = """
import pollsvc
from pathlib import Path
from pollsvc.migrating import migrations_folder
package = Path(pollsvc.__file__).parent
print(package)
print(migrations_folder())
for folder in ("templates", "static"):
    print(package / "embeds" / folder)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built without network: hatchling is a dependency of the tests."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder), directory=ROOT)
    return next(folder.glob("pollsvc-*.whl"))


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a second environment. It has the wheel itself, and our installed packages behind it, minus the tree."""
    folder = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "venv", "--without-pip", str(folder), directory=folder)
    site_packages = next(folder.glob("lib*/python3*/site-packages"))
    # A .pth names a folder without running the .pth files inside it, so the editable install of the tree stays unseen.
    (site_packages / "ours.pth").write_text(
        f"{sysconfig.get_path('purelib')}\n{sysconfig.get_path('platlib')}\n"
    )
    install = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-index")
    run(sys.executable, *install, "--target", str(site_packages), str(wheel), directory=folder)
    return folder / "bin" / "python"


def run(*command: str, directory: Path) -> str:
    """Run a command without our settings and without anything that would put the tree on its path."""
    dropped = ("POLLSVC_", "PYTHON", "COVERAGE_", "COV_CORE_", "VIRTUAL_ENV")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    done = subprocess.run(command, cwd=directory, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


class TestWheel:
    def test_everything_beside_the_code_is_inside(self, wheel: Path) -> None:
        with zipfile.ZipFile(wheel) as archive:
            inside = set(archive.namelist())

        expected = {f"pollsvc/{path.relative_to(ROOT)}" for path in (ROOT / "migrations").rglob("*.py")}
        for folder in ("templates", "static"):
            files = (ROOT / "pollsvc" / "embeds" / folder).rglob("*")
            expected |= {str(path.relative_to(ROOT)) for path in files if path.is_file()}
        assert len(expected) > 3
        assert expected <= inside

    def test_nothing_else_is_inside(self, wheel: Path) -> None:
        with zipfile.ZipFile(wheel) as archive:
            top = {name.split("/")[0].split("-")[0] for name in archive.namelist()}
            junk = [name for name in archive.namelist() if "__pycache__" in name or "/tests/" in name]

        assert top == {"pollsvc"}
        assert not junk

    def test_code_and_files_come_from_the_wheel(self, environment: Path, tmp_path: Path) -> None:
        places = [Path(line) for line in run(str(environment), "-c", SHOW_PLACES, directory=tmp_path).split()]

        assert len(places) == 4
        for place in places:
            assert place.is_dir()
            assert place.is_relative_to(environment.parent.parent)

    @pytest.mark.slow
    def test_upgrade_and_demo_work_from_any_directory(self, environment: Path, tmp_path: Path) -> None:
        start = "import sys; from pollsvc.cli import main; sys.exit(main())"

        run(str(environment), "-c", start, "db", "upgrade", directory=tmp_path)
        run(str(environment), "-c", start, "demo", directory=tmp_path)

        assert (tmp_path / "instance" / "pollsvc.db").stat().st_size > 0
        assert not list(ROOT.glob("**/tests/**/pollsvc.db"))
