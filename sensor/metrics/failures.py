"""TCP connections that came to nothing, by host and reason: a port scan is one line, not thousands.

At most ROOM hosts are kept; when twice as many have gathered, those with the fewest failures are
folded into `__other__`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sensor._native.faces import Rows
from sensor.model.address import address_text
from sensor.model.connection import ConnState
from sensor.model.endpoint import OTHER

ROOM = 512
TCP = 6  # IP protocol number
REASONS = {  # conn_state: what happened
    "S0": "no answer",
    "REJ": "refused",
    "RSTOS0": "given up",
    "RSTRH": "reset by the host",
    "SH": "never answered",
    "SHR": "never opened",
}
FAILED = [ConnState[name] for name in REASONS]

Key = tuple[str, str]  # host, reason


@dataclass(slots=True)
class Failure:
    """Failures of one kind against one host."""

    host: str
    reason: str
    connections: int
    ports: int | None  # distinct ports of the host; None where they were not counted


class FailureFigures:
    """Merges finished connections."""

    def __init__(self) -> None:
        self._known: dict[Key, tuple[int, set[int]]] = {}

    def flows(self, rows: Rows) -> None:
        bad = rows[(rows["protocol"] == TCP) & np.isin(rows["conn_state"], FAILED)]
        for address, state, port, n in counted(bad):
            key = (address_text(address), REASONS[ConnState(state).name])
            before, ports = self._known.get(key, (0, set()))
            ports.add(port)
            self._known[key] = (before + n, ports)
        if len(self._known) > 2 * ROOM:
            self._fold()

    def _fold(self) -> None:
        kept = self._ordered()
        known = {key: self._known[key] for key in kept[:ROOM]}
        for host, reason in kept[ROOM:]:
            before, _ = known.get((OTHER, reason), (0, None))
            known[OTHER, reason] = (before + self._known[host, reason][0], set())
        self._known = known

    def _ordered(self) -> list[Key]:
        return sorted(self._known, key=lambda key: (-self._known[key][0], key))

    def most(self, n: int) -> list[Failure]:
        """The hosts with the most failures."""
        return [
            Failure(host, reason, count, None if host == OTHER else len(ports))
            for host, reason in self._ordered()[:n]
            for count, ports in [self._known[host, reason]]
        ]


def counted(rows: Rows) -> Iterator[tuple[bytes, int, int, int]]:
    """Distinct responder, conn_state and port, and how often: a flood is one of them."""
    halves = np.ascontiguousarray(rows["resp_ip"]).view("<u8").reshape(-1, 2)
    rest = rows["conn_state"].astype(np.uint64) << np.uint64(16) | rows["resp_port"]
    columns = np.column_stack((halves, rest))
    order = np.lexsort(columns.T)
    columns = columns[order]
    first = np.flatnonzero(np.any(np.diff(columns, axis=0, prepend=~columns[:1]), axis=1))
    counts = np.diff(first, append=len(rows))
    for at, n in zip(order[first].tolist(), counts.tolist(), strict=True):
        row = rows[at]
        yield bytes(row["resp_ip"]), int(row["conn_state"]), int(row["resp_port"]), n
