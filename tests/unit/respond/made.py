"""Events and the connections that bear them out, made by hand for the responder's tests."""

import json
from pathlib import Path

from sensor.config import convert
from sensor.model.rows import SecurityEventRow, WindowRows
from sensor.respond.settings import Settings, settings_of
from sensor.store.sqlite import SqliteStore
from tests.unit.store.made import BOOT, US, agent, connection, event

ATTACKER = "198.51.100.7"
VICTIM = "10.9.0.2"
NOW = 1_790_000_000 * US  # the wall clock of tests that have no real one


def flood(n: int = 1, at: int = NOW, *, source: str | None = ATTACKER, **more: object) -> object:
    """An http_flood of 400 requests by one source against VICTIM, that went on until `at`."""
    evidence = {
        "value": 200.0,
        "spoofed": False,
        "key_parts": {"address": VICTIM, "port": 80, "protocol": 6},
    }
    return event(
        n,
        at,
        source_ip=source,
        destination_ip=VICTIM,
        attack_class="http_flood",
        rule_id="http_flood",
        packets_count=400,
        confidence_score=0.99,
        false_positive_probability=1e-4,
        evidence=json.dumps(evidence),
    )._replace(**more)


def with_evidence(row: SecurityEventRow, **more: object) -> SecurityEventRow:
    return row._replace(evidence=json.dumps(json.loads(row.evidence or "{}") | more))


def done(at: int = NOW, *, source: str = ATTACKER, **more: object) -> tuple:
    """A finished connection of `source` to VICTIM: a handshake, 300 packets of its own."""
    named: dict[str, object] = {
        "orig_ip": source,
        "resp_ip": VICTIM,
        "resp_port": 80,
        "orig_packets": 300,
        "handshake_us": 900,
        "midstream": 0,
    }
    return connection(at - US, **(named | more))


def write(path: Path | str, *events: object, connections: tuple = (), live: bool = True) -> None:
    """One window into the store at `path`."""
    with SqliteStore(str(path)) as store:
        run = agent(NOW, source="live" if live else "replay")
        store.write_window(WindowRows(run, connections=connections, events=list(events)))


def settings(**values: object) -> Settings:
    return settings_of(convert({"response": {"enabled": True, **values}}).response, "made")


__all__ = ["BOOT", "US", "done", "flood", "settings", "with_evidence", "write"]
