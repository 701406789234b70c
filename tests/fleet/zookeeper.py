"""ZooKeeper, by which replicas of ClickHouse agree: Debian's, standalone, on the loopback."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.fleet.servers import STARTS_WITHIN_S, free_port

JARS = Path("/usr/share/java")
CONFIGURATION = """\
tickTime=500
dataDir={folder}/data
clientPort={port}
clientPortAddress=127.0.0.1
admin.enableServer=false
4lw.commands.whitelist=ruok
"""


@contextmanager
def zookeeper() -> Iterator[int]:
    """Its port."""
    if not (JARS / "zookeeper.jar").exists() or shutil.which("java") is None:
        pytest.skip("no ZooKeeper: apt-get install zookeeper")
    with TemporaryDirectory(prefix="sensor-zookeeper-") as folder:
        port = free_port()
        configuration = Path(folder) / "zoo.cfg"
        configuration.write_text(CONFIGURATION.format(folder=folder, port=port))
        command = [
            "java", "-Xmx256m", "-cp", f"{JARS}/zookeeper.jar:{JARS}/slf4j-api.jar",
            "org.apache.zookeeper.server.quorum.QuorumPeerMain", configuration,
        ]  # fmt: skip
        with open(Path(folder) / "log", "wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
        try:
            wait(port, process)
            yield port
        finally:
            process.kill()
            process.wait()


def wait(port: int, process: "subprocess.Popen[bytes]") -> None:
    """Until it says that it is well."""
    deadline = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as asked:
                asked.sendall(b"ruok")
                if asked.recv(16) == b"imok":
                    return
        except OSError:
            pass
        time.sleep(0.05)
    raise AssertionError("ZooKeeper did not start")
