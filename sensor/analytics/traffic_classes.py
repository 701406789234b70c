"""What connections are for, by their shape (definitions 1.7): shares of octets that add up to 1."""

from typing import Any

import numpy as np

from sensor.store.reading import Columns, ReadingStore, Scope

CLASSES = ("real_time", "interactive", "background", "bulk")  # by priority, highest first
MOST = 50_000  # connections looked at, the newest
BULK_OCTETS, BULK_MEAN = 1_000_000, 1000
STEADY_PPS = (20, 100)
STEADY_S = 5
SMALL = 300
GAP_S = (0.01, 5.0)
LEAST_SHARE = 0.05  # of the link that a class with traffic is given
MEDIA = ("rtp", "rtcp")
ASKED = ("dns", "quic", "ntp", "dhcp")  # datagrams that are no media


def classify(rows: Columns) -> np.ndarray[Any, np.dtype[np.str_]]:
    """A class for each connection.

    bulk: over 1 MB one way in payloads of more than 1000 octets; real_time: RTP, or datagrams at
    20 to 100 a second for 5 s; interactive: both ways, small payloads, a packet every 10 ms to 5 s;
    background: the rest. How regular packets came is not kept, so steadiness is the mean rate.
    """
    one_way = []
    for side in ("orig", "resp"):
        octets, packets = rows[f"{side}_bytes"], np.maximum(rows[f"{side}_packets"], 1)
        one_way.append((octets > BULK_OCTETS) & (octets / packets > BULK_MEAN))
    packets = rows["orig_packets"] + rows["resp_packets"]
    octets = rows["orig_bytes"] + rows["resp_bytes"]
    seconds = np.maximum(rows["duration_us"], 1) / 1e6
    pps = np.maximum(rows["orig_packets"], rows["resp_packets"]) / seconds
    udp = (rows["protocol"] == "udp") & ~np.isin(rows["service"].astype(str), ASKED)
    steady = (STEADY_PPS[0] <= pps) & (pps <= STEADY_PPS[1]) & (seconds >= STEADY_S)
    media = np.isin(rows["service"].astype(str), MEDIA) | (udp & steady)
    gap = seconds / np.maximum(packets, 1)
    both = (rows["orig_bytes"] > 0) & (rows["resp_bytes"] > 0)
    small = octets / np.maximum(packets, 1) < SMALL
    talk = both & small & (packets >= 4) & (gap >= GAP_S[0]) & (gap <= GAP_S[1])
    return np.select([one_way[0] | one_way[1], media, talk], ["bulk", "real_time", "interactive"],
                     "background")  # fmt: skip


def shares(store: ReadingStore, scope: Scope) -> dict[str, Any]:
    """Share of octets on the wire by class, `total` octets, `connections` looked at."""
    rows = store.connections(scope, MOST)
    octets = rows["orig_wire_bytes"] + rows["resp_wire_bytes"]
    total = float(octets.sum())
    n = len(octets)
    if not total:
        return {**dict.fromkeys(CLASSES), "total": None, "connections": n}
    found = classify(rows)
    by_class = {name: round(float(octets[found == name].sum()) / total, 9) for name in CLASSES}
    return {**by_class, "total": round(total), "connections": n}


def allocation(by_class: dict[str, float | None]) -> dict[str, float | None]:
    """Percent of the link proposed per class: its share, but at least 5 % for what has traffic."""
    wanted = {name: max(share, LEAST_SHARE) for name, share in by_class.items() if share}
    whole = sum(wanted.values())
    return {
        name: None if share is None else round(wanted.get(name, 0.0) * 100 / whole, 3)
        for name, share in by_class.items()
    }
