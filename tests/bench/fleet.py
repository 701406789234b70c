"""Rows of many agents into one central store: rows per second, octets per row, and how long the
questions of the dashboard take. `python -m tests.bench.fleet --help`; asserts nothing.

Agents are made (seeded), one window per minute each, sent by some connections at once through the
real exporters. PostgreSQL is started here unless --url says where it is.
"""

import argparse
import os
import random
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from statistics import median, quantiles
from tempfile import TemporaryDirectory

from sensor.ship.destination import Batch, Row
from sensor.ship.exporters import open_destination
from sensor.ship.outbox import BATCH_ROWS
from sensor.store.administration import administration
from sensor.store.opening import open_reading
from sensor.store.reading import ReadingStore, Scope
from tests.fleet.made import MINUTE, agent_id, boot_id, run, window
from tests.fleet.servers import postgres
from tests.unit.store.made import US

TABLES = {
    "network_performance_metrics": "metrics",
    "latency_histograms": "latency",
    "protocol_mix": "protocols",
    "regional_metrics": "regions",
    "bandwidth_seconds": "bandwidth",
    "capture_health": "health",
    "connections": "connections",
}
QUESTIONS = {
    "performance, one agent": lambda s, w, a: one_agent(s, w, a),
    "latency of all agents": lambda s, w, a: s.latency(w, None, ("agent_id",)),
    "health of all agents": lambda s, w, a: s.health(w, None),
    "agents": lambda s, w, a: s.agents(),
}


def one_agent(store: ReadingStore, scope: Scope, agent: str) -> None:
    mine = Scope(scope.since, scope.until, (agent,))
    store.metrics(mine, 60)
    store.latency(mine, 60)
    store.latency(mine, None, ("endpoint",))
    store.bandwidth(mine, 60)
    store.protocols(mine, None)


def batches(n: int, begin: int, minutes: int) -> Iterator[Batch]:
    """What agent `n` has to ship: four endpoints, two seconds with traffic and a connection a
    minute."""
    rng = random.Random(n)
    rows: dict[str, list[Row]] = {name: [] for name in TABLES}
    seq = 0
    agent = run(n, begin + minutes * MINUTE, source="live")
    store = boot_id(n)
    yield Batch(store, "agents", agent._fields, [tuple(agent)])
    names: dict[str, tuple[str, ...]] = {}
    for k in range(minutes):
        made = window(n, begin + k * MINUTE, rng)
        for table, field in TABLES.items():
            for row in getattr(made, field):
                seq += 1
                more: Row = (seq,)
                if table == "network_performance_metrics":
                    more = (f"{n:08x}-0000-5000-8000-{seq:012x}", seq)
                names.setdefault(table, columns(table, field))
                rows[table].append((*row, *more))
                if len(rows[table]) == BATCH_ROWS:
                    yield Batch(store, table, names[table], rows[table], seq - 1, seq)
                    rows[table] = []
    for table, left in rows.items():
        if left:
            yield Batch(store, table, names[table], left, seq, seq + 1)


def columns(table: str, field: str) -> tuple[str, ...]:
    from sensor.model import rows as kinds  # noqa: PLC0415 - by name

    kind = {"metrics": "MetricsRow", "latency": "LatencyHistogramRow", "protocols":
            "ProtocolMixRow", "regions": "RegionalRow", "bandwidth": "BandwidthSecond",
            "health": "CaptureHealthRow", "connections": "ConnectionRow"}[field]  # fmt: skip
    own: tuple[str, ...] = getattr(kinds, kind)._fields
    return (*own, *(("id",) if field == "metrics" else ()), "seq")


def main() -> None:
    parse = argparse.ArgumentParser(description=__doc__)
    parse.add_argument("--agents", type=int, default=100)
    parse.add_argument("--minutes", type=int, default=60)
    parse.add_argument("--connections", type=int, default=2)
    parse.add_argument("--rounds", type=int, default=30, help="of each question")
    parse.add_argument("--url", help="an empty database; default: PostgreSQL started here")
    parse.add_argument("--clickhouse", action="store_true", help="chDB, in this process")
    given = parse.parse_args()
    with ExitStack() as stack:
        if given.clickhouse:
            url = f"chdb://{stack.enter_context(TemporaryDirectory())}/db"
        else:
            url = given.url or stack.enter_context(postgres()).database("bench")
        administration(url).init(url)
        measure(url, given.agents, given.minutes, given.connections, given.rounds)


def measure(url: str, agents: int, minutes: int, connections: int, rounds: int) -> None:
    now = time.time_ns() // 1000 // MINUTE * MINUTE
    begin = now - minutes * MINUTE
    made = [list(batches(n, begin, minutes)) for n in range(agents)]
    rows = sum(len(batch.rows) for of_agent in made for batch in of_agent)

    def send(part: int) -> None:
        with closing(open_destination(url)) as destination:
            for of_agent in made[part::connections]:
                for batch in of_agent:
                    destination.send(batch)

    at = time.perf_counter()
    with ThreadPoolExecutor(connections) as pool:
        list(pool.map(send, range(connections)))
    seconds = time.perf_counter() - at
    per_day = rows / agents / minutes * 1440
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {time.ctime()}")
    print(f"{agents} agents, {minutes} min, {connections} connections: {rows:,} rows")
    print(f"written: {rows / seconds:,.0f} rows/s; {per_day:,.0f} rows per agent and day")
    print(f"so one such server takes {rows / seconds * 86400 / per_day:,.0f} agents (estimate)")
    with closing(open_reading(url)) as store:
        scope = Scope(begin, now + US)
        for name, ask in QUESTIONS.items():
            taken = []
            for k in range(rounds):
                at = time.perf_counter()
                ask(store, scope, agent_id(k % agents))
                taken.append((time.perf_counter() - at) * 1000)
            p99 = quantiles(taken, n=100)[98] if len(taken) > 1 else taken[0]
            print(f"{name}: median {median(taken):.1f} ms, p99 {p99:.1f} ms")
    print(f"on disk: {octets(url, rows)}")


def octets(url: str, rows: int) -> str:
    if url.startswith("postgres"):
        import psycopg  # noqa: PLC0415 - only for this store

        with psycopg.connect(url) as db:
            row = db.execute("SELECT pg_database_size(current_database())").fetchone()
            size = row[0] if row else 0
    else:
        from sensor.store.clickhouse import connect  # noqa: PLC0415 - likewise

        with closing(connect(url)) as client:
            sql = "SELECT sum(bytes_on_disk) FROM system.parts WHERE active"
            size = client.query(sql).result_rows[0][0]
    return f"{size / 1e6:,.0f} MB, {size / rows:,.0f} octets per row with indexes"


if __name__ == "__main__":
    sys.exit(main())
