"""TCP conversations as real stacks hold them: options, clocks, MSS, delayed ACKs, round trips.

The capture point is at one end (`near`): that end's answers come at once, the other's after a round
trip.
"""

import struct

from tests.traffic import frames
from tests.traffic.frames import ACK, FIN, PSH, RST, SYN
from tests.traffic.net import MS, US, Frame, Host, Net, Stack

UP, DOWN = 0, 1  # the client's, the server's segments
NEAR_NS = 60 * US  # until the host in front of the sensor answers
GAP_NS = 12 * US  # between segments of one burst: 1 Gbit/s
OPTIONS = {"M": b"\x02\x04", "S": b"\x04\x02", "N": b"\x01", "W": b"\x03\x03", "T": b"\x08\x0a"}


class Talk:
    """One connection; `out` are its frames so far, `now` is when the next one is due."""

    def __init__(
        self,
        net: Net,
        at_ns: int,
        client: Host,
        server: Host,
        dport: int,
        *,
        sport: int | None = None,
        rtt_ms: float | None = None,
        near: int = DOWN,
        loss: float = 0,  # share of the segments with data, and of the SYNs, sent twice
    ) -> None:
        rng = net.rng
        self.net = net
        self.now = at_ns
        self.loss = loss
        self.out: list[Frame] = []
        self.ends = (client, server)
        self.ports = (net.port() if sport is None else sport, dport)
        self.seq = [rng.getrandbits(32), rng.getrandbits(32)]
        far_ns = int((rng.uniform(8, 80) if rtt_ms is None else rtt_ms) * MS)
        self.turn_ns = (NEAR_NS, far_ns) if near == UP else (far_ns, NEAR_NS)
        self._last: int | None = None
        self._stamps = all("T" in end.stack.layout for end in self.ends)
        self._echo = [0, 0]

    def say(
        self,
        side: int,
        flags: int,
        payload: bytes = b"",
        *,
        seq: int | None = None,
        window: int | None = None,
    ) -> None:
        """One segment of `side`, after a round trip if the other one spoke last.

        With `seq` it is a repetition: numbers do not move on.
        """
        if self._last is not None:
            self.now += GAP_NS if side == self._last else self.turn_ns[side]
        self._last = side
        me, peer = self.ends[side], self.ends[1 - side]
        stack = me.stack
        options = b""
        if self._stamps and not flags & RST:
            stamp = (me.clock + self.now // MS) & 0xFFFFFFFF
            timestamps = struct.pack(">II", stamp, self._echo[1 - side] if flags & ACK else 0)
            self._echo[side] = stamp
            options = b"\x01\x01\x08\x0a" + timestamps
            if flags & SYN:
                options = self._syn_options(stack, timestamps)
        elif flags & SYN:
            options = self._syn_options(stack, b"")
        if window is None:
            window = 0 if flags & RST else stack.window if flags & SYN else 502
        frame = frames.tcp(
            me.address,
            peer.address,
            self.ports[side],
            self.ports[1 - side],
            self.seq[side] if seq is None else seq,
            self.seq[1 - side] if flags & ACK else 0,
            flags,
            payload,
            window=window,
            options=options,
            ttl=stack.ttl - me.hops,
        )
        self.out.append((self.now, frame))
        if seq is None:
            self.seq[side] += len(payload) + bool(flags & (SYN | FIN))

    @staticmethod
    def _syn_options(stack: Stack, timestamps: bytes) -> bytes:
        values = {"M": struct.pack(">H", stack.mss), "W": bytes((stack.scale,)), "T": timestamps}
        kinds = stack.layout if timestamps else stack.layout.replace("T", "")
        return b"".join(OPTIONS[kind] + values.get(kind, b"") for kind in kinds)

    def wait(self, ms: float) -> "Talk":
        self.now += int(ms * MS)
        return self

    def open(self, *, dropped: bool = False) -> "Talk":
        """The handshake; with `dropped` the first SYN found a full queue."""
        self.say(UP, SYN)
        if dropped or self._lost():
            self.repeat(UP, SYN, self.seq[UP] - 1, 1000)
        self.say(DOWN, SYN | ACK)
        self.say(UP, ACK)
        return self

    def _lost(self) -> bool:
        return self.loss > 0 and self.net.rng.random() < self.loss

    def repeat(self, side: int, flags: int, seq: int, after_ms: float, octets: bytes = b"") -> None:
        """The same segment again: it was lost behind the sensor."""
        self.wait(after_ms)
        self.say(side, flags, octets, seq=seq)

    def refused(self) -> "Talk":
        """A closed port."""
        self.say(UP, SYN)
        self.say(DOWN, RST | ACK)
        return self

    def unanswered(self, repeats: tuple[float, ...] = (1.0, 3.0, 7.0)) -> "Talk":
        """The SYN and its repetitions (seconds after it), to which nobody answers."""
        begin, isn = self.now, self.seq[UP]
        self.say(UP, SYN)
        for after in repeats:
            self.now = begin + int(after * 1000) * MS
            self.say(UP, SYN, seq=isn)
        return self

    def send(self, side: int, payload: bytes, *, acked: bool = True) -> "Talk":
        """`payload` in segments; the other side acknowledges every second one and the last."""
        mss = min(end.stack.mss for end in self.ends) - (12 if self._stamps else 0)
        mss -= 20 if self.net.version == 6 else 0
        last = len(payload) - 1
        for number, start in enumerate(range(0, len(payload), mss)):
            end = start + mss > last
            segment, flags = payload[start : start + mss], ACK | (PSH if end else 0)
            self.say(side, flags, segment)
            if self._lost():
                self.repeat(side, flags, self.seq[side] - len(segment), 230, segment)
            if acked and (end or number % 2):
                self._acknowledge(1 - side)
        return self

    def _acknowledge(self, side: int) -> None:
        """A pure ACK. It does not hold up the sender, whose window is open."""
        before = self.now, self._last, self._echo[side]
        self.say(side, ACK)
        self.now, self._last, self._echo[side] = before

    def close(self, side: int = UP) -> "Talk":
        """FIN of `side`, FIN of the other, last ACK."""
        self.settle()
        self.say(side, FIN | ACK)
        self.say(1 - side, FIN | ACK)
        self.say(side, ACK)
        return self

    def reset(self, side: int = UP, *, ack: bool = True) -> "Talk":
        self.settle()
        self.say(side, RST | (ACK if ack else 0))
        return self

    def settle(self) -> "Talk":
        """Let everything that is under way arrive: the clock is past the last frame."""
        self.now = max(self.now, max(ts for ts, _ in self.out))
        return self
