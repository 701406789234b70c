"""Network interfaces as packet sources: the kernel's ring, opened with one privilege, and kept.

Only opening the socket needs CAP_NET_RAW. An interface that goes down, or away and comes back, is
taken up again by the same socket and ring, so that no privilege is needed for it; and a socket that
somebody kept for us over a restart (systemd) still has its ring, and what came in meanwhile.

Several threads share an interface (PACKET_FANOUT): each has a socket and a ring of its own, and the
kernel gives all packets of a connection to the same one.
"""

import os
import re
import socket
import struct
from contextlib import suppress
from ctypes import addressof, create_string_buffer
from dataclasses import dataclass
from pathlib import Path
from secrets import randbits
from time import monotonic

from sensor._native.ring import Ring
from sensor.capture.bpf import Program, by_connection, by_vlan, compiled, link_type
from sensor.errors import InputMissing, NoPermission, SensorError, one_line

ANY = "any"
AGAIN_S = 0.5  # between two looks for an interface that went away
BLOCK = 1 << 17  # octets
ETH_P_ALL = 3
# <linux/if_packet.h>, <linux/filter.h>
SOL_PACKET, PACKET_ADD_MEMBERSHIP, PACKET_MR_PROMISC = 263, 1, 1
SO_ATTACH_FILTER, SO_DETACH_FILTER = 26, 27
PACKET_FANOUT, PACKET_FANOUT_DATA = 18, 22
FANOUT_CBPF, FANOUT_UNIQUE_ID = 6, 0x2000
NOTHING: Program = [(0x06, 0, 0, 0)]  # a filter that no packet passes

