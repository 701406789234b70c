"""Power losses: what a disk may hold after one still has every window that was said to be safe.

    python -m tests.campaigns.powerloss [POINTS] [--seed N]

The system calls of a real writer are recorded by strace(1) with their data. For a random moment,
the files are made as a disk could hold them then: what was synced is there; of what was written
since, any part, in sectors of 512 octets; a file that was cut may still have its old length.

Bias: names of files are taken to be durable at once (the database is made before the recording),
and a sector is written whole or not at all.
"""

import argparse
import random
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.campaigns.writer import work, written

SECTOR = 512
CALLS = "openat,close,write,pwrite64,ftruncate,fsync,fdatasync,unlink"
LINE = re.compile(r"(?:\d+ +)?(\w+)\((.*)\) += (-?\d+)")
WINDOWS = 120  # of one recording


@dataclass
class Disk:
    """One file: what is sure to be there, and what has been done to it since."""

    synced: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes] | int] = field(default_factory=list)  # a write, or a length

    def sync(self) -> None:
        for change in self.pending:
            apply(self.synced, change)
        self.pending.clear()

    def after_power_loss(self, chance: random.Random) -> bytes:
        """One of the states that it may be in."""
        made = bytearray(self.synced)
        changes = [part for change in self.pending for part in sectors(change)]
        share = chance.choice((0.0, 0.2, 0.5, 0.8, 1.0))
        for change in changes:
            if chance.random() < share:
                apply(made, change)
        return bytes(made)


def apply(octets: bytearray, change: tuple[int, bytes] | int) -> None:
    if isinstance(change, int):
        del octets[change:]
        octets.extend(bytes(change - len(octets)))
        return
    at, data = change
    octets.extend(bytes(max(at - len(octets), 0)))
    octets[at : at + len(data)] = data


def sectors(change: tuple[int, bytes] | int) -> Iterator[tuple[int, bytes] | int]:
    if isinstance(change, int):
        yield change
        return
    at, data = change
    start = 0
    while start < len(data):
        end = min(start + SECTOR - (at + start) % SECTOR, len(data))
        yield at + start, data[start:end]
        start = end


def record(db: Path, log: Path, windows: int, *flags: str) -> None:
    """Run the writer under strace."""
    traced = ["strace", "-f", "-qq", "-xx", "-s", "1000000", "-e", f"trace={CALLS}"]
    writer = [sys.executable, "-m", "tests.campaigns.writer", str(db), str(windows), *flags]
    subprocess.run([*traced, "-o", str(log), *writer], check=True, stdout=subprocess.DEVNULL)


def events(log: Path, folder: Path) -> Iterator[tuple[str, str, tuple[int, bytes] | int | None]]:
    """(what, file name, change): `write`, `cut`, `sync`, `gone`, and `safe` with a number."""
    names: dict[int, str] = {}
    with log.open() as lines:
        for line in lines:
            if (found := LINE.match(line)) is None or int(found[3]) < 0:
                continue
            call, words, result = found[1], found[2].split(", "), int(found[3])
            if call == "openat":
                path = Path(text(words[1]).decode(errors="replace"))
                if path.parent == folder:
                    names[result] = path.name
                else:
                    names.pop(result, None)
            elif call == "write" and words[0] == "1":
                yield "safe", "", int(text(words[1]))
            elif call == "unlink":
                yield "gone", Path(text(words[0]).decode(errors="replace")).name, None
            elif (name := names.get(int(words[0]))) is None:
                continue
            elif call == "close":
                del names[int(words[0])]
            elif call == "pwrite64":
                yield "write", name, (int(words[3]), text(words[1])[:result])
            elif call == "ftruncate":
                yield "cut", name, int(words[1])
            elif call in ("fsync", "fdatasync"):
                yield "sync", name, None


def text(word: str) -> bytes:
    r"""What strace wrote as ``"\x00\x01"``."""
    return bytes.fromhex(word.strip('"').replace("\\x", ""))


def campaign(folder: Path, points: int, seed: int, *flags: str, windows: int = WINDOWS) -> int:
    """Windows that were safe, over all points; AssertionError at the first that is lost."""
    chance = random.Random(seed)
    live, crashed = folder / "live", folder / "crashed"
    live.mkdir()
    crashed.mkdir()
    db = live / "s.db"
    with (folder / "said").open("wb") as said:
        work(db, 3, said.fileno())
    disks = {"s.db": Disk(bytearray(db.read_bytes()))}
    record(db, folder / "log", windows, *flags)
    history = list(events(folder / "log", live))
    moments = sorted(chance.randrange(len(history)) for _ in range(points))
    safe, kept = 3, 0
    for at, (what, name, change) in enumerate(history):
        while moments and moments[0] == at:
            moments.pop(0)
            check(disks, crashed, chance, safe)
            kept += safe
        if what == "safe":
            assert isinstance(change, int)
            safe = change + 1
        elif what == "gone":
            disks.pop(name, None)
        elif not name.endswith(("-shm", ".lock")):  # made anew at the next opening
            disk = disks.setdefault(name, Disk())
            if what == "sync":
                disk.sync()
            else:
                assert change is not None
                disk.pending.append(change)
    return kept


def check(disks: dict[str, Disk], folder: Path, chance: random.Random, safe: int) -> None:
    """Open what the disk holds."""
    for old in folder.iterdir():
        old.unlink()
    for name, disk in disks.items():
        (folder / name).write_bytes(disk.after_power_loss(chance))
    found = written(folder / "s.db")
    assert found >= safe, f"{safe} windows were safe, {found} are there"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("points", type=int, nargs="?", default=1000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        kept = campaign(Path(folder), args.points, args.seed)
    print(f"{args.points} power losses, {kept} windows safe at them: 0 lost, 0 twice, 0 damaged")


if __name__ == "__main__":
    main()
