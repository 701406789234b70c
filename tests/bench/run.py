"""`make bench`: what `sensor replay` costs, beside a bare C loop and the peers that are installed.

All on the same file, one after the other, round after round (A B C, A B C, ...), because the speed
of a shared machine changes with the minute: only ratios within a round mean something. The slow
peers get the first packets of each capture only, where the sensor runs once more beside them.

Environment: BENCH_PACKETS (one number for all captures; default 2, 5 and 3 million),
BENCH_ROUNDS (default 5), BENCH_HEAD (packets for the slow peers, default 100,000). The results are
kept in build/bench/results.json; picture.py draws them.
"""

import json
import os
import platform
import statistics
import struct
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from tests.bench.make_captures import make
from tests.bench.peers import installed

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
WORK = ROOT / "build" / "bench"
RESULTS = WORK / "results.json"
PACKETS = {"mixed": 2_000_000, "small64": 5_000_000, "synflood": 3_000_000}
TIMEOUT_S = 120
SENSOR = (sys.executable, "-m", "sensor")


class Cost(NamedTuple):
    """Of one run of a whole process and its children, start-up included."""

    wall_s: float
    cpu_s: float
    peak_mb: float


@dataclass
class Runner:
    """A program to time: its command, in which {} is the capture, and what it does."""

    name: str
    does: str
    command: tuple[str, ...]
    slow: bool = False

    def cost(self, capture: Path) -> Cost | None:
        """None when it is too slow."""
        with TemporaryDirectory() as folder:
            command = [
                part.replace("{folder}", folder) if part != "{}" else str(capture)
                for part in self.command
            ]
            done = subprocess.run(
                [sys.executable, "-I", "-S", str(HERE / "cost.py"), str(TIMEOUT_S), *command],
                capture_output=True,
                check=True,
            )
        told = json.loads(done.stdout)
        cost = Cost(*told["cost"])
        if cost.wall_s >= TIMEOUT_S:
            return None
        if told["status"]:
            sys.exit(f"{self.name} failed on {capture}: {done.stderr[-2000:].decode()}")
        return cost


def runners() -> list[Runner]:
    """The yardstick, the sensor, and every peer that is installed."""
    replay = (*SENSOR, "replay", "{}", "--json")
    return [
        Runner("C limit", "decode, flows, RTT, HDR", (str(compiled_limit()), "{}")),
        Runner("sensor", "everything, JSON", replay),
        Runner("sensor, 2 workers", "everything, JSON", (*replay, "--workers", "2")),
        *(Runner(peer.name, peer.does, peer.command, peer.slow) for peer in installed()),
    ]


def compiled_limit() -> Path:
    source, binary = HERE / "limit.c", WORK / "limit"
    if not binary.exists() or binary.stat().st_mtime < source.stat().st_mtime:
        flags = ["-std=gnu11", "-O3", "-Wall", "-Wextra"]
        if platform.machine() == "x86_64":
            flags.append("-march=x86-64-v2")
        compiler = os.environ.get("CC", "cc")
        subprocess.run([compiler, *flags, str(source), "-o", str(binary)], check=True)
    return binary


def captures(kind: str) -> tuple[Path, int]:
    """The capture of that kind, made when it is missing, and its number of packets."""
    packets = int(os.environ.get("BENCH_PACKETS", PACKETS[kind]))
    path = WORK / f"{kind}-{packets}.pcap"
    if not path.exists():
        print(f"making {path.name} ...", flush=True)
        make(kind, packets, path)
    return path, packets


def head(capture: Path, packets: int) -> Path:
    """The first packets of a capture, in a file of its own."""
    path = capture.with_suffix(f".head-{packets}.pcap")
    if path.exists() and path.stat().st_mtime >= capture.stat().st_mtime:
        return path
    with capture.open("rb") as source, path.open("wb") as out:
        out.write(source.read(24))
        for _ in range(packets):
            header = source.read(16)
            if len(header) < 16:
                break
            out.write(header + source.read(struct.unpack_from("<I", header, 8)[0]))
    return path


def measure(programs: list[Runner], capture: Path, rounds: int) -> dict[str, list[Cost]]:
    """What each program cost in each round; one that ran out of time is left out."""
    capture.read_bytes()  # into the page cache
    costs: dict[str, list[Cost]] = {program.name: [] for program in programs}
    for _ in range(rounds):
        for program in programs:
            if program.name in costs:
                cost = program.cost(capture)
                if cost is None:
                    del costs[program.name]
                else:
                    costs[program.name].append(cost)
    return costs


