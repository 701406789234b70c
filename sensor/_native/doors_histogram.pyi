from typing import Any

HIGHEST_US: int
LENGTHS: dict[int, int]
HALF_BITS: dict[int, int]

def index(digits: int, values_us: Any) -> list[int]: ...
def record(digits: int, values_ns: Any) -> dict[str, Any]: ...
