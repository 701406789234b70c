"""Default gateways against the kernel's own tables, as files and live."""

import subprocess
from pathlib import Path

from sensor.capture.routes import default_gateways
from sensor.metrics.topology import Topology
from sensor.model.address import address_text

FOUR = """\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010AA8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0
eth0\t000AA8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0
wlan0\t00000000\t0100000A\t0003\t0\t0\t600\t00000000\t0\t0\t0
eth0\t00000000\t00000000\t0001\t0\t0\t0\t00000080\t0\t0\t0
"""
SIX = (
    f"{'0' * 32} 00 {'0' * 32} 00 fe800000000000000000000000000001 00000400 00000001 00000000"
    f" 00000003     eth0\n{'0' * 32} 00 {'0' * 32} 00 {'0' * 32} ffffffff 00000001 00000000"
    " 00200200       lo\n"
)


def test_tables_of_the_kernel(tmp_path: Path) -> None:
    (tmp_path / "4").write_text(FOUR)
    (tmp_path / "6").write_text(SIX)
    found = default_gateways({"eth0"}, tmp_path / "4", tmp_path / "6")
    assert list(map(address_text, found)) == ["192.168.10.1", "fe80::1"]
    assert default_gateways({"eth1"}, tmp_path / "4", tmp_path / "6") == []
    assert default_gateways({"eth0"}, tmp_path / "none", tmp_path / "none") == []


def test_this_host_agrees_with_ip_route() -> None:
    """Whatever this host has."""
    try:
        told = subprocess.run(
            ["ip", "-4", "route", "show", "default"], capture_output=True, text=True, check=True
        ).stdout.split("\n")
    except (OSError, subprocess.CalledProcessError):
        return
    rows = [line.split() for line in told if " via " in line]
    for row in rows:
        interface, gateway = row[row.index("dev") + 1], row[row.index("via") + 1]
        assert gateway in map(address_text, default_gateways({interface}))


def test_no_node_without_traffic() -> None:
    assert Topology([bytes(10) + b"\xff\xff\x0a\x00\x00\x01"]).take("a") == ([], [])
