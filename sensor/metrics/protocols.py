"""The protocol mix (definitions 1.4): a partition of all octets, and the shares of TCP and UDP."""

import numpy as np

from sensor._native.counters import Counter
from sensor._native.faces import LEAVES, Window
from sensor.model.application import APP_DNS
from sensor.model.metrics import ProtocolDistribution

TCP_LEAVES = ("http", "https", "websocket", "grpc", "other_tcp")
UDP_LEAVES = ("quic", "other_udp")
TCP = 6  # IP protocol number


class ProtocolFigures:
    """Octets, packets and connections per leaf; DNS is the one leaf over both TCP and UDP."""

    def __init__(self) -> None:
        self.bytes = np.zeros(len(LEAVES), np.uint64)
        self.packets = np.zeros(len(LEAVES), np.uint64)
        self.connections = np.zeros(len(LEAVES), np.uint64)
        self.dns_over_tcp = 0

    def add(self, window: Window) -> None:
        self.bytes += window["leaf_bytes"]
        self.packets += window["leaf_packets"]
        self.connections += window["leaf_connections"]
        rows = window["endpoints"]
        dns = rows["counters"][(rows["protocol"] == TCP) & (rows["app"] == APP_DNS)]
        sides = dns[:, [Counter.C_BYTES_SENT, Counter.C_BYTES_RECEIVED]]
        self.dns_over_tcp += int(sides.sum())

    def octets(self) -> dict[str, int]:
        """Octets on the wire by leaf."""
        return dict(zip(LEAVES, self.bytes.tolist(), strict=True))

    def shares(self) -> dict[str, float | None]:
        """Percent of all octets by leaf; they sum to 100. None without traffic."""
        by_leaf = self.octets()
        total = sum(by_leaf.values())
        return {leaf: n * 100 / total if total else None for leaf, n in by_leaf.items()}

    def metrics(self) -> ProtocolDistribution:
        by_leaf = self.octets()
        total = sum(by_leaf.values())
        if not total:
            return ProtocolDistribution()
        dns_tcp = min(self.dns_over_tcp, by_leaf["dns"])
        tcp = sum(by_leaf[leaf] for leaf in TCP_LEAVES) + dns_tcp
        udp = sum(by_leaf[leaf] for leaf in UDP_LEAVES) + by_leaf["dns"] - dns_tcp
        return ProtocolDistribution(
            http_percentage=percent(by_leaf["http"], total),
            https_percentage=percent(by_leaf["https"], total),
            websocket_percentage=percent(by_leaf["websocket"], total),
            grpc_percentage=percent(by_leaf["grpc"], total),
            tcp_percentage=percent(tcp, total),
            udp_percentage=percent(udp, total),
        )


def percent(part: int, whole: int) -> float:
    """Share in percent, to a millionth."""
    return round(part * 100 / whole, 6)
