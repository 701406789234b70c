from sensor._native.source import PacketSource

class Ring(PacketSource):
    delivered: int
    wire_bytes: int
    doubled: int
    malformed: int
    received: int
    dropped: int
    freezes: int

    def __init__(
        self, fd: int, *, block_size: int = 1 << 20, blocks: int = 32, retire_ms: int = 20
    ) -> None: ...
    def wait(self, timeout_ms: int) -> bool: ...
    def statistics(self) -> tuple[int, int, int]: ...
    def close(self) -> None: ...
