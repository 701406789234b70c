"""What becomes of frames on the way into a file: order, loss, one direction only, a snap length."""

import random
import struct
from collections.abc import Callable, Iterable
from pathlib import Path

from tests.traffic.net import Frame
from tests.traffic.savefiles import pcap_header

NANOSECONDS = 0xA1B23C4D
RECORD = struct.Struct("<IIII")
View = Callable[[list[Frame]], list[Frame]]  # what the sensor gets to see


def write(path: Path, frames: Iterable[Frame], snaplen: int = 65535) -> int:
    """A pcap file with nanoseconds; gives the number of frames."""
    count = 0
    with path.open("wb") as file:
        file.write(pcap_header(magic=NANOSECONDS, snaplen=snaplen))
        for ts, octets in frames:
            seen = octets[:snaplen]
            stamp = divmod(ts, 10**9)
            file.write(RECORD.pack(*stamp, len(seen), len(octets)) + seen)
            count += 1
    return count


def merged(*streams: Iterable[Frame]) -> list[Frame]:
    """All of them by time; frames of one instant keep their order."""
    return sorted((frame for stream in streams for frame in stream), key=lambda frame: frame[0])


def loses(share: float) -> View:
    """A capture that misses frames here and there."""

    def view(frames: list[Frame]) -> list[Frame]:
        rng = random.Random(share)
        return [frame for frame in frames if rng.random() >= share]

    return view


def one_way(address: bytes) -> View:
    """Only what is sent to `address`: asymmetric routes, or half a tap."""
    at = 30 if len(address) == 4 else 38
    return lambda frames: [f for f in frames if f[1][at : at + len(address)] == address]
