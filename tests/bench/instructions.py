"""Instructions per packet of the engine's feed(), counted by callgrind on small seeded captures.

`python -m tests.bench.instructions` compares with instructions.json, `--write` (`make
instructions`) rewrites it. Unlike times, counts are the same on a busy machine; they change with
the compiler, which is noted beside them.
"""

import json
import os
import platform
import re
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from tests.bench.attacks import frames
from tests.bench.make_captures import make
from tests.traffic.capture import write

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
RECORDED = HERE / "instructions.json"
PACKETS = {"mixed": 30_000, "small64": 30_000, "synflood": 30_000}
ATTACKED = 300  # packets of each attack
ATTACKS = (
    "collide_new", "fragments", "tunnels", "padded_options", "tcp_options", "nearly", "dns",
    "hpack_huffman", "http1_lines",
)  # fmt: skip
TOLERANCE = 0.05


class Dump(NamedTuple):
    """What callgrind counted for one capture: all instructions, and its file for more."""

    instructions: int
    file: Path


def compiler() -> str:
    """The C compiler that builds the native modules: `gcc 12.2.0 x86_64`."""
    command = [*sysconfig.get_config_var("CC").split(), "--version"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    first = told.splitlines()[0]
    name = "clang" if "clang" in first else "gcc"
    return f"{name} {first.split()[-1]} {platform.machine()}"


def callgrind(
    captures: Sequence[Path], folder: Path, *options: str, native: str = ""
) -> list[Dump]:
    """Each capture through an engine of its own; dumps go to `folder`.

    native: a folder whose compiled modules go before those in place.
    """
    switch = folder / "counted.so"
    command = ["cc", "-O1", "-shared", "-fPIC", HERE / "counted.c", "-o", switch]
    subprocess.run(command, check=True)
    out = folder / "callgrind.out"
    command = [
        "valgrind", "--tool=callgrind", "--instr-atstart=no", "--collect-atstart=no",
        f"--callgrind-out-file={out}", *options,
        sys.executable, HERE / "counted.py", switch, *captures,
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0", "NATIVE": native}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"valgrind: {done.stderr[-2000:]}")
    dumps = []
    for number, capture in enumerate(captures, 1):
        file = Path(f"{out}.{number}")
        head = file.read_text()
        if f"Client Request: {capture.name}\n" not in head:
            raise RuntimeError(f"{file} is not of {capture.name}")
        total = re.search(r"^summary: (\d+)", head, re.MULTILINE)
        if total is None:
            raise RuntimeError(f"{file} has no summary")
        dumps.append(Dump(int(total[1]), file))
    return dumps


def measure(folder: Path) -> dict[str, float]:
    """Instructions per packet by capture, and by attack."""
    made = {}
    for kind, packets in PACKETS.items():
        made[kind] = make(kind, packets, folder / f"{kind}.pcap")
    for kind in ATTACKS:
        made[kind] = write(folder / f"{kind}.pcap", frames(kind, ATTACKED))
    dumps = callgrind([folder / f"{kind}.pcap" for kind in made], folder)
    return {
        kind: round(dump.instructions / packets, 1)
        for (kind, packets), dump in zip(made.items(), dumps, strict=True)
    }


def compare(found: dict[str, float], recorded: dict[str, float]) -> list[str]:
    """A line for each capture that is outside TOLERANCE of what was recorded, or was not."""
    lines = []
    for kind, count in found.items():
        before = recorded.get(kind)
        if before is None:
            lines.append(f"{kind}: {count:,.1f} instructions a packet, not recorded")
        elif abs(count / before - 1) > TOLERANCE:
            lines.append(
                f"{kind}: {count:,.1f} instructions a packet, recorded {before:,.1f} "
                f"({100 * (count / before - 1):+.1f} %)"
            )
    return lines


def main() -> None:
    with TemporaryDirectory() as folder:
        found = measure(Path(folder))
    if "--write" in sys.argv[1:]:
        document = {"compiler": compiler(), "instructions_per_packet": found}
        RECORDED.write_text(json.dumps(document, indent=2) + "\n")
    recorded = json.loads(RECORDED.read_text())
    for kind, count in found.items():
        before = recorded["instructions_per_packet"].get(kind)
        print(f"{kind:12} {count:10,.1f} instructions/packet, recorded {before:,.1f}")
    if lines := compare(found, recorded["instructions_per_packet"]):
        sys.exit("\n".join(lines))


if __name__ == "__main__":
    main()
