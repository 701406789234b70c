"""Real servers for the tests: each in a folder of its own, on the loopback, gone afterwards."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest

STARTS_WITHIN_S = 30


def free_port() -> int:
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return int(made.getsockname()[1])


def postgres_bin() -> Path | None:
    """The newest server that Debian's packages, or PATH, have."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    on_path = shutil.which("postgres")
    if found:
        return found[-1].parent
    return Path(on_path).resolve().parent if on_path else None


class Postgres:
    """A server; `kill()` is kill -9 of all of it, `start()` recovers."""

    def __init__(self, folder: Path) -> None:
        binaries = postgres_bin()
        if binaries is None:
            pytest.skip("no PostgreSQL server: apt-get install postgresql")
        self.bin = binaries
        self.data = folder / "data"
        self.log = folder / "log"
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._user = None
        if os.geteuid() == 0:  # which the server refuses to be
            try:
                self._user = pwd.getpwnam("postgres")
            except KeyError:
                self._user = pwd.getpwnam("nobody")
            os.chown(folder, self._user.pw_uid, self._user.pw_gid)
        self._run("initdb", "-D", str(self.data), "-A", "trust", "-U", "sensor", "-N",
                  "-E", "UTF8", "--locale=C")  # fmt: skip

    def _as(self) -> dict[str, object]:
        if self._user is None:
            return {}
        return {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}

    def _run(self, name: str, *args: str) -> None:
        subprocess.run(
            [self.bin / name, *args], check=True, capture_output=True, cwd="/", **self._as()
        )

    def url(self, database: str) -> str:
        return f"postgresql://sensor@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        with open(self.log, "ab") as log:
            self._process = subprocess.Popen(
                [self.bin / "postgres", "-D", self.data, "-p", str(self.port), "-h", "127.0.0.1",
                 "-k", "", "-c", "fsync=off", "-c", "max_connections=200"],
                cwd="/", stdout=log, stderr=log, **self._as(),
            )  # fmt: skip
        deadline = time.monotonic() + STARTS_WITHIN_S
        while True:
            try:
                psycopg.connect(self.url("postgres")).close()
                return
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def kill(self) -> None:
        """As a power cut would: nobody says goodbye."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        # Its children notice that the parent is gone and end; shared memory is free only then.
        self._process = None

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)  # does not wait for clients
            self._process.wait()

    def database(self, name: str) -> str:
        """An empty one; its URL."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as db:
            db.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
            db.execute(f'CREATE DATABASE "{name}"')
        return self.url(name)


@contextmanager
def postgres() -> Iterator[Postgres]:
    """In a folder that its user can enter: pytest's are root's alone."""
    with TemporaryDirectory(prefix="sensor-postgres-") as folder:
        server = Postgres(Path(folder))
        try:
            server.start()
            yield server
        finally:
            server.stop()
