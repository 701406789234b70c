"""What the campaigns kill: a store that writes windows and says the number of each that is safe.

    python -m tests.campaigns.writer DB WINDOWS [--unsafe]

It goes on after the last number that is in the database. --unsafe does not wait for the disk, so
that the campaign can show that it would find a loss.
"""

import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from sensor.model.rows import WindowRows
from sensor.store.sqlite import SqliteStore
from tests.unit.store.made import T0, US, agent, connection, metrics

CONNECTIONS = 20  # of a window
COUNT = "SELECT count(*), count(DISTINCT timestamp) FROM network_performance_metrics"
ROWS = "SELECT count(*), count(DISTINCT seq) FROM connections"


def window(number: int) -> WindowRows:
    """One endpoint, some connections; a minute each."""
    at = T0 + number * 60 * US
    rows = [metrics("a:443/tcp", at, [1000 + number, 2000])]
    return WindowRows(agent(at), rows, connections=[connection(at)] * CONNECTIONS)


def written(db: Path) -> int:
    """Windows in the database; AssertionError when it is damaged, or something is there twice."""
    with closing(sqlite3.connect(db)) as opened:
        (verdict,) = opened.execute("PRAGMA integrity_check").fetchone()
        assert verdict == "ok", verdict
        if not opened.execute("SELECT 1 FROM sqlite_master WHERE name = 'connections'").fetchone():
            return 0
        windows, times = opened.execute(COUNT).fetchone()
        assert windows == times, "a window is there twice"
        rows, numbers = opened.execute(ROWS).fetchone()
        assert rows == numbers == windows * CONNECTIONS, "half a window"
        return int(windows)


def work(db: Path, windows: int, say: int, *, unsafe: bool = False) -> None:
    """`say`: a descriptor that takes each number once its window is safe."""
    first = written(db) if db.exists() else 0
    with SqliteStore(str(db)) as store:
        if unsafe:
            store._db.execute("PRAGMA synchronous = OFF")
        for number in range(first, first + windows):
            store.write_window(window(number))
            os.write(say, b"%d\n" % number)


if __name__ == "__main__":
    work(Path(sys.argv[1]), int(sys.argv[2]), 1, unsafe="--unsafe" in sys.argv)
