"""Logs of three CDNs, by hand, and the figures that were worked out from them by hand."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from sensor.analytics import cdn
from sensor.analytics.timeframe import Period
from sensor.errors import SensorError
from sensor.model.rows import WindowRows
from sensor.programs.cdn import command
from sensor.programs.cdn_formats import time_us
from sensor.store.opening import open_reading
from sensor.store.sqlite import SqliteStore
from tests.unit.store.made import AGENT, US, agent, metrics

NOON = 1_700_049_600  # 2023-11-15T12:00:00Z
DAY = Period("24h", (NOON - 3600) * US, (NOON + 82_800) * US, 300)


def cloudflare() -> list[str]:
    """10 requests: 6 hits (hit, stale, revalidated among them), 2 misses (one expired), 2 bypasses;
    one 503; 4 in ZRH, 6 in FRA."""
    words = ["hit", "hit", "hit", "hit", "stale", "revalidated", "miss", "expired", "dynamic",
             "bypass"]  # fmt: skip
    return [
        json.dumps({
            "EdgeStartTimestamp": (NOON + n) * 10**9,
            "EdgeEndTimestamp": (NOON + n) * 10**9 + 20_000_000 * (n + 1),  # 20 ms, 40 ms, ...
            "EdgeColoCode": "ZRH" if n < 4 else "FRA",
            "ClientCountry": "ch" if n < 4 else "de",
            "ClientRequestHost": "www.example",
            "EdgeResponseStatus": 503 if n == 9 else 200,
            "CacheCacheStatus": word,
            "CacheTieredFill": n == 6,
            "EdgeResponseBytes": 1_000_000,
            "OriginResponseBytes": 0 if n < 6 else 900_000,
            "EdgeTimeToFirstByteMs": 10,
        })
        for n, word in enumerate(words)
    ]  # fmt: skip


def cloudfront() -> list[str]:
    """5 requests: 2 edge hits, 1 from the shield, 1 miss, 1 error; host and tabs as they come."""
    lines = ["#Version: 1.0", "#Fields: date time x-edge-location sc-bytes c-ip x-host-header"
             " sc-status x-edge-result-type time-taken time-to-first-byte"
             " x-edge-detailed-result-type"]  # fmt: skip
    for n, (result, detail) in enumerate([
        ("Hit", "Hit"), ("RefreshHit", "RefreshHit"), ("Miss", "OriginShieldHit"),
        ("Miss", "Miss"), ("Error", "OriginConnectError"),
    ]):  # fmt: skip
        status = "502" if result == "Error" else "200"
        row = f"2023-11-15 12:00:0{n} ZRH50-C1 2000000 8.8.8.8 cdn.example {status} {result}"
        lines.append("\t".join([*row.split(), "0.050", "0.010", detail]))
    return lines


def fastly() -> list[str]:
    """4 requests at edges: a hit by state, a pass, an X-Cache miss that the shield had, a miss of
    both; and a line of the shield itself, which is no request of a client."""
    common = {"host": "a.example", "status": 200, "resp_bytes_written": 500_000,
              "time_elapsed_usec": 30_000, "client_country_code": "JP", "pop": "NRT"}  # fmt: skip
    rows = [
        {"timestamp": "2023-11-15T12:00:00+0000", "fastly_info_state": "HIT-CLUSTER"},
        {"timestamp": NOON + 1, "fastly_info_state": "PASS"},
        {"timestamp": (NOON + 2) * 10**6, "x_cache": "HIT, MISS"},
        {"timestamp": NOON + 3, "x_cache": "MISS, MISS"},
        {"timestamp": NOON + 3, "x_cache": "MISS", "fastly_is_edge": False},
    ]
    return [json.dumps(common | row) for row in rows]


def ingest(db: Path, log: Path, *more: str) -> tuple[int, str]:
    found = CliRunner().invoke(
        command, ["ingest", str(log), "--agent-id", AGENT, "--db", str(db), *more],
        standalone_mode=False,
    )  # fmt: skip
    if isinstance(found.exception, SensorError):
        return found.exception.exit_code, str(found.exception)
    assert found.exception is None, found.exception
    return int(found.return_value), found.output


def log(folder: Path, lines: list[str], name: str = "a.log") -> Path:
    path = folder / name
    path.write_text("\n".join(lines) + "\n")
    return path


def analysed(db: Path, **prices: float) -> dict[str, Any]:
    reading = open_reading(str(db))
    try:
        return cdn.analyse(reading, AGENT, DAY, **prices)
    finally:
        reading.close()


def test_cloudflare_by_hand(tmp_path: Path) -> None:
    db = tmp_path / "s.db"
    status, said = ingest(db, log(tmp_path, cloudflare()))
    assert (status, "10 requests, 0 bad lines" in said) == (0, True)
    found = analysed(db, cdn_price_per_gb=0.05, origin_price_per_gb=0.2)
    assert (found["available"], found["cdn_provider"]) == (True, "cloudflare")
    assert found["cache_performance"] == {
        "cache_hit_ratio": 0.75,
        "cache_miss_ratio": 0.25,
        "cache_bypass_ratio": 0.2,
        "origin_shield_hit_ratio": 0.5,
    }
    assert found["edge_locations"] == ["FRA", "ZRH"]
    fra, zrh = found["edge_metrics"]
    assert (zrh["requests_served"], zrh["avg_response_time_ms"], zrh["error_rate"]) == (4, 50, 0)
    assert (fra["requests_served"], fra["avg_response_time_ms"]) == (6, 150)
    assert fra["error_rate"] == pytest.approx(1 / 6)
    assert fra["bandwidth_served_gb"] == 0.006
    offload = found["origin_offload"]
    assert (offload["requests_to_origin"], offload["requests_served_from_edge"]) == (4, 6)
    assert (offload["offload_percentage"], offload["bandwidth_savings_gb"]) == (60, 0.006)
    germany, swiss = found["geographic_performance"]
    assert (swiss["region"], swiss["cache_hit_ratio"], swiss["availability"]) == ("CH", 1, 1)
    assert germany["cache_hit_ratio"] == 0.5
    assert germany["availability"] == pytest.approx(5 / 6)
    assert found["availability"]["ratio"] == 0.9
    cost = found["cost_effectiveness"]
    assert cost["cdn_cost"] == pytest.approx(0.01 * 0.05)
    assert cost["origin_bandwidth_saved"] == pytest.approx(0.006 * 0.2)
    assert cost["cost_per_gb_served"] == pytest.approx(0.05)
    assert cost["roi"] == pytest.approx((0.0012 - 0.0005) / 0.0005)


def test_cloudfront_by_hand(tmp_path: Path) -> None:
    db, path = tmp_path / "s.db", tmp_path / "a.gz"
    path.write_bytes(gzip.compress("\n".join(cloudfront()).encode()))
    assert ingest(db, path)[0] == 0
    found = analysed(db)
    assert found["cache_performance"] == {
        "cache_hit_ratio": 0.75,
        "cache_miss_ratio": 0.25,
        "cache_bypass_ratio": 0.0,
        "origin_shield_hit_ratio": 0.5,
    }
    (edge,) = found["edge_metrics"]
    assert (edge["edge_location"], edge["requests_served"]) == ("ZRH50-C1", 5)
    assert (edge["avg_response_time_ms"], edge["error_rate"]) == (50, 0.2)
    assert [row["region"] for row in found["geographic_performance"]] == ["US"]
    assert found["cost_effectiveness"]["cdn_cost"] is None
    assert "prices" in found["reasons"]["cost_effectiveness"]


def test_fastly_by_hand(tmp_path: Path) -> None:
    db = tmp_path / "s.db"
    status, said = ingest(db, log(tmp_path, fastly()), "--format", "fastly")
    assert (status, "4 requests, 0 bad lines, 1 of other hops" in said) == (0, True)
    found = analysed(db)
    assert found["cache_performance"] == {
        "cache_hit_ratio": pytest.approx(2 / 3),
        "cache_miss_ratio": pytest.approx(1 / 3),
        "cache_bypass_ratio": 0.25,
        "origin_shield_hit_ratio": 0.5,
    }
    assert found["edge_metrics"][0]["avg_response_time_ms"] == 30
    assert found["origin_offload"]["offload_percentage"] == 50


def test_without_logs_nothing_is_made_up(tmp_path: Path) -> None:
    db = tmp_path / "s.db"
    at = (NOON - NOON % 3600) * US
    with SqliteStore(str(db)) as store:
        store.write_window(
            WindowRows(
                agent(at + 60 * US),
                [
                    metrics("d111.cloudfront.net:443/tcp", at, role="originator"),
                    metrics("www.example:80/tcp", at, role="responder", http_requests=42),
                ],
            )
        )
    found = analysed(db)
    assert (found["available"], "log" in found["reason"]) == (False, True)
    assert set(found["cache_performance"].values()) == {None}
    assert found["cdn_provider"] == "cloudfront"
    assert found["observed_providers"] == {"cloudfront": 4000}
    assert found["origin_offload"]["requests_to_origin"] is None
    assert found["origin_offload"]["on_wire"]["requests"] == 42
    assert (found["edge_metrics"], found["availability"]) == ([], None)


def test_without_logs_what_caches_say_in_clear(tmp_path: Path) -> None:
    """As a client, and as a server behind a cache of its own; a log comes before it."""
    db = tmp_path / "s.db"
    at = (NOON - NOON % 3600) * US
    said = metrics("www.example:80/tcp", at, role="originator", cache_hits=6, cache_misses=1)
    own = metrics("a:80/tcp", at, role="responder", cache_misses=1, cache_bypasses=2)
    with SqliteStore(str(db)) as store:
        store.write_window(WindowRows(agent(at + 60 * US), [said, own]))
    found = analysed(db)
    assert found["available"]
    assert "cleartext" in found["reason"]
    assert found["observed_caching"] == {"hits": 6, "misses": 2, "bypasses": 2}
    assert found["cache_performance"] == {
        "cache_hit_ratio": 0.75, "cache_miss_ratio": 0.25, "cache_bypass_ratio": 0.2,
        "origin_shield_hit_ratio": None,
    }  # fmt: skip
    assert "cleartext" in found["reasons"]["cache_performance"]
    assert ingest(db, log(tmp_path, cloudflare()))[0] == 0
    found = analysed(db)
    assert (found["reason"], found["requests"]) == (None, 10)
    assert found["cache_performance"]["cache_bypass_ratio"] == 0.2
    assert found["observed_caching"]["hits"] == 6


def test_a_log_read_again_adds_nothing(tmp_path: Path) -> None:
    db, path = tmp_path / "s.db", log(tmp_path, cloudflare())
    ingest(db, path)
    status, said = ingest(db, path)
    assert (status, "0 requests" in said, "10 lines read before" in said) == (0, True, True)
    assert analysed(db)["requests"] == 10


def test_a_daemon_writes_at_the_same_time(tmp_path: Path) -> None:
    """Both number their rows; none is lost, no number is given twice."""
    db = tmp_path / "s.db"
    at = NOON * US
    with SqliteStore(str(db)) as store:
        store.write_window(WindowRows(agent(at), [metrics("a:1/tcp", at)]))
        assert ingest(db, log(tmp_path, cloudflare()))[0] == 0
        store.write_window(WindowRows(agent(at), [metrics("b:1/tcp", at)]))
    reading = open_reading(str(db))
    assert [run.version for run in reading.agents()] == ["0.1.0"]  # no run of the log's own
    reading.close()
    assert analysed(db)["requests"] == 10


@pytest.mark.parametrize(
    "line",
    [
        b"{", b"[]", b"null", b"\x00\xff\xfe", b'{"EdgeStartTimestamp": "soon"}',
        b'{"EdgeStartTimestamp": -1e400}', b'{"EdgeStartTimestamp": true}', b"[" * 60_000,
        b'{"EdgeStartTimestamp": ' + b"9" * 5000 + b"}", b"a b c", b"x" * 200_000,
    ],
)  # fmt: skip
def test_bad_lines_are_counted(tmp_path: Path, line: bytes) -> None:
    db, path = tmp_path / "s.db", tmp_path / "a.log"
    good = cloudflare()
    path.write_bytes(good[0].encode() + b"\n" + line + b"\n" + good[1].encode() + b"\n")
    status, said = ingest(db, path)
    assert (status, "2 requests, 1 bad lines" in said) == (0, True), said
    path.write_bytes(line + b"\n")
    assert ingest(db, path)[0] == 66


def test_hostile_fields_are_bounded(tmp_path: Path) -> None:
    row = json.loads(cloudflare()[0]) | {
        "ClientRequestHost": "\x1b[2J" + "a" * 9000, "EdgeColoCode": ["list"],
        "EdgeResponseBytes": -5, "EdgeResponseStatus": 1e9, "CacheCacheStatus": {"a": 1},
        "ClientCountry": "'; DROP TABLE cdn_requests; --", "ClientIP": "nowhere",
    }  # fmt: skip
    db = tmp_path / "s.db"
    assert ingest(db, log(tmp_path, [json.dumps(row)]))[0] == 0
    found = analysed(db)
    assert (found["requests"], found["edge_metrics"]) == (1, [])
    assert found["cache_performance"]["cache_hit_ratio"] is None
    assert found["geographic_performance"][0]["region"] == "unknown"


def test_a_damaged_archive_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress("\n".join(cloudflare() * 50).encode())[:-20])
    assert ingest(tmp_path / "s.db", path) == (65, f"{path}: damaged gzip")
    assert ingest(tmp_path / "s.db", tmp_path / "none")[0] == 66


def test_times_of_every_kind() -> None:
    same = [NOON, NOON * 1000, NOON * 10**6, NOON * 10**9, str(NOON), float(NOON),
            "2023-11-15T12:00:00Z", "2023-11-15T13:00:00+01:00", "2023-11-15T12:00:00"]  # fmt: skip
    assert {time_us(value) for value in same} == {NOON * US}
    assert {time_us(value) for value in (None, True, "", [], {}, 5, "1e400", "later")} == {None}
