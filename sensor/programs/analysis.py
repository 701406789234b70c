"""`sensor report --since 24h`: the answers of the API without the API, and the same as text."""

from collections.abc import Iterator
from typing import Any

from sensor.analytics import bandwidth, connections, latency, performance, slo, threats
from sensor.analytics.figures import time_text
from sensor.analytics.timeframe import period_of
from sensor.errors import InputMissing
from sensor.model.time import microseconds_now
from sensor.programs.sections import Section, number, sections
from sensor.programs.units import count, duration, percent
from sensor.store.opening import open_reading
from sensor.store.reading import Scope

MOST = 10  # lines of one kind
Answer = dict[str, Any]


def analysis(path: str, timeframe: str) -> Answer:
    """For each agent that has packets in the period what GET performance, bandwidth, connections
    and latency-optimization answer, then threats and objectives of all together.

    BadTimeframe; InputMissing and DamagedCapture as open_reading().
    """
    store = open_reading(path)
    try:
        runs = store.agents()
        if not runs:
            raise InputMissing(path, "no agent has written to it yet")
        period = period_of(timeframe, store.newest(Scope(0, 0)), microseconds_now())
        scope = period.scope()
        slow = latency.analyse(store, scope)
        agents = []
        for agent_id in dict.fromkeys(run.agent_id for run in runs):
            found = performance.analyse(store, agent_id, period)
            if found["measurement_period"] is None:
                continue
            agents.append({
                "agent_id": agent_id,
                "hostname": next((r.hostname for r in runs if r.agent_id == agent_id), None),
                "performance": found,
                "bandwidth": bandwidth.analyse(store, agent_id, period),
                "connections": connections.analyse(store, agent_id, period),
                "latency_optimization": [row for row in slow if row["agent_id"] == agent_id],
            })  # fmt: skip
        return {
            "schema": 1,
            "timeframe": timeframe,
            "since": time_text(period.since),
            "until": time_text(period.until),
            "agents": agents,
            "security_threats": threats.analyse(
                store, scope, threat_types=tuple(threats.TYPES), severity_threshold="low"
            ),
            "objectives": slo.analyse(store, scope)["objectives"],
        }
    finally:
        store.close()


def analysis_sections(found: Answer) -> list[Section]:
    """The same for people: figures, then what to do about them."""
    parts: list[tuple[str, list[str]]] = []
    for agent in found["agents"]:
        name = agent["hostname"] or agent["agent_id"]
        parts.append((f"Agent {name}", [*figures(agent)]))
        parts.append((f"Slow endpoints of {name}", [*slow_lines(agent["latency_optimization"])]))
        advice = agent["connections"]["optimizations"]
        parts.append((f"Connections of {name}", [o["recommendation"] for o in advice][:MOST]))
    parts.append(("Security", [*threat_lines(found["security_threats"])]))
    parts.append(("Objectives", [objective_line(each) for each in found["objectives"]]))
    return sections(*parts)


def figures(agent: Answer) -> Iterator[str]:
    seen, used = agent["performance"], agent["bandwidth"]
    slow, wide, met = seen["latency_metrics"], seen["bandwidth_metrics"], seen["connection_metrics"]
    yield (
        f"Latency: p50 {ms(slow['p50_latency_ms'])}, p95 {ms(slow['p95_latency_ms'])},"
        f" p99 {ms(slow['p99_latency_ms'])}, jitter {ms(slow['jitter_ms'])},"
        f" loss {percent(slow['packet_loss_rate'])}, of {seen['sample_count']:,} samples"
    )
    yield (
        f"Bandwidth: in {number(wide['ingress_mbps'])} Mbit/s, out {number(wide['egress_mbps'])},"
        f" at most {number(wide['peak_ingress_mbps'])} and {number(wide['peak_egress_mbps'])}"
    )
    if (events := used["congestion_analysis"]["congestion_events"]) is not None:
        lasted = used["congestion_analysis"]["avg_congestion_duration_ms"]
        text = f", {duration(lasted / 1000)} on average" if lasted else ""
        yield f"Congestion: {count(events, 'time')}{text}"
    yield (
        f"Connections: {number(met['active_connections'])} active,"
        f" {number(met['new_connections_per_sec'])} new a second,"
        f" {number(met['connection_errors'])} errors, {number(met['timeout_count'])} timeouts,"
        f" {number(met['reset_count'])} resets"
    )
    mix = seen["protocol_bytes"]
    total = sum(mix.values())
    largest = sorted(mix.items(), key=lambda item: -item[1])
    if shares := [f"{leaf.replace('_', ' ')} {percent(n / total)}" for leaf, n in largest if n]:
        yield f"Protocols: {', '.join(shares)}"
    health = seen["health"]
    if seen["quality"] not in (None, "ok"):
        yield (
            f"Quality: {seen['quality']}: {health['degraded_windows']} windows degraded,"
            f" {health['blind_windows']} blind, {number(health['dropped'])} packets dropped"
        )


def slow_lines(rows: list[Answer]) -> Iterator[str]:
    for row in [row for row in rows if row["avg_p99_ms"] is not None][:MOST]:
        advice = "; ".join(row["optimization_recommendations"])
        status = row["latency_status"].replace("_", " ")
        yield (
            f"{row['endpoint']}: p50 {ms(row['avg_p50_ms'])}, p99 {ms(row['avg_p99_ms'])}, {status}"
            + (f". {advice}" if advice else "")
        )


def threat_lines(found: Answer) -> Iterator[str]:
    risk = number(found["risk_score"])
    yield f"{count(found['total'], 'event')} of severity low or worse, risk now {risk}"
    for event in found["threats"][:MOST]:
        whom = event["destination_ip"] or "the network"
        yield f"{event['detected_at']} {event['severity']} {event['attack_class']} against {whom}"
    yield from found["recommended_actions"][:MOST]


def objective_line(each: Answer) -> str:
    name = each["name"].replace("_", " ")
    if each["value"] is None:
        return f"{name}: unknown ({each['reason']})"
    state = {True: "met", False: "missed", None: "not judged"}[each["met"]]
    return (
        f"{name}: {number(each['value'])} {each['unit']}, {state} (goal {number(each['target'])})"
    )


def ms(value: float | None) -> str:
    return "unknown" if value is None else f"{number(value)} ms"
