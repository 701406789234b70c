"""Hosts made by hand: databases that SqliteStore wrote, with all that a store may hold."""

import json
import random
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np

from sensor.model.rows import (
    AgentRow,
    BandwidthSecond,
    CaptureHealthRow,
    LatencyHistogramRow,
    ProtocolMixRow,
    RegionalRow,
    WindowRows,
)
from sensor.store.retention import Limits
from sensor.store.sqlite import SqliteStore
from tests.unit.store.made import HOUR, T0, US, agent, connection, event, histogram, metrics

MINUTE = 60 * US
SINCE = T0 + 25 * MINUTE  # in the middle of an hour
ENDPOINTS = ("a.example:443/tcp", "b:443/tcp", "naïve\u202e:53/udp", "nul\0:80/tcp")
TEN = json.dumps([100] * 10)
ZERO = json.dumps([0] * 10)


def agent_id(n: int) -> str:
    return str(UUID(int=0x5F0D2C9E_58C5_4AC5_A8A5_D2AD3E1C0000 + n))


def boot_id(n: int) -> str:
    return str(UUID(int=0xC0FFEE00_0000_4000_8000_000000000000 + n))


def run(n: int, last: int, *, source: str = "replay") -> AgentRow:
    return agent(last, boot=boot_id(n), source=source)._replace(
        agent_id=agent_id(n), workspace_id=f"w{n % 2}", hostname=f"host{n}", first_packet=SINCE
    )


def mine(n: int, rows: Iterable[Any]) -> list[Any]:
    return [row._replace(agent_id=agent_id(n), boot_id=boot_id(n)) for row in rows]


def window(
    n: int, at: int, rng: random.Random, *, window_s: int = 60, samples: list[int] | None = None
) -> WindowRows:
    """A window of agent `n`; every sample of latency is added to `samples`."""
    rows = []
    pooled: list[int] = []
    for number, endpoint in enumerate(ENDPOINTS):
        drawn = [int(rng.lognormvariate(8 + number, 1)) + 1 for _ in range(rng.randrange(20))]
        pooled += drawn
        lost = None if endpoint.endswith("udp") else rng.randrange(3)
        rows.append(
            metrics(
                endpoint, at, drawn, packets_lost=lost, jitter_count=len(drawn),
                jitter_sum_us=7 * len(drawn), region="CH" if number else None, http_requests=2,
                app="http" if number == 3 else None, role="originator", window_s=window_s,
                workspace_id=f"w{n % 2}", bandwidth_usage_percent=1.5 if number else None,
            )
        )  # fmt: skip
    if samples is not None:
        samples += pooled
    seconds = [
        BandwidthSecond("", "", at + s * US, 1000 * (s + 1), 50, 0, 2, 1, 0, TEN, ZERO, ZERO)
        for s in range(2)
    ]
    kinds = [
        LatencyHistogramRow("", "", at, window_s, "dns_response", 2, 5, 6.5, 5, 8, 8, 8,
                            histogram([5, 8]))
    ]  # fmt: skip
    if pooled and n % 2:  # of the others the endpoints' histograms are all that there is
        ranks = [int(np.percentile(pooled, p, method="inverted_cdf")) for p in (50, 95, 99)]
        kinds.append(
            LatencyHistogramRow("", "", at, window_s, "tcp_rtt", len(pooled), min(pooled),
                                sum(pooled) / len(pooled), *ranks, max(pooled), histogram(pooled))
        )  # fmt: skip
    quality = "degraded" if at % HOUR == 0 else "ok"
    health = CaptureHealthRow("", "", at, window_s, quality, 100, None, 3, 0, 1, 0, 0, 0, 0, 0, 0,
                              0.25, '{"bad_checksum": 1, "nul\\u0000": 2}')  # fmt: skip
    talk = connection(at, resp_ip="2001:db8::1" if at % 2 else "192.0.2.80", vlan=7)
    return WindowRows(
        run(n, at + 59 * US),
        mine(n, rows),
        [(agent_id(n), boot_id(n), *talk[2:])],
        mine(n, seconds),
        mine(n, [ProtocolMixRow("", "", at, window_s, f, 100, 2, 1) for f in ("https", "dns")]),
        mine(n, kinds),
        mine(n, [RegionalRow("", "", at, window_s, "CH", 10, 2, 4, 1, 1000, 3)]),
        mine(n, [health]),
    )


