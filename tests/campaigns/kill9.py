"""kill -9 again and again: no window that was said to be safe is lost, none is there twice.

    python -m tests.campaigns.kill9 [CYCLES] [--seed N]

Each cycle a process writes to the same database until it is killed at a random moment.
"""

import argparse
import os
import random
import signal
import tempfile
from pathlib import Path
from time import sleep

from tests.campaigns.writer import work, written

LONGEST_S = 0.08


def campaign(db: Path, cycles: int, seed: int) -> tuple[int, int]:
    """(windows said to be safe, windows in the database); AssertionError at the first loss."""
    chance = random.Random(seed)
    safe = 0
    for cycle in range(cycles):
        out, say = os.pipe()
        if not (child := os.fork()):
            os.close(out)
            work(db, 1 << 30, say)
        os.close(say)
        with os.fdopen(out, "rb") as said:
            sleep(chance.random() * LONGEST_S)
            os.kill(child, signal.SIGKILL)
            numbers = said.read().splitlines()
        os.waitpid(child, 0)
        if numbers:
            safe = int(numbers[-1]) + 1
        found = written(db) if db.exists() and db.stat().st_size else 0
        # One more may be there: killed between the commit and the word.
        assert safe <= found, f"cycle {cycle}: {safe} were safe, {found} are there"
        safe = found
    return safe, found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("cycles", type=int, nargs="?", default=1000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        _, found = campaign(Path(folder) / "s.db", args.cycles, args.seed)
    print(f"{args.cycles} kills, {found} windows written: 0 lost, 0 twice, 0 damaged")


if __name__ == "__main__":
    main()
