"""What the rest of the program asks of a packet source; the packets themselves stay native."""

from typing import Protocol


class Source(Protocol):
    """A `sensor._native.source.PacketSource`: the engine takes its batches in C."""

    @property
    def pending(self) -> int:
        """Packets of the current batch that the engine has not taken yet."""
        ...

    def next_batch(self) -> int:
        """Fetch the next packets, at most 512; 0 when there are no more."""
        ...

    def close(self) -> None:
        """Give the current batch and the input back."""
        ...
