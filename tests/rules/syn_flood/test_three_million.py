"""A SYN flood of made-up sources: one event, flat memory, and visitors who do not notice.

Frames are made a batch at a time and reach the replay through a pipe: nothing of the flood is ever
stored.
"""

import ctypes
import os
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sensor._native.dtypes import FLOW
from sensor._native.faces import Rows, Window
from sensor.flow.locality import given
from sensor.programs.replay import Replay
from tests.rules.case import seconds
from tests.traffic import frames, web
from tests.traffic.capture import NANOSECONDS, merged
from tests.traffic.frames import SYN
from tests.traffic.net import SECOND, Frame, Net, text
from tests.traffic.savefiles import pcap_header, pcap_record

SOURCES = 3_000_000
RATE = 100_000  # SYNs a second
GAP_NS = SECOND // RATE
ONSET_S = 6.0
LENGTH_S = SOURCES / RATE + 2 * ONSET_S
BATCH = 4_096
RSS_GROWTH_MAX = 5 << 20
PR_SET_THP_DISABLE = 41
FULL = 200_000  # SYNs after which every table is full: 131,072 attempts fit

# Where a SYN over IPv4 or IPv6 has its source address, its width, the port, the sequence number.
LAYOUT = {4: (26, 4, 34, 38), 6: (22, 16, 54, 58)}
RECORD = {4: 16 + 54, 6: 16 + 74}  # octets of a SYN in the capture
SPOOFED = {4: b"\x0a", 6: b"\x20\x02"}  # how every made-up address begins


def visitors(net: Net) -> list[Frame]:
    """200 connections: 100 that last from before the flood to its end, 100 visits."""
    streams = [web.idle_pool(net, connections=100, seconds=LENGTH_S, every_s=4)]
    for number in range(100):
        begin = net.at((LENGTH_S - 2) * number / 100)
        client = net.client(100 + number)
        streams.append(web.visit(net, begin, client, tls=bool(number % 2)))
    return merged(*streams)


def flood(net: Net) -> Iterator[tuple[int, bytes]]:
    """(time of its first record, the records of a batch). No source comes twice."""
    at, width, port_at, seq_at = (16 + n for n in LAYOUT[net.version])
    width -= 16
    prefix = SPOOFED[net.version]
    someone = prefix + bytes(width - len(prefix))
    frame = frames.tcp(someone, net.host.address, 1, 80, 0, 0, SYN, window=512, ttl=52)
    record = np.frombuffer(pcap_record(frame), np.uint8)
    rng = np.random.default_rng(net.version)
    for first in range(0, SOURCES, BATCH):
        count = min(BATCH, SOURCES - first)
        numbers = first + np.arange(count, dtype=np.int64)
        stamps = net.at(ONSET_S) + numbers * GAP_NS
        batch = np.tile(record, (count, 1))
        batch[:, :8] = np.stack(np.divmod(stamps, SECOND), 1).astype("<u4").view(np.uint8)
        # An odd factor scatters the counter over 2^24 addresses, each once.
        hosts = (numbers * 11_400_715 & 0xFFFFFF).astype(">u4").view(np.uint8).reshape(count, 4)
        batch[:, at + width - 3 : at + width] = hosts[:, 1:]
        batch[:, port_at : port_at + 2] = rng.integers(4, 256, (count, 2), np.uint8)
        batch[:, seq_at : seq_at + 4] = rng.integers(0, 256, (count, 4), np.uint8)
        yield int(stamps[0]), batch.tobytes()


