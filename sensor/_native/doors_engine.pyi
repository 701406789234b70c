from collections.abc import Iterable

from sensor._native.source import PacketSource

class Frames(PacketSource):
    def __init__(self, frames: Iterable[tuple[int, bytes, int, int]]) -> None: ...
