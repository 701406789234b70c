"""`sensor interfaces`: what could be captured on. Needs no privileges."""

import json
import socket
import struct
from dataclasses import asdict, dataclass, field
from fcntl import ioctl
from pathlib import Path
from typing import Any

import click
import pcapy

from sensor.errors import SensorError
from sensor.model.text import printable

SYSFS = Path("/sys/class/net")
UNSPECIFIED_SPEED = 0  # and below: the driver does not know (SPEED_UNKNOWN is -1)

# linux/sockios.h, net/if.h: the first IPv4 address of an interface, without a netlink socket.
SIOCGIFADDR = 0x8915
PROC_IF_INET6 = Path("/proc/net/if_inet6")


@dataclass(slots=True)
class Interface:
    """One device; None is unknown or does not apply."""

    name: str
    kind: str  # physical, virtual, loopback; pseudo: no network device, but libpcap can open it
    state: str | None = None  # operstate of the kernel: up, down, unknown, ...
    mac: str | None = None
    mtu: int | None = None
    speed_mbps: int | None = None  # of physical devices only: what veth says is a fiction
    addresses: list[str] = field(default_factory=list)


def interfaces() -> list[Interface]:
    """Every device that libpcap or the kernel names: network devices by name, then the others."""
    try:
        opened: list[str] = pcapy.findalldevs()
    except pcapy.PcapError as error:
        raise SensorError(f"cannot list interfaces: {error}") from error
    kernel = [path.name for path in SYSFS.iterdir()] if SYSFS.is_dir() else []
    found = [describe(name) for name in {*opened, *kernel}]
    return sorted(found, key=lambda i: (i.kind == "pseudo", i.name))


def describe(name: str) -> Interface:
    folder = SYSFS / name
    if not folder.is_dir():
        return Interface(name, "pseudo" if SYSFS.is_dir() else "device")
    # ARPHRD_LOOPBACK; a physical device hangs below a bus
    loopback, physical = read(folder, "type") == "772", (folder / "device").exists()
    speed = number(read(folder, "speed"))
    return Interface(
        name,
        "loopback" if loopback else "physical" if physical else "virtual",
        state=read(folder, "operstate"),
        mac=read(folder, "address"),
        mtu=number(read(folder, "mtu")),
        speed_mbps=speed if physical and speed and speed > UNSPECIFIED_SPEED else None,
        addresses=[*ipv4(name), *ipv6(name)],
    )


def read(folder: Path, name: str) -> str | None:
    """A sysfs value; None where the driver refuses (the speed of a link that is down)."""
    try:
        return (folder / name).read_text().strip() or None
    except OSError:
        return None


def number(text: str | None) -> int | None:
    try:
        return None if text is None else int(text)
    except ValueError:
        return None


def ipv4(name: str) -> list[str]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        try:
            answer = ioctl(s, SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
        except OSError:
            return []
    return [socket.inet_ntoa(answer[20:24])]


def ipv6(name: str) -> list[str]:
    try:
        lines = PROC_IF_INET6.read_text().splitlines()
    except OSError:
        return []
    rows = [line.split() for line in lines]
    return [
        socket.inet_ntop(socket.AF_INET6, bytes.fromhex(row[0]))
        for row in rows
        if len(row) == 6 and row[5] == name
    ]


def line(i: Interface) -> str:
    """One line of at most 80 columns; addresses that do not fit go below."""
    speed = "" if i.speed_mbps is None else f"{i.speed_mbps} Mbit/s"
    mtu = "" if i.mtu is None else f"mtu {i.mtu}"
    parts = f"{printable(i.name):<18} {i.kind:<9} {i.state or '':<8} {mtu:<10} {speed}"
    indent = " " * 19
    return "\n".join([parts.rstrip(), *(indent + address for address in i.addresses)])


@click.command(
    name="interfaces",
    short_help="List the network interfaces of this host.",
    epilog="\b\nExample:\n  sensor interfaces --json",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def command(as_json: bool) -> None:
    """List the network interfaces of this host, with addresses, speed and state.

    Needs no privileges. `pseudo` devices are no network interfaces, but can be captured on.
    """
    found = interfaces()
    if as_json:
        document: dict[str, Any] = {"schema": 1, "interfaces": [asdict(i) for i in found]}
        click.echo(json.dumps(document, indent=2))
    else:
        for i in found:
            click.echo(line(i))
