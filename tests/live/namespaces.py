"""Two network namespaces and a link between them: a host, and its gateway to the world.

The host is 10.9.0.2 and 2001:db8:9::2; its gateway has addresses of strangers on it, so that
packets of strangers really arrive.
"""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from os import getpid
from pathlib import Path
from time import monotonic

ROOT = Path(__file__).parents[2]
HOST4, GATEWAY4 = "10.9.0.2", "10.9.0.1"
HOST6, GATEWAY6 = "2001:db8:9::2", "2001:db8:9::1"
STRANGERS = ("198.51.100.7", "198.51.100.8", "2001:db8:51::7", "2001:db8:51::8")
PORT = 8080
CONNECT = """
import socket, sys
source, destination, port, timeout = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
try:
    with socket.create_connection((destination, port), timeout, (source, 0)) as s:
        sys.exit(0 if s.recv(2) == b"hi" else 1)
except OSError:
    sys.exit(1)
"""
SERVE = """
import socket, sys
with socket.create_server(("::", int(sys.argv[1])), family=socket.AF_INET6,
                          dualstack_ipv6=True) as server:
    print("ready", flush=True)
    while True:
        client, _ = server.accept()
        with client:
            client.sendall(b"hi")
"""


def run(*words: str, text: str | None = None) -> str:
    """Its output; what it says on standard error is in the exception when it fails."""
    done = subprocess.run(words, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.returncode}: {done.stderr}{done.stdout}")
    return done.stdout


@dataclass(frozen=True)
class Net:
    """Names of the namespaces."""

    host: str
    world: str

    def on_host(self, *words: str) -> list[str]:
        return ["ip", "netns", "exec", self.host, *words]

    def reaches(self, source: str, wait_s: float = 0.5) -> bool:
        """Whether a stranger gets a TCP connection to the host's server, and octets back."""
        words = [sys.executable, "-c", CONNECT, source, HOST6 if ":" in source else HOST4]
        command = ["ip", "netns", "exec", self.world, *words, str(PORT), str(wait_s)]
        return subprocess.run(command, check=False).returncode == 0


@contextmanager
def two_namespaces() -> Iterator[Net]:
    net = Net(f"sensor-h{getpid()}", f"sensor-w{getpid()}")
    try:
        for name in (net.host, net.world):
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        run("ip", "-n", net.host, "link", "add", "eth0", "type", "veth", "peer", "eth0", "netns",
            net.world)  # fmt: skip
        for name, address4, address6 in (
            (net.host, HOST4, HOST6),
            (net.world, GATEWAY4, GATEWAY6),
        ):
            run("ip", "-n", name, "addr", "add", f"{address4}/24", "dev", "eth0", "broadcast", "+")
            run("ip", "-n", name, "addr", "add", f"{address6}/64", "dev", "eth0", "nodad")
            run("ip", "-n", name, "link", "set", "eth0", "up")
        for gateway in (GATEWAY4, GATEWAY6):
            run("ip", "-n", net.host, "route", "add", "default", "via", gateway)
        for address in STRANGERS:
            run("ip", "-n", net.world, "addr", "add", address, "dev", "lo")
        yield net
    finally:
        for name in (net.host, net.world):
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


@contextmanager
def server(net: Net) -> Iterator[None]:
    """Answers every TCP connection on PORT of the host."""
    command: Sequence[str] = net.on_host(sys.executable, "-c", SERVE, str(PORT))
    with subprocess.Popen(command, stdout=subprocess.PIPE) as serving:
        try:
            assert serving.stdout is not None
            assert serving.stdout.readline() == b"ready\n"
            deadline = monotonic() + 10  # the link's own addresses are being made sure of
            while not all(net.reaches(source) for source in STRANGERS):
                assert monotonic() < deadline
            yield
        finally:
            serving.kill()
