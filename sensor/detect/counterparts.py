"""Who is on the other side of a key: the addresses and ports behind most of its events."""

import numpy as np

MOST_KEPT = 64  # per event


class Counterparts:
    """The most frequent counterparts of a key: Space-Saving over what each window says."""

    def __init__(self) -> None:
        self.counts: dict[tuple[bytes, int], int] = {}  # address, port -> lower bound
        self.total = 0

    @classmethod
    def of(cls, row: np.void) -> "Counterparts":
        """Those of one window."""
        found = cls()
        found.add(row)
        return found

    def add(self, row: np.void) -> None:
        """One window of the key."""
        names = row.dtype.names or ()
        if "top_count" not in names:
            return
        if "top_addresses" in names:
            found = zip(row["top_addresses"], row["top_ports"], row["top_counts"], strict=True)
        else:
            port = row["top_port"] if "top_port" in names else 0
            found = zip([row["top_address"]], [port], [row["top_count"]], strict=True)
        for address, port, count in found:
            if count:
                self._count((address.tobytes(), int(port)), int(count))
        self.total += int(row["top_total"]) if "top_total" in names else int(row["top_count"])

    def _count(self, key: tuple[bytes, int], count: int) -> None:
        if key not in self.counts and len(self.counts) >= MOST_KEPT:
            least = min(self.counts, key=self.counts.__getitem__)
            if self.counts[least] >= count:
                return
            del self.counts[least]
        self.counts[key] = self.counts.get(key, 0) + count

    def by_address(self) -> list[tuple[bytes, int]]:
        """Addresses, the most frequent first."""
        sums: dict[bytes, int] = {}
        for (address, _), count in self.counts.items():
            sums[address] = sums.get(address, 0) + count
        return sorted(sums.items(), key=lambda item: (-item[1], item[0]))

    def share(self, count: int) -> float:
        """Of all that was counted."""
        return min(count / self.total, 1.0) if self.total else 0.0

    def main(self) -> bytes | None:
        """The address behind more than half, if there is one."""
        most = self.by_address()[:1]
        return most[0][0] if most and self.share(most[0][1]) > 0.5 else None

    def main_port(self) -> int | None:
        """Likewise the port."""
        sums: dict[int, int] = {}
        for (_, port), count in self.counts.items():
            sums[port] = sums.get(port, 0) + count
        port = max(sums, key=sums.__getitem__, default=0)
        return port if port and self.share(sums[port]) > 0.5 else None
