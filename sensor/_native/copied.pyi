from sensor._native.source import PacketSource

class Copied(PacketSource):
    delivered: int
    wire_bytes: int

    def fill(self, records: list[tuple[int, int, bytes]], link: int) -> int: ...
