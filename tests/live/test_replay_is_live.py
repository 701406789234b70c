"""The same packets, taken from an interface and replayed from tcpdump's file, give the same rows.

Each socket stamps a packet itself, so times differ by microseconds; all that is counted must not.
"""

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.live.namespaces import GATEWAY4, HOST4, HOST6, STRANGERS, server, two_namespaces
from tests.live.test_run import daemon, send, until

pytestmark = [
    pytest.mark.net,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: network namespaces"),
]
FILTER = "tcp port 8080 or udp port 9 or icmp"
# Whose rows they are and when they were written; a file does not know what a daemon can miss.
DECLARED = {
    "id", "agent_id", "boot_id", "seq", "network_id", "region", "created_at", "dropped",
    "ring_freezes", "interface_gaps", "gap_ms", "windows_lost", "batches_lost", "clock_step_ms",
}  # fmt: skip
TABLES = (
    "connections", "network_performance_metrics", "bandwidth_seconds", "protocol_mix",
    "latency_histograms", "capture_health", "network_security_events",
)  # fmt: skip


def is_declared(name: str) -> bool:
    return name in DECLARED or name.endswith(("_us", "_hist", "_at")) or name == "histogram"


def rows(db: Path, table: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(db)) as opened:
        names = [name for _, name, *_ in opened.execute(f"PRAGMA table_info({table})")]
        kept = ", ".join(name for name in names if not is_declared(name))
        return sorted(opened.execute(f"SELECT {kept} FROM {table}"), key=repr)  # noqa: S608


@pytest.mark.parametrize("workers", [1, 3])
def test_replay_is_live(tmp_path: Path, workers: int) -> None:
    file = tmp_path / "live.pcap"
    local = ("--local", HOST4, "--local", HOST6)
    with two_namespaces() as net:
        dump = ["tcpdump", "-i", "eth0", "--nano", "--immediate-mode", "-U", "-B", "65536", "-Z",
                "root", "-Q", "inout", "-w", str(file), FILTER]  # fmt: skip
        with (
            server(net),
            subprocess.Popen(net.on_host(*dump), stderr=subprocess.PIPE, text=True) as other,
        ):
            assert other.stderr is not None
            until(lambda: "listening on" in str(other.stderr and other.stderr.readline()))
            with daemon(
                net, tmp_path / "live.db", "--window", "2", "--filter", FILTER, *local,
                "--workers", str(workers),
            ) as live:  # fmt: skip
                for source in (GATEWAY4, *STRANGERS) * 4:
                    assert net.reaches(source)
                send(net, 500)
                subprocess.run(net.on_host("ping", "-q", "-c", "10", "-i", "0.3", GATEWAY4),
                               check=True, stdout=subprocess.DEVNULL)  # fmt: skip
                live.stop()
            other.send_signal(signal.SIGINT)
            other.wait(10)
    replay = [sys.executable, "-m", "sensor", "replay", str(file), "--json", "--window", "2"]
    subprocess.run(
        [*replay, "--db", str(tmp_path / "replay.db"), *local], check=True, capture_output=True
    )
    for table in TABLES:
        found = rows(tmp_path / "live.db", table)
        assert found == rows(tmp_path / "replay.db", table), table
        assert found or table == "network_security_events"
