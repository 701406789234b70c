"""The attack lab: real tools against a real nginx between two network namespaces, replayed.

    python -m tests.live.lab [--only REGEX] [--keep DIR] [--json] [--write docs/detection.md]

Each scenario is captured at the victim, with the moment its first attack packet could leave, and
replayed by `sensor replay --json`. Printed: found or silent, class, severity, confidence, time to
detect; then the detection rate with its 95 % interval and false events per benign hour. Rates are
bounded (a few hundred packets/s for 8 s); all traffic stays in the two namespaces. Needs root.

Bias: clients and server share the machine's two cores, there is no path between them, and each
scenario has one victim; a rate says nothing about links that are full.
"""

import argparse
import json
import os
import re
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

ATTACKER, VICTIM = f"sl-a{os.getpid()}", f"sl-v{os.getpid()}"
SERVER4, SERVER6 = "10.77.0.10", "fd77::10"
CLIENTS = 60  # addresses of the attacker's side: 10.77.1.1 ...
LOUD = {"medium", "high", "critical"}
TOOLS = ("hping3", "slowhttptest", "wrk", "ab", "nmap", "nginx", "tcpdump", "curl", "ping")


@dataclass(frozen=True)
class Scenario:
    """One entry of scenarios.toml."""

    name: str
    command: str
    classes: tuple[str, ...] = ()
    seconds: float = 8
    within_s: float = 5


SCENARIOS = [
    Scenario(**entry)
    for entry in tomllib.loads(Path(__file__).with_name("scenarios.toml").read_text())["scenario"]
]


def run(command: str) -> None:
    subprocess.run(shlex.split(command), check=True, capture_output=True)


@contextmanager
def namespaces() -> Iterator[None]:
    """Two namespaces and a veth pair, with addresses; gone afterwards, whatever happens."""
    try:
        run(f"ip netns add {ATTACKER}")
        run(f"ip netns add {VICTIM}")
        run(f"ip link add veth0 netns {ATTACKER} type veth peer name veth0 netns {VICTIM}")
        for name, four, six in (
            (ATTACKER, "10.77.2.1/16", "fd77::1/64"),
            (VICTIM, f"{SERVER4}/16", f"{SERVER6}/64"),
        ):
            run(f"ip -n {name} addr add {four} dev veth0")
            run(f"ip -n {name} addr add {six} dev veth0 nodad")
            run(f"ip -n {name} link set veth0 up")
            run(f"ip -n {name} link set lo up")
        for i in range(1, CLIENTS + 1):
            run(f"ip -n {ATTACKER} addr add 10.77.1.{i}/16 dev veth0")
        run(f"ip -n {VICTIM} route add default via 10.77.2.1")  # answers to forged sources
        yield
    finally:
        for name in (ATTACKER, VICTIM):
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


