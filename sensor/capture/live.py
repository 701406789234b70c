"""Network interfaces as packet sources: the kernel's ring, opened with one privilege, and kept.

Only opening the socket needs CAP_NET_RAW. An interface that goes down, or away and comes back, is
taken up again by the same socket and ring, so that no privilege is needed for it.
"""

import socket
import struct
from collections.abc import Sequence
from ctypes import addressof, create_string_buffer
from pathlib import Path
from time import monotonic

import pcapy

from sensor._native.ring import Ring
from sensor.errors import InputMissing, NoPermission, SensorError, UsageError, one_line

ANY = "any"
AGAIN_S = 0.5  # between two looks for an interface that went away
SNAPLEN = 262144
ETH_P_ALL = 3
# <linux/if_packet.h>, <linux/filter.h>
SOL_PACKET, PACKET_ADD_MEMBERSHIP, PACKET_MR_PROMISC = 263, 1, 1
SO_ATTACH_FILTER = 26
LINK_OF_TYPE = {1: 1, 772: 1, 512: 9}  # ARPHRD_ -> DLT_, as the ring has it; others begin with IP
DLT_RAW = 12

MEND = (
    "no permission to capture: run as root, or give the interpreter the one capability:"
    " setcap cap_net_raw+ep $(readlink -f $(command -v python3))"
)


class Interface:
    """One interface, or all of them (`any`), as a source; a context that closes it."""

    def __init__(
        self, name: str, *, bpf: str | None = None, promiscuous: bool = False, blocks: int = 32
    ) -> None:
        """`blocks`: of 1 MiB, of ring.

        InputMissing: there is no such interface. NoPermission: CAP_NET_RAW is missing. UsageError:
        the filter is not one.
        """
        self.name = name
        self.down_since: float | None = None  # monotonic
        self.gaps = 0  # times that it was down
        self._look_at = 0.0
        index = self._index()
        if index is None:
            raise InputMissing(name, "no such interface")
        try:
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        except PermissionError as error:
            raise NoPermission(MEND) from error
        try:
            if bpf:
                self._attach(compiled(bpf, link_type(name)))
            self.ring = Ring(self._socket.fileno(), blocks=blocks)
            self._bound = index
            self._socket.bind((name if name != ANY else "", ETH_P_ALL))
            self._promiscuous = promiscuous and name != ANY
            self._be_promiscuous()
        except OSError as error:
            self._socket.close()
            raise SensorError(one_line(f"{name}: {error.strerror or error}")) from error
        except BaseException:
            self._socket.close()
            raise

    def wait(self, timeout_ms: int) -> bool:
        """Whether there may be packets; comes back at once while the interface is away."""
        try:
            found = self.ring.wait(0 if self.down_since else timeout_ms)
        except OSError:  # ENETDOWN, ENODEV: told once by the kernel
            found = False
            if self.down_since is None:
                self.down_since = monotonic()
                self.gaps += 1
        if self.down_since is not None and monotonic() >= self._look_at:
            self._look_at = monotonic() + AGAIN_S
            self._take_up()
        return found

    def _take_up(self) -> None:
        index = self._index()
        if index is None or not is_up(self.name):
            return
        if index != self._bound:
            try:
                self._socket.bind((self.name, ETH_P_ALL))
            except OSError:
                return  # gone again
            self._bound = index
            self._be_promiscuous()
        self.down_since = None

    def _be_promiscuous(self) -> None:
        if self._promiscuous:
            wish = struct.pack("iHH8s", self._bound, PACKET_MR_PROMISC, 0, b"")
            self._socket.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, wish)

    def _attach(self, program: Sequence[tuple[int, int, int, int]]) -> None:
        code = create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in program))
        wish = struct.pack("HL", len(program), addressof(code))
        self._socket.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, wish)

    def _index(self) -> int | None:
        if self.name == ANY:
            return 0
        try:
            return socket.if_nametoindex(self.name)
        except OSError:
            return None

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self.ring.close()
        self._socket.close()


def is_up(name: str) -> bool:
    """Whether the kernel passes packets on it."""
    try:
        return bool(int((Path("/sys/class/net") / name / "flags").read_text(), 16) & 1)
    except (OSError, ValueError):
        return name == ANY


def link_type(name: str) -> int:
    """The DLT_ that a filter for the interface is compiled for."""
    try:
        kind = int((Path("/sys/class/net") / name / "type").read_text())
    except (OSError, ValueError):
        return 1
    return LINK_OF_TYPE.get(kind, DLT_RAW)


def compiled(expression: str, link: int) -> list[tuple[int, int, int, int]]:
    """A filter in pcap-filter(7)'s words as BPF; UsageError when it is none."""
    try:
        program: list[tuple[int, int, int, int]] = pcapy.compile(
            link, SNAPLEN, expression, 1, 0xFFFFFFFF
        ).get_bpf()
    except pcapy.PcapError as error:
        raise UsageError(one_line(f"filter {expression!r}: {error}")) from error
    return program
