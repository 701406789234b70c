"""`python -m tests.bench.stages [--write] [--lines N]`: what each stage of the engine costs.

Instructions are callgrind's, of small captures; ns are perf's samples of a whole `sensor replay`
of the bench captures, its start left out. Both are of a build of its own (SENSOR_BUILD=profile:
what ships, with line numbers), and both are put to stages by address: the innermost function of
the inlined chain there whose room is not a helper's says which stage it is.

--lines: also the N most expensive lines of each capture. --write: the table in docs/performance.md.
"""

import argparse
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench import page
from tests.bench.instructions import PACKETS, ROOT, callgrind
from tests.bench.make_captures import make
from tests.bench.run import captures, machine

NATIVE = ROOT / "build" / "profile" / "sensor" / "_native"
REPLAY = """
import sys, sensor._native
sensor._native.__path__.insert(0, sys.argv.pop(1))
from sensor.programs.cli import main
main()
"""
FREQUENCY = 4_999  # samples a second, no multiple of what else runs by the clock
SAMPLE_NS = 1e9 / FREQUENCY

STAGES = {
    "read the file": "savefile capfile pcap pcapng source",
    "decode": "decode decode_state link ethernet ip ipv6_extensions tcp udp icmp tunnel udp_tunnel "
    "fragment flow_key",
    "packet loop, prefetch": "pump core engine",
    "flows: look up, begin, end": "tag_index flow lifecycle timer_wheel rows",
    "half-open attempts": "half_open attempts",
    "TCP state, RTT, loss": "tcp_flow tcp_state tcp_track waiting",
    "UDP, ICMP": "datagram app_echo",
    "recognisers": "app app_state app_dispatch app_banner app_dns app_http1 app_http2 app_quic "
    "app_rtp app_tls app_tls_hello app_websocket dns_cache dns_message dns_name dns_table hpack "
    "http1_syntax sink",
    "endpoints, histograms, seconds": "account window histogram counters",
    "detection": "detect detect_count detect_memory detect_say slots sketch domains neighbours "
    "announcements features slow detect_rows",
}
STAGE_OF = {room: stage for stage, rooms in STAGES.items() for room in rooms.split()}
COPIES = "copy, clear, compare (libc)"
KERNEL = "kernel: read, page faults"
PYTHON = "Python: seconds, windows, rules, rows"
REST = "rest"
ROWS = (*STAGES, COPIES, KERNEL, PYTHON, REST)

Cost = Counter[tuple[str, int]]  # by object's path and address in it


def build() -> None:
    """The native modules with line numbers, beside those in place."""
    environment = {**os.environ, "SENSOR_BUILD": "profile"}
    command = [sys.executable, "setup.py", "-q", "build_ext", "--build-lib", NATIVE.parent.parent]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)


def of_callgrind(dump: Path) -> Cost:
    """Instructions by address, of the functions themselves (calls are counted where they go)."""
    cost: Cost = Counter()
    names: dict[str, str] = {}
    where, at, call = "", 0, False
    for line in dump.read_text().splitlines():
        if match := re.fullmatch(r"(c?ob)=(\(\d+\))(?: (.*))?", line):
            if match[3]:
                names[match[2]] = match[3]
            if match[1] == "ob":
                where = names[match[2]]
        elif line.startswith("calls="):
            call = True
        elif line[:1] in "0+-*" and " " in line:
            step, _, count = line.split()
            if step[0] in "+-":
                at += int(step)
            elif step != "*":
                at = int(step, 16)
            if not call:  # what follows a call is the cost of the callee
                cost[where, at] += int(count)
            call = False
    return cost


