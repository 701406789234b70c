"""Rows made by hand for the tests of the store."""

from hdrh.histogram import HdrHistogram

from sensor.model.rows import AgentRow, ConnectionRow, MetricsRow, SecurityEventRow

AGENT = "5f0d2c9e-58c5-4ac5-a8a5-d2ad3e1c7d10"
BOOT = "c0ffee00-0000-4000-8000-000000000001"
US = 1_000_000
HOUR = 3600 * US
T0 = 1_700_000_000 // 3600 * HOUR  # the start of an hour in November 2023


def agent(last: int = T0, *, boot: str = BOOT, source: str = "replay") -> AgentRow:
    return AgentRow(
        AGENT,
        boot,
        source,
        "default",
        "n1",
        "CH",
        None,
        "0.1.0",
        '["10.0.0.0/8"]',
        "given",
        T0,
        last,
    )


def histogram(samples: list[int]) -> bytes:
    made = HdrHistogram(1, 60_000_000, 2)
    for us in samples:
        made.record_value(us)
    blob: bytes = made.encode()
    return blob


def metrics(endpoint: str, at: int, samples: list[int] | None = None, **more: object) -> MetricsRow:
    """10 packets and 1000 octets out, 20 and 3000 in; latency as told."""
    row = MetricsRow(
        AGENT, endpoint, at, None, None, None, None, None, 10, 20, 0, 0, 1000, 3000, None,
        1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, at + 60 * US, BOOT, data_segments=30,
    )  # fmt: skip
    if samples:
        row = row._replace(
            latency_avg_us=sum(samples) // len(samples),
            latency_hist=histogram(samples),
            latency_count=len(samples),
            latency_sum_us=sum(samples),
            latency_min_us=min(samples),
            latency_max_us=max(samples),
        )
    return row._replace(**more)


def connection(at: int, state: str = "SF", resp_ip: str = "192.0.2.80", **more: object) -> tuple:
    row = ConnectionRow(
        AGENT, BOOT, "1:LQU9qZlK+B5F3KDmev6m5PMibrg=", at, at + US, US, "tcp", "10.0.0.1", 40000,
        resp_ip, 443, "ssl", f"{resp_ip}:443/tcp", state, "ShADadFf", "end_detected",
        6, 700, 5, 5000, 900, 800, 0, 1100, 5400, 0, 0, 0, 0, 0, 400, 500,
        None, None, None, 1, 0, 0, 0, 0, 0, 0,
    )  # fmt: skip
    return tuple(row._replace(**more))


def event(n: int = 0, at: int = T0, **more: object) -> SecurityEventRow:
    """An open SYN flood whose id ends in `n`; it began 2 s before `at`, when it was detected."""
    row = SecurityEventRow(
        id=f"0b0e5a1c-0000-5000-8000-{n:012x}",
        agent_id=AGENT,
        event_type="dos_attack",
        severity="high",
        source_ip=None,
        destination_ip="10.0.0.1",
        source_port=None,
        destination_port=80,
        protocol="tcp",
        packets_count=1000,
        bytes_transferred=60000,
        duration_ms=2000,
        detection_method="nb_tail",
        confidence_score=0.9,
        false_positive_probability=None,
        action_taken="none",
        blocked=0,
        detected_at=at,
        resolved_at=None,
        boot_id=BOOT,
        attack_class="syn_flood",
        rule_id="syn_flood",
        title="SYN flood",
        status="open",
        started_at=at - 2 * US,
        updated_at=at,
        evidence='{"value": 980}',
    )
    return row._replace(**more)


def resolved(row: SecurityEventRow, at: int, **more: object) -> SecurityEventRow:
    """The same event, over at `at`."""
    return row._replace(status="resolved", resolved_at=at, updated_at=at, **more)
