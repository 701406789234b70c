from sensor._native.source import PacketSource

class Ring(PacketSource):
    delivered: int
    wire_bytes: int
    doubled: int
    malformed: int
    received: int
    dropped: int
    freezes: int
    finished: int
    skip_before: int
    skipped: int

    def __init__(
        self,
        fd: int,
        *,
        block_size: int = 1 << 17,
        blocks: int = 256,
        retire_ms: int = 100,
        inherited: bool = False,
        hold: bool = False,
        gso: bool = False,
    ) -> None: ...
    def wait(self, timeout_ms: int) -> bool: ...
    def release(self, finished: int) -> None: ...
    def statistics(self) -> tuple[int, int, int]: ...
    def close(self) -> None: ...
