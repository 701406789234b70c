"""The engine's instructions per packet stay where they were recorded."""

import json
from pathlib import Path

import pytest

from tests.bench import instructions


@pytest.mark.system
def test_instructions_per_packet(tmp_path: Path) -> None:
    recorded = json.loads(instructions.RECORDED.read_text())
    if (here := instructions.compiler()) != recorded["compiler"]:
        pytest.skip(f"recorded with {recorded['compiler']}, this is {here}: make instructions")
    lines = instructions.compare(
        instructions.measure(tmp_path), recorded["instructions_per_packet"]
    )
    assert not lines, "\n".join([*lines, "meant? `make instructions` records it"])


def test_compare_tells_a_change_of_more_than_five_percent() -> None:
    recorded = {"mixed": 1000.0, "small64": 500.0}
    assert instructions.compare({"mixed": 1049.0, "small64": 476.0}, recorded) == []
    told = instructions.compare({"mixed": 1051.0, "small64": 474.0, "new": 1.0}, recorded)
    assert [line.split(":")[0] for line in told] == ["mixed", "small64", "new"]