def snapshot(n: int, at: int, rng: random.Random) -> WindowRows:
    """The daemon's look at ten seconds of a minute that is counted again."""
    whole = window(n, at, rng, window_s=10)
    return WindowRows(
        whole.agent, whole.metrics, protocols=whole.protocols, health=whole.health, snapshot=True
    )


def host(path: Path, agents: Iterable[int], windows: int, samples: list[int] | None = None) -> str:
    """A database of some agents; its path."""
    endless = Limits(*(10**18,) * 5, size=1 << 40)
    with SqliteStore(str(path), endless) as store:
        for n in agents:
            rng = random.Random(n)
            for k in range(windows):
                at = SINCE + k * MINUTE
                store.write_window(snapshot(n, at, random.Random(k)))
                store.write_window(window(n, at, rng, samples=samples))
            events = [
                event(100 * n + k, SINCE + k * US, severity=level, source_ip=source, blocked=k % 2)
                for k, (level, source) in enumerate(
                    [("low", "192.0.2.9"), ("high", "2001:db8::9"), ("critical", None)] * 2
                )
            ]
            store.write_window(WindowRows(run(n, SINCE + windows * MINUTE), events=mine(n, events)))
    with closing(sqlite3.connect(path)) as db, db:
        for n in agents:
            places(db, n)
    return str(path)


def places(db: sqlite3.Connection, n: int) -> None:
    """Topology and CDN logs, which no window brings: a star around a gateway, and what is known of
    its leaves varies."""
    rng = random.Random(n)
    own = {"agent_id": agent_id(n), "first_seen": SINCE}
    for k in range(8):
        insert(db, "topology_nodes", own | {
            "node": f"10.0.0.{k}", "ip": f"2001:db8::{k}" if k % 3 == 1 else f"10.0.0.{k}",
            "mac": f"02:00:00:00:00:0{k}" if k % 2 else None, "name": "naïve" if k == 2 else None,
            "role": "gateway" if k == 0 else "host", "vlan": k if k > 5 else None,
            "hops": k or None, "evidence": '["arp", "ttl"]', "confidence": k / 8,
            "last_seen": SINCE + (1 + k) * 10 * MINUTE,
        })  # fmt: skip
        for kind in ("l2", "l3")[k % 2 :] if k else ():
            insert(db, "topology_links", own | {
                "source": "10.0.0.0", "target": f"10.0.0.{k}", "kind": kind,
                "bytes": rng.randrange(1 << 40), "packets": 1000 * k, "connections": k or None,
                "errors": k % 2, "latency_avg_us": 100 * k if k > 2 else None, "evidence": "[]",
                "confidence": 0.5, "last_seen": SINCE + k * HOUR,
            })  # fmt: skip
    for k in range(40):
        (seq,) = db.execute("SELECT value FROM store_counters WHERE name = 'next_seq'").fetchone()
        db.execute("UPDATE store_counters SET value = value + 1 WHERE name = 'next_seq'")
        insert(db, "cdn_requests", {
            "seq": seq, "agent_id": agent_id(n), "timestamp": SINCE + k * MINUTE,
            "provider": ("fastly", "cloudflare")[k % 2], "edge_location": None if k % 3 else "ZRH",
            "region": ("CH", None, "DE")[k % 3], "status": 200 + 50 * (k % 10),
            "cache_status": ("hit", "miss", None)[k % 3], "bytes": rng.randrange(1 << 30),
            "origin_bytes": rng.randrange(1000) if k % 3 == 1 else None,
            "response_us": None if k == 3 else rng.randrange(10**6),
            "origin_shield": k % 3 if k % 3 < 2 else None, "host": f"x{k % 4}.example",
        })  # fmt: skip


def insert(db: sqlite3.Connection, table: str, row: dict[str, object]) -> None:
    """Whatever columns the table has now."""
    marks = ", ".join("?" * len(row))
    db.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))  # noqa: S608
