"""Network interfaces as packet sources: the kernel's ring, opened with one privilege, and kept.

Only opening the socket needs CAP_NET_RAW. An interface that goes down, or away and comes back, is
taken up again by the same socket and ring, so that no privilege is needed for it; and a socket that
somebody kept for us over a restart (systemd) still has its ring, and what came in meanwhile.
"""

import socket
import struct
from contextlib import suppress
from ctypes import addressof, create_string_buffer
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from sensor._native.ring import Ring
from sensor.capture.bpf import Program, by_vlan, compiled, link_type
from sensor.errors import InputMissing, NoPermission, SensorError, one_line

ANY = "any"
AGAIN_S = 0.5  # between two looks for an interface that went away
BLOCK = 1 << 17  # octets
ETH_P_ALL = 3
# <linux/if_packet.h>, <linux/filter.h>
SOL_PACKET, PACKET_ADD_MEMBERSHIP, PACKET_MR_PROMISC = 263, 1, 1
SO_ATTACH_FILTER, SO_DETACH_FILTER = 26, 27

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
    ) -> None:
        """`hold`: packets stay in the ring until `release()`. `inherited`: has such a ring already.

        InputMissing: there is no such interface. NoPermission: CAP_NET_RAW is missing. UsageError:
        the filter is not one.
        """
        self.name = name
        self.down_since: float | None = None  # monotonic
        self.gaps = 0  # times that it was down
        self.gap_s = 0.0  # how long, in all
        self.ring_mib = ring_mib
        self.is_inherited = inherited is not None
        self._look_at = 0.0
        self._promiscuous = promiscuous and name != ANY
        index = self._index()
        if index is None and inherited is None:
            raise InputMissing(name, "no such interface")
        self._bound = index or 0
        if inherited is not None and name != ANY and inherited.getsockname()[0] != name:
            self._bound, self.down_since = 0, monotonic()  # made anew while nobody looked
            self.gaps = 1
        try:
            self._socket = inherited or socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        except PermissionError as error:
            raise NoPermission(MEND) from error
        try:
            self.choose(wanted or Wanted())
            self.ring = Ring(
                self._socket.fileno(),
                block_size=BLOCK,
                blocks=ring_mib * (1 << 20) // BLOCK,
                inherited=self.is_inherited,
                hold=hold,
            )
            if inherited is None:
                self._socket.bind((name if name != ANY else "", ETH_P_ALL))
                self._be_promiscuous()
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
            code = create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in program))
            wish = struct.pack("HL", len(program), addressof(code))
            self._socket.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, wish)
        elif hasattr(self, "ring") or self.is_inherited:
            with suppress(FileNotFoundError):  # there was none
                self._socket.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)

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
            self._take_up(self.down_since)
        return found

    def _take_up(self, since: float) -> None:
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