MEND = (
    "no permission to capture: run as root, or give the interpreter the one capability:"
    " setcap cap_net_raw+ep $(readlink -f $(command -v python3))"
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which packets of an interface."""

    bpf: str = ""  # pcap-filter(7); empty: all
    vlan: int = 0  # 0: any
    other_vlans: tuple[int, ...] = ()  # none of these

    def program(self, link: int) -> Program:
        """UsageError: the filter is not one."""
        rest = compiled(self.bpf, link) if self.bpf else []
        return by_vlan(rest, self.vlan, self.other_vlans)


class Interface:
    """One interface, or all of them (`any`), as a source; a context that closes it."""

    def __init__(
        self,
        name: str,
        wanted: Wanted | None = None,
        *,
        promiscuous: bool = False,
        ring_mib: int = 64,
        hold: bool = False,
        inherited: socket.socket | None = None,
        share: int = 0,
        first: "Interface | None" = None,
        shares: int = 1,
    ) -> None:
        """`hold`: packets stay in the ring until `release()`. `inherited`: has such a ring already.
        `share` of `shares`: its part of the packets; `first` is the one of share 0.

        InputMissing: there is no such interface. NoPermission: CAP_NET_RAW is missing. UsageError:
        the filter is not one.
        """
        self.name = name
        self.down_since: float | None = None  # monotonic
        self.gaps = 0  # times that it was down
        self.gap_s = 0.0  # how long, in all
        self.ring_mib = ring_mib
        self.is_inherited = inherited is not None
        self.share = share
        self._shares = shares
        self._look_at = 0.0
        self._promiscuous = promiscuous and name != ANY
        index = self._index()
        if index is None and inherited is None:
            raise InputMissing(name, "no such interface")
        self._bound = index or 0
        if inherited is not None and not is_of(name, inherited):
            self._bound, self.down_since = 0, monotonic()  # made anew while nobody looked
            self.gaps = 1
        try:
            self._socket = inherited or socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        except PermissionError as error:
            raise NoPermission(MEND) from error
        try:
            if shares > 1 and inherited is None:
                self._attach(NOTHING)  # until every share is there: see begin()
            else:
                self.choose(wanted or Wanted())
            self.ring = Ring(
                self._socket.fileno(),
                block_size=BLOCK,
                blocks=ring_mib * (1 << 20) // BLOCK,
                inherited=self.is_inherited,
                hold=hold,
                gso=tells_gso(),
            )
            if inherited is None:
                self._socket.bind((name if name != ANY else "", ETH_P_ALL))
                self._be_promiscuous()
                if shares > 1:
                    self._join(first)
        except OSError as error:
            self._socket.close()
            raise SensorError(one_line(f"{name}: {error.strerror or error}")) from error
        except BaseException:
            self._socket.close()
            raise

    def choose(self, wanted: Wanted) -> None:
        """From now on these packets; UsageError: the filter is not one, and the old one stays."""
        program = wanted.program(link_type(self.name))
        if program:
            self._attach(program)
        elif hasattr(self, "ring") or self.is_inherited:
            with suppress(FileNotFoundError):  # there was none
                self._socket.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)

    def _attach(self, program: Program) -> None:
        self._set_program(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)

    def _set_program(self, level: int, name: int, program: Program) -> None:
        code = create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in program))
        self._socket.setsockopt(level, name, struct.pack("HL", len(program), addressof(code)))

    def _join(self, first: "Interface | None") -> None:
        """The group of `first`, or a new one, whose number the kernel chooses."""
        if first is not None:
            number = first._socket.getsockopt(SOL_PACKET, PACKET_FANOUT) & 0xFFFF
            self._socket.setsockopt(SOL_PACKET, PACKET_FANOUT, number | FANOUT_CBPF << 16)
            return
        self._socket.setsockopt(SOL_PACKET, PACKET_FANOUT, (FANOUT_CBPF | FANOUT_UNIQUE_ID) << 16)
        self._set_program(SOL_PACKET, PACKET_FANOUT_DATA, by_connection(randbits(32)))

    def wait(self, timeout_ms: int) -> bool:
        """Whether there may be packets; comes back at once while the interface is away.

        SensorError: it was made anew, and the kernel lets nobody take it up who shares it.
        """
        try:
            found = self.ring.wait(0 if self.down_since else timeout_ms)
        except OSError:  # ENETDOWN, ENODEV: told once by the kernel
            found = False
            if self.down_since is None:
                self.down_since = monotonic()
                self.gaps += 1
        if self.down_since is not None and monotonic() >= self._look_at:
            self._look_at = monotonic() + AGAIN_S
            self._take_up(self.down_since)
        return found

    def _take_up(self, since: float) -> None:
        index = self._index()
        if index is None or not is_up(self.name):
            return
        if index != self._bound and self._shares > 1:
            raise SensorError(f"{self.name} was made anew: several workers need a restart for it")
        if index != self._bound:
            try:
                self._socket.bind((self.name, ETH_P_ALL))
            except OSError:
                return  # gone again
            self._bound = index
            self._be_promiscuous()
        self.gap_s += monotonic() - since
        self.down_since = None

    def _be_promiscuous(self) -> None:
        if self._promiscuous:
            wish = struct.pack("iHH8s", self._bound, PACKET_MR_PROMISC, 0, b"")
            self._socket.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, wish)

    def _index(self) -> int | None:
        # Not if_nametoindex(): it opens a socket, which the sandbox forbids.
        return 0 if self.name == ANY else number_of(self.name, "ifindex")

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self.ring.close()
        self._socket.close()


def tells_gso() -> bool:
    """Whether the kernel can say of every frame how many packets offload joined in it.

    PACKET_VNET_HDR is older, but before 6.2 a ring that asks for it does not get joined UDP.
    """
    major, minor = re.findall(r"\d+", os.uname().release)[:2]
    return (int(major), int(minor)) >= (6, 2)


def is_of(name: str, descriptor: socket.socket) -> bool:
    """Whether a socket is still bound to the interface of that name."""
    return name == ANY or descriptor.getsockname()[0] == name


def is_up(name: str) -> bool:
    """Whether the kernel passes packets on it."""
    flags = number_of(name, "flags")
    return name == ANY if flags is None else bool(flags & 1)


def number_of(name: str, attribute: str) -> int | None:
    """/sys/class/net/NAME/ATTRIBUTE; None where there is no such interface."""
    try:
        return int((Path("/sys/class/net") / name / attribute).read_text(), 0)
    except (OSError, ValueError):
        return None