@contextmanager
def webserver(folder: Path) -> Iterator[None]:
    """A real nginx with a few hundred pages."""
    root = folder / "www"
    root.mkdir()
    for i in range(1, 301):
        (root / f"p{i}.html").write_text(f"<p>page {i}</p>" * 40)
    (root / "big.bin").write_bytes(b"\0" * 10_000_000)
    (root / "index.html").write_text("hello")
    (folder / "nginx.conf").write_text(
        f"""daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; user root;
        events {{ worker_connections 2048; }}
        http {{
          access_log off; keepalive_requests 100000; client_body_temp_path {folder}/body;
          server {{
            listen 80; listen [::]:80; root {root}; location /api {{ return 200 ok; }}
            location /form {{ proxy_pass http://127.0.0.1:81; }}  # reads the body first
          }}
          server {{ listen 127.0.0.1:81; return 200 ok; }}
        }}"""
    )
    server = subprocess.Popen(
        ["ip", "netns", "exec", VICTIM, "nginx", "-c", f"{folder}/nginx.conf"],
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(100):
            asked = f"ip netns exec {ATTACKER} curl -s -m1 -o /dev/null http://{SERVER4}/"
            if subprocess.run(shlex.split(asked), check=False).returncode == 0:
                break
            time.sleep(0.05)
        else:
            sys.exit("lab: nginx does not answer")
        yield
    finally:
        server.terminate()
        server.wait()


def capture(scenario: Scenario, file: Path) -> float:
    """Run it with tcpdump at the victim; when the attacker's tool was started (Unix time)."""
    dump = subprocess.Popen(
        shlex.split(
            f"ip netns exec {VICTIM} tcpdump -i veth0 --immediate-mode -U -Z root -s 512 -w {file}"
        ),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert dump.stderr is not None
    while "listening on" not in (line := dump.stderr.readline()):
        assert line, "tcpdump did not start"
    visit = f"ip netns exec {ATTACKER} curl -s -o /dev/null http://{SERVER4}/p1.html"
    subprocess.run(shlex.split(visit), check=False)
    started = time.time()
    tool = subprocess.Popen(
        ["ip", "netns", "exec", ATTACKER, "bash", "-c", scenario.command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        tool.wait(scenario.seconds)
    except subprocess.TimeoutExpired:
        os.killpg(tool.pid, signal.SIGKILL)
        tool.wait()
    time.sleep(1)  # what is under way, and what tcpdump has yet to write
    dump.send_signal(signal.SIGINT)
    dump.communicate()
    return started


def judge(scenario: Scenario, file: Path, started: float) -> dict[str, Any]:
    """What `sensor replay --json` says of the capture."""
    replay = f"{sys.executable} -m sensor replay {file} --json --local {SERVER4} --local {SERVER6}"
    command = shlex.split(replay)
    document = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    events = document["events"]
    right = [e for e in events if e["attack_class"] in scenario.classes]
    loud = [e for e in events if e["severity"] in LOUD and e not in right]
    first = min(right, key=lambda e: e["detected_at"], default=None)
    delay = None
    if first is not None:
        # detected_at is UTC with nine digits; fromisoformat takes six
        detected = datetime.fromisoformat(first["detected_at"][:26] + "+00:00").timestamp()
        delay = detected - started
    return {
        "scenario": scenario.name,
        "attack": bool(scenario.classes),
        "packets": document["capture"]["packets"],
        "seconds": document["capture"]["duration_s"] or 0.0,
        "class": first["attack_class"] if first else None,
        "severity": first["severity"] if first else None,
        "confidence": first["confidence_score"] if first else None,
        "delay_s": delay,
        "late": delay is not None and delay > scenario.within_s,
        "false": [f"{e['attack_class']}/{e['severity']}" for e in loud],
    }


def wrong(result: dict[str, Any]) -> bool:
    """A false event, a missed attack, or one found too late."""
    missed = result["attack"] and (result["class"] is None or result["late"])
    return bool(result["false"] or missed)


def table(results: list[dict[str, Any]]) -> str:
    """Markdown."""
    lines = [
        "| scenario | packets | verdict | class | severity | confidence | time to detect |",
        "|---|---|---|---|---|---|---|",
    ]
    for r in results:
        if r["attack"]:
            verdict = "found" if r["class"] else "missed"
        else:
            verdict = "silent"
        if r["false"]:
            verdict += f", false: {', '.join(r['false'])}"
        delay = "-" if r["delay_s"] is None else f"{r['delay_s']:.1f} s"
        lines.append(
            f"| {r['scenario']} | {r['packets']:,} | {verdict} | {r['class'] or '-'} |"
            f" {r['severity'] or '-'} | {r['confidence'] or '-'} | {delay} |"
        )
    return "\n".join([*lines, "", summary(results)])


def wilson(hits: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927)."""
    if n == 0:
        return 0.0, 1.0
    share = hits / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5
    return max(0.0, middle - half), min(1.0, middle + half)


def summary(results: list[dict[str, Any]]) -> str:
    attacks = [r for r in results if r["attack"]]
    benign = [r for r in results if not r["attack"]]
    found = sum(r["class"] is not None for r in attacks)
    low, high = wilson(found, len(attacks))
    delays = sorted(r["delay_s"] for r in attacks if r["delay_s"] is not None)
    false = sum(len(r["false"]) for r in results)
    minutes = sum(r["seconds"] for r in benign) / 60
    parts = [f"Found {found} of {len(attacks)} (95 % interval {low:.0%} to {high:.0%})"]
    if delays:
        p95 = delays[int(0.95 * (len(delays) - 1))]
        parts.append(f"time to detect p50 {statistics.median(delays):.1f} s, p95 {p95:.1f} s")
    parts.append(f"{false} false events of severity medium or above in {minutes:.1f} benign min")
    return "; ".join(parts) + "."


def missing() -> list[str]:
    return [tool for tool in TOOLS if shutil.which(tool) is None]


def play(only: str = "", keep: Path | None = None) -> list[dict[str, Any]]:
    """Every scenario whose name matches; their verdicts."""
    results = []
    with tempfile.TemporaryDirectory() as folder, namespaces(), webserver(Path(folder)):
        for scenario in SCENARIOS:
            if not re.search(only, scenario.name):
                continue
            name = re.sub(r"[^a-z0-9]+", "_", scenario.name.lower())
            file = Path(keep or folder) / f"{name}.pcap"
            started = capture(scenario, file)
            results.append(judge(scenario, file, started))
            if sys.stderr.isatty():
                print(f"{scenario.name}: {results[-1]['class']}", file=sys.stderr)
    return results


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", default="", metavar="REGEX")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the captures there")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the table there")
    args = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("lab: needs root (network namespaces)")
    if absent := missing():
        sys.exit(f"lab: missing {', '.join(absent)} (apt-get install hping3 slowhttptest wrk"
                 " apache2-utils nmap nginx-light tcpdump curl iputils-ping)")  # fmt: skip
    if args.keep:
        args.keep.mkdir(parents=True, exist_ok=True)
    results = play(args.only, args.keep)
    text = json.dumps(results, indent=2) if args.json else table(results)
    print(text)
    if args.write:
        page = args.write.read_text()
        head, rest = page.split("<!-- lab -->\n", 1)
        tail = rest.split("<!-- /lab -->", 1)[1]
        args.write.write_text(f"{head}<!-- lab -->\n{table(results)}\n<!-- /lab -->{tail}")
    return 1 if any(wrong(result) for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
