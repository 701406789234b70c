"""`sensor replay --cluster`: an archive by Dask's workers gives the figures of one replay."""

import json
import os
import signal
import sqlite3
import struct
import subprocess
import sys
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from sensor.flow.locality import given
from sensor.model.ids import agent_id
from sensor.programs.archive import Plan, cluster, look_at_all
from tests.unit.programs.captures import MS, START, Timed, dns_lookup, http_connection, write
from tests.unit.programs.captures import ping as echo
from tests.unit.programs.test_cli import run
from tests.unit.programs.test_replay import comparable, document

pytest.importorskip("distributed")
FILES = 3
LOCAL = ("--local", "10.0.0.0/8", "--window", "10")
CLUSTER = ("--cluster", "local", "--workers", "2")
# When rows were written, in which order, and which run of which files it was.
OWN = {"id", "seq", "boot_id", "created_at", "network_id"}


def by_time(frame: Timed) -> int:
    return frame[0]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """One capture, and a folder with the same packets: each connection in one of three files."""
    folder = tmp_path_factory.mktemp("archive")
    parts: list[list[Timed]] = [[] for _ in range(FILES)]
    for i in range(90):
        at = START + i * 400 * MS
        rtt = (5 + i % 40) * MS
        mine = parts[i % FILES]
        mine += dns_lookup(at, i, "shop.example") + http_connection(at + 10 * MS, 20000 + i, rtt)
    for seq in range(30):
        parts[1] += echo(START + seq * 1000 * MS, seq)
    whole = write(folder / "whole.pcap", sorted(chain(*parts), key=by_time))
    split = folder / "split"
    split.mkdir()
    for number, frames in enumerate(parts):
        write(split / f"{number}.pcap", sorted(frames, key=by_time))
    return whole, split


def figures(made: dict[str, Any]) -> dict[str, Any]:
    return comparable(made)


def rows(db: Path) -> dict[str, list[tuple[Any, ...]]]:
    found = {}
    with closing(sqlite3.connect(db)) as opened:
        for (table,) in opened.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '%sqlite%'"
        ).fetchall():
            names = [name for _, name, *_ in opened.execute(f"PRAGMA table_info({table})")]
            kept = ", ".join(name for name in names if name not in OWN)
            found[table] = sorted(opened.execute(f"SELECT {kept} FROM {table}"), key=repr)  # noqa: S608
    return found


def test_it_gives_what_one_replay_gives(archive: tuple[Path, Path], tmp_path: Path) -> None:
    whole, split = archive
    one = document(whole, *LOCAL, "--db", tmp_path / "one.db")
    names = sorted(split.iterdir(), reverse=True)  # in any order
    many = document(*names, *LOCAL, *CLUSTER, "--db", tmp_path / "many.db")
    assert figures(many) == figures(one)
    assert many["latency_us"]["tcp_handshake"]["count"] == 90
    mine, theirs = rows(tmp_path / "many.db"), rows(tmp_path / "one.db")
    for table in theirs:
        assert mine[table] == theirs[table], table
    assert len(mine["connections"]) > 180
    assert len(mine["latency_histograms"]) > 3


def test_a_damaged_file_is_told_and_the_rest_is_kept(
    archive: tuple[Path, Path], tmp_path: Path
) -> None:
    names = sorted(archive[1].iterdir())
    cut, none = tmp_path / "cut.pcap", tmp_path / "none.pcap"
    cut.write_bytes(names[2].read_bytes()[:-7])
    none.write_bytes(struct.pack("<IHH", 0xDEADBEEF, 2, 4))
    done = run("replay", *map(str, (*names[:2], cut, none)), "--json", *LOCAL, *CLUSTER)
    assert done.returncode in (65, 66)
    told = [line for line in done.stderr.decode().splitlines() if line.startswith("sensor: ")]
    assert any("cut.pcap" in line for line in told)
    assert any("none.pcap" in line for line in told)
    whole = document(archive[0], *LOCAL)["capture"]["packets"]
    assert json.loads(done.stdout)["capture"]["packets"] == whole - 1


def test_without_dask_it_says_what_to_install(archive: tuple[Path, Path]) -> None:
    code = (
        "import sys; sys.modules['distributed'] = None\n"
        "from sensor.programs.cli import main\nmain()"
    )
    words = [sys.executable, "-c", code, "replay", str(archive[0]), "--cluster", "local"]
    here = Path(__file__).parents[3]
    said = subprocess.run(words, capture_output=True, text=True, cwd=here, check=False)
    assert said.returncode == 2
    assert "shadower-sensor[archive]" in said.stderr.splitlines()[-1]
    assert "Traceback" not in said.stderr


def test_a_worker_that_dies_is_made_up_for(archive: tuple[Path, Path]) -> None:
    names = [str(path) for path in sorted(archive[1].iterdir())] * 4
    plan = Plan(given(("10.0.0.0/8",)), agent_id(None), None, 10)
    done = []
    with cluster("local", 2) as client:
        for name, found in look_at_all(client, names, plan):
            if not done:
                os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)
            done.append((name, found.capture.packets))
    assert sorted(name for name, _ in done) == sorted(names)
    assert len(set(done)) == FILES