def engine_only(capture: Path, packets: int, rounds: int) -> tuple[list[float], list[float]]:
    """ns per packet without start-up, in pairs: the sensor by its own clock, the bare loop by its.

    `performance.seconds` of the JSON is reading and engine, without its consumers in Python.
    """
    ours, limit = [], []
    for _ in range(rounds):
        out = subprocess.run([str(compiled_limit()), str(capture)], capture_output=True, check=True)
        limit.append(json.loads(out.stdout)["ns_per_packet"][0])
        command = [*SENSOR, "replay", str(capture), "--json"]
        out = subprocess.run(command, capture_output=True, check=True)
        ours.append(json.loads(out.stdout)["performance"]["seconds"] * 1e9 / packets)
    return ours, limit


def table(title: str, programs: list[Runner], costs: dict[str, list[Cost]], packets: int) -> Table:
    out = Table(title=title, title_justify="left")
    for column in ("program", "does"):
        out.add_column(column)
    for column in ("ns/packet", "fastest", "slowest", "CPU ns", "peak MB", "x sensor"):
        out.add_column(column, justify="right")
    for program in programs:
        found = costs.get(program.name)
        if found is None:
            out.add_row(program.name, program.does, f"> {TIMEOUT_S * 1e9 / packets:,.0f}")
            continue
        walls = [cost.wall_s * 1e9 / packets for cost in found]
        pairs = zip(found, costs["sensor"], strict=True)
        ratio = statistics.median(cost.wall_s / ours.wall_s for cost, ours in pairs)
        cpu = statistics.median(cost.cpu_s for cost in found) * 1e9 / packets
        numbers = (statistics.median(walls), min(walls), max(walls), cpu)
        peak = max(cost.peak_mb for cost in found)
        shown = (*(f"{n:,.1f}" for n in numbers), f"{peak:,.0f}", f"{ratio:.2f}")
        out.add_row(program.name, program.does, *shown)
    return out


def walls(costs: dict[str, list[Cost]], packets: int) -> dict[str, list[float]]:
    """ns per packet of each round."""
    return {
        name: [round(cost.wall_s * 1e9 / packets, 1) for cost in found]
        for name, found in costs.items()
    }


def machine() -> str:
    names = [line.split(":", 1)[1].strip() for line in cpu_info() if line.startswith("model name")]
    name = names[0] if names else platform.processor() or platform.machine()
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    )
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    load = os.getloadavg()[0]
    return (
        f"{os.cpu_count()} x {name}; {system}; load {load:.1f}; {now}; "
        f"commit {done.stdout.strip() or 'unknown'}"
    )


def cpu_info() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def main() -> None:
    WORK.mkdir(parents=True, exist_ok=True)
    rounds = int(os.environ.get("BENCH_ROUNDS", "5"))
    first = int(os.environ.get("BENCH_HEAD", "100000"))
    console = Console(width=120 if not sys.stdout.isatty() else None)
    results: dict[str, Any] = {"machine": machine(), "first": first, "captures": {}}
    console.print(results["machine"])
    programs = runners()
    fast = [program for program in programs if not program.slow]
    slow = [program for program in programs if program.slow or program.name == "sensor"]
    for kind in PACKETS:
        capture, packets = captures(kind)
        console.print()
        title = f"{kind}: {packets:,} packets, whole process, median of {rounds} rounds"
        costs = measure(fast, capture, rounds)
        console.print(table(title, fast, costs, packets))
        kept = results["captures"][kind] = {"packets": packets, "whole": walls(costs, packets)}
        ours, limit = engine_only(capture, packets, rounds)
        ratio = statistics.median(a / b for a, b in zip(ours, limit, strict=True))
        console.print(
            f"without start-up: sensor {statistics.median(ours):.1f} ns/packet, "
            f"C limit {statistics.median(limit):.1f}: {ratio:.2f} x the limit"
        )
        kept["first"] = {}
        if len(slow) > 1:
            part, count = head(capture, first), min(first, packets)
            title = f"{kind}: the first {count:,} packets, whole process"
            costs = measure(slow, part, 1)
            console.print(table(title, slow, costs, count))
            kept["first"] = walls(costs, count)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
