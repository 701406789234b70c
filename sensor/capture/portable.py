"""Network interfaces through libpcap: where the kernel has no ring of ours, or by wish.

Every packet is copied twice and passes through Python, so this is some ten times slower than
`sensor.capture.live`; times are in microseconds. libpcap cannot take up an interface that was made
anew, and keeps nothing over a restart.
"""

import select
from contextlib import suppress
from time import monotonic

import pcapy

from sensor._native.copied import Copied
from sensor.capture.live import AGAIN_S, ANY, MEND, Wanted, is_up, number_of
from sensor.errors import InputMissing, NoPermission, SensorError, UsageError, one_line

SNAPLEN = 262144
BATCH = 512
TIMEOUT_MS = 100  # libpcap hands over what it has by then
FAILURES = 3  # in a row, of an interface that is up


class Handle(Copied):
    """What the daemon asks of a ring, over a libpcap handle."""

    freezes = skipped = finished = skip_before = 0  # only a ring has these

    def __init__(self, reader: "pcapy.Reader") -> None:
        self.reader = reader
        self.link: int = reader.datalink()
        self.received = self.dropped = 0
        self.failures = 0  # in a row
        self.failure = ""

    def next_batch(self) -> int:
        """What there is, at most 512; nothing, and a failure, of an interface that went away."""
        found: list[tuple[int, int, bytes]] = []

        def take(header: "pcapy.Pkthdr", data: bytes) -> None:
            seconds, us = header.getts()
            found.append((seconds * 10**9 + us * 1000, header.getlen(), data))

        try:
            self.reader.dispatch(BATCH, take)
            self.failures = 0
        except pcapy.PcapError as error:
            self.failures += 1
            self.failure = one_line(str(error))
        return self.fill(found, self.link)

    def statistics(self) -> tuple[int, int, int]:
        """(received, dropped, 0) since the beginning, as libpcap counts them."""
        with suppress(pcapy.PcapError):  # the interface is away: as before
            self.received, dropped, interface_dropped = self.reader.stats()
            self.dropped = dropped + interface_dropped
        return self.received, self.dropped, 0

    def release(self, finished: int) -> None:
        """Nothing is kept."""

    def wait(self, timeout_ms: int) -> bool:
        """Until there may be packets, or the time is over."""
        return bool(select.select([self.reader.getfd()], [], [], timeout_ms / 1000)[0])


class PortableInterface:
    """One interface, or all of them (`any`); see `sensor.capture.live.Interface`."""

    is_inherited = False
    share = 0

    def __init__(
        self,
        name: str,
        wanted: Wanted | None = None,
        *,
        promiscuous: bool = False,
        ring_mib: int = 64,
    ) -> None:
        """InputMissing: there is no such interface. NoPermission. UsageError: the filter is none,
        or is by VLAN, which only a ring can tell."""
        self.name = name
        self.ring_mib = ring_mib
        self.down_since: float | None = None
        self.gaps = 0
        self.gap_s = 0.0
        self._look_at = 0.0
        self._index = number_of(name, "ifindex")
        if name != ANY and self._index is None:
            raise InputMissing(name, "no such interface")
        reader = pcapy.create(name)
        reader.set_snaplen(SNAPLEN)
        reader.set_promisc(int(promiscuous and name != ANY))
        reader.set_timeout(TIMEOUT_MS)
        reader.set_buffer_size(ring_mib << 20)
        try:
            reader.activate()
            reader.setnonblock(1)
        except pcapy.PcapError as error:
            if "permi" in str(error).lower():
                raise NoPermission(MEND) from error
            raise SensorError(one_line(f"{name}: {error}")) from error
        self.ring = Handle(reader)
        self.choose(wanted or Wanted())

    def choose(self, wanted: Wanted) -> None:
        """From now on these packets; UsageError as above, and the old ones stay."""
        if wanted.vlan or wanted.other_vlans:
            raise UsageError("agents by VLAN need capture.method = ring")
        try:
            self.ring.reader.setfilter(wanted.bpf)
        except pcapy.PcapError as error:
            raise UsageError(one_line(f"filter {wanted.bpf!r}: {error}")) from error

    def wait(self, timeout_ms: int) -> bool:
        """Whether there may be packets; comes back at once while the interface is down.

        SensorError: it was made anew, or fails for another reason.
        """
        if self.down_since is None and is_up(self.name):
            if self.ring.failures >= FAILURES:
                raise SensorError(f"{self.name}: {self.ring.failure}")
            return self.ring.wait(timeout_ms)
        if self.down_since is None:
            self.down_since = monotonic()
            self.gaps += 1
        if monotonic() >= self._look_at:
            self._look_at = monotonic() + AGAIN_S
            index = number_of(self.name, "ifindex")
            if index is not None and index != self._index:
                raise SensorError(f"{self.name} was made anew: libpcap needs a restart for it")
            if is_up(self.name):
                self.gap_s += monotonic() - self.down_since
                self.down_since = None
        return False

    def fileno(self) -> int:
        descriptor: int = self.ring.reader.getfd()
        return descriptor

    def close(self) -> None:
        self.ring.reader.close()