def capture(
    background: list[Frame], batches: Iterator[tuple[int, bytes]], length: int
) -> Iterator[bytes]:
    """The octets of a pcap file with both, in order of time; `length` of a record in a batch."""
    yield pcap_header(magic=NANOSECONDS)
    left = deque(background)

    def due(before_ns: int) -> Iterator[tuple[int, bytes]]:
        while left and left[0][0] < before_ns:
            ts, octets = left.popleft()
            yield ts, pcap_record(octets, *divmod(ts, SECOND))

    for begin, batch in batches:
        yield from (octets for _, octets in due(begin))
        start = 0
        for ts, octets in due(begin + BATCH * GAP_NS):
            end = min(len(batch), -((begin - ts) // GAP_NS) * length)
            yield batch[start:end] + octets
            start = end
        yield batch[start:]
    yield from (octets for _, octets in due(1 << 63))


@contextmanager
def piped(stream: Iterator[bytes]) -> Iterator[str]:
    """A path from which `stream` can be read once, like standard input."""
    out, into = os.pipe()

    def pump() -> None:
        with os.fdopen(into, "wb") as file:
            for piece in stream:
                file.write(piece)

    thread = threading.Thread(target=pump, daemon=True)
    thread.start()
    try:
        yield f"/dev/fd/{out}"
    finally:
        os.close(out)
    thread.join()


def resident() -> int:
    """Octets of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture
def small_pages() -> Iterator[None]:
    """The kernel makes huge pages of small ones when it likes: memory grows with nothing in it."""
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0)
    yield
    libc.prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0)


@dataclass
class Visits:
    """A consumer: the connection rows of those that are not made up, and the memory over time."""

    spoofed: bytes  # how made-up addresses begin, 16 octets wide
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    memory: list[tuple[int, int]] = field(default_factory=list)  # octets read, octets resident

    def window(self, window: Window) -> None:
        pass

    def flows(self, rows: Rows, names: bytes) -> None:
        width = len(self.spoofed)
        start = rows["orig_ip"].copy().view(np.uint8).reshape(-1, 16)[:, :width]
        made_up = (start == np.frombuffer(self.spoofed, np.uint8)).all(axis=1)
        for row in rows[~made_up]:
            name = names[row["name_at"] : row["name_at"] + row["name_len"]]
            figures = tuple(row[column].item() for column in FLOW.names if column != "name_at")
            self.rows.append((*figures, name))

    def progress(self, octets: int) -> None:
        if len(self.memory) < 2 or octets - self.memory[-1][0] > 1 << 20:
            self.memory.append((octets, resident()))


def replay(net: Net, stream: Iterator[bytes]) -> tuple[dict[str, Any], Visits]:
    """Through the real replay: its document, and the visitors' connections."""
    prefix = SPOOFED[net.version]
    visits = Visits(bytes(10) + b"\xff\xff" + prefix if net.version == 4 else prefix)
    with piped(stream) as path:
        done = Replay((path,), local=given((text(net.host.address),))).run(
            (visits,), visits.progress
        )
    visits.rows.sort()
    return done.document, visits


@pytest.mark.slow
@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("version", [4, 6])
def test_one_event_flat_memory_and_visitors_keep_their_figures(version: int) -> None:
    net = Net(version, "three million")
    background = visitors(net)
    quiet, undisturbed = replay(net, capture(background, iter(()), 0))
    document, visits = replay(net, capture(background, flood(net), RECORD[version]))

    assert document["capture"]["packets"] == SOURCES + len(background)
    assert len(undisturbed.rows) == 200
    assert visits.rows == undisturbed.rows
    assert document["latency_us"] == quiet["latency_us"]

    size = RECORD[version]  # and at the end all rows come at once
    full = [rss for octets, rss in visits.memory if FULL * size < octets < SOURCES * size]
    assert len(full) > 5
    assert max(full) - full[0] < RSS_GROWTH_MAX

    assert quiet["events"] == []
    loud = [event for event in document["events"] if event["severity"] not in ("info", "low")]
    assert [event["attack_class"] for event in loud] == ["syn_flood"]
    (event,) = loud
    assert 0 <= seconds(event["detected_at"]) - net.at(ONSET_S) / 1e9 <= 3
    assert event["destination_ip"] == text(net.host.address)
    assert event["source_ip"] is None
    assert 0.9 * SOURCES < event["packets_count"] <= SOURCES + len(background)