def of_perf(capture: Path, folder: Path) -> Cost:
    """Samples by address of a replay, from the first that are the engine's on."""
    data = folder / "perf.data"
    command = ["perf", "record", "-q", "-e", "cpu-clock", "-F", str(FREQUENCY), "-o", data]
    replay = [sys.executable, "-c", REPLAY, NATIVE, "replay", capture, "--json"]
    subprocess.run([*command, *replay], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    command = ["perf", "script", "-i", data, "--show-mmap-events", "-F", "comm,event,ip,dso"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return without_start(list(samples(told.splitlines())))


def samples(lines: Iterable[str]) -> Iterable[tuple[str, int]]:
    """Object and address in it of each sample. (Its text lies in the file as in memory.)"""
    maps: list[tuple[int, int, int, str]] = []
    mapped = re.compile(r"MMAP2? .*\[0x(\w+)\(0x(\w+)\) @ (?:0x)?(\w+) .*\]: \S+ (.*)")
    for line in lines:
        if match := mapped.search(line):
            start, size, offset = (int(match[k], 16) for k in (1, 2, 3))
            maps.append((start, start + size, offset, match[4]))
        elif match := re.search(r"cpu-clock\S*\s+(\w+) \((.*)\)", line):
            address = int(match[1], 16)
            if address >> 63:
                yield "kernel", 0
                continue
            for start, end, offset, path in reversed(maps):
                if start <= address < end:
                    yield path, address - start + offset
                    break
            else:
                yield "unknown", 0


def without_start(found: list[tuple[str, int]]) -> Cost:
    """Interpreter, imports, rules: what comes before the engine's first hundredth."""
    ours = [number for number, (path, _) in enumerate(found) if str(NATIVE) in path]
    return Counter(found[ours[len(ours) // 100] :])


def chains(path: str, addresses: list[int]) -> dict[int, list[str]]:
    """file:line of the inlined functions at each address, innermost first (binutils)."""
    asked = "\n".join(map(hex, addresses))
    command = ["addr2line", "-a", "-i", "-e", path]
    done = subprocess.run(command, input=asked, capture_output=True, text=True, check=True)
    found: dict[int, list[str]] = {}
    chain: list[str] = []
    for line in done.stdout.splitlines():
        if line.startswith("0x"):
            chain = found[int(line, 16)] = []
        else:
            chain.append(re.sub(r" \(discriminator \d+\)", "", line.rsplit("/", 1)[-1]))
    return found


def stage_of(chain: list[str]) -> str:
    for place in chain:
        if (stage := STAGE_OF.get(place.partition(".")[0])) and ".p" in place:
            return stage
    return REST


def by_stage(cost: Cost) -> tuple[Counter[str], Counter[str]]:
    """Cost by stage, and by line of ours."""
    stages: Counter[str] = Counter()
    lines: Counter[str] = Counter()
    for path in {path for path, _ in cost}:
        here = {at: n for (where, at), n in cost.items() if where == path}
        if str(NATIVE) in path:
            known = chains(path, list(here))
            for at, n in here.items():
                stages[stage_of(known[at])] += n
                lines[" < ".join(known[at][:3])] += n
        elif path == "kernel":
            stages[KERNEL] += sum(here.values())
        elif "libc.so" in path or path == "???":  # the latter: callgrind's word for the jump there
            stages[COPIES] += sum(here.values())
        else:
            stages[PYTHON] += sum(here.values())
    return stages, lines


def show_lines(title: str, lines: Counter[str], n: int, packets: float) -> None:
    for place, count in lines.most_common(n):
        print(f"{title}: {count / packets:8.2f} {place}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--lines", type=int, default=0)
    args = parser.parse_args()
    build()
    columns: list[tuple[str, Counter[str]]] = []
    with TemporaryDirectory() as name:
        folder = Path(name)
        small = [folder / f"{kind}.pcap" for kind in PACKETS]
        made = [make(kind, PACKETS[kind], path) for kind, path in zip(PACKETS, small, strict=True)]
        dumps = callgrind(small, folder, "--dump-instr=yes", native=str(NATIVE))
        for kind, packets, dump in zip(PACKETS, made, dumps, strict=True):
            stages, lines = by_stage(of_callgrind(dump.file))
            show_lines(f"{kind} instructions", lines, args.lines, packets)
            columns.append((f"{kind} instr.", scaled(stages, 1 / packets)))
            capture, count = captures(kind)
            capture.read_bytes()  # into the page cache
            stages, lines = by_stage(of_perf(capture, folder))
            show_lines(f"{kind} ns", lines, args.lines, count / SAMPLE_NS)
            columns.append((f"{kind} ns", scaled(stages, SAMPLE_NS / count)))
    rows = [
        [row, *(f"{costs[row]:,.0f}" if costs[row] else "" for _, costs in columns)]
        for row in ROWS
        if any(costs[row] >= 0.5 for _, costs in columns)
    ]
    rows.append(["all", *(f"{sum(costs.values()):,.0f}" for _, costs in columns)])
    text = page.table(["a packet", *(name for name, _ in columns)], rows)
    print(text)
    if args.write:
        page.put("stages", f"{text}\n\n{machine()}.")


def scaled(costs: Counter[str], factor: float) -> Counter[str]:
    return Counter({name: count * factor for name, count in costs.items()})  # type: ignore[misc]


if __name__ == "__main__":
    main()
