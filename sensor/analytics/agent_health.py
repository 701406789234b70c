"""How an agent does: its status, and why.

An agent is judged by its newest quarter of an hour (the interval of Zeek's capture_loss), counted
back from its own newest packet.

| status | when |
|---|---|
| critical | an event of high or critical severity is open; or over 10 % went unseen (Zeek's too_much_loss), or half of the windows are blind |
| silent | live capture, and no packet for five minutes: what it lost before is past |
| degraded | a medium event is open (the API's severity_threshold); or over 1 % went unseen, or a window is degraded |
| healthy | none of these |
| null | nothing is kept that would tell |
"""  # noqa: E501

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sensor.analytics.figures import count, known, ratio, time_text
from sensor.analytics.performance import quality
from sensor.metrics.health import BLIND, DEGRADED, GAP_BLIND, GAP_DEGRADED
from sensor.model.rows import SEVERITIES, AgentRow
from sensor.store.reading import Columns, ReadingStore

LIVE_US = 300 * 1_000_000
SPAN_S = 900
GRAVE = frozenset(("high", "critical"))
COUNTED = frozenset(("medium", *GRAVE))  # severities that are more than a note
LOST = ("dropped", "interface_dropped")
SUMS = ("received", *LOST, "rows_lost", "flows_evicted", "flows_refused", "windows_lost", "gap_ms")
NO_WINDOW = "no window of it is kept"


@dataclass(slots=True)
class Judged:
    """An agent, and how it does."""

    run: AgentRow
    is_live: bool
    events: list[tuple[str, str | None, int, int]] = field(default_factory=list)
    health: dict[str, Any] | None = None
    window: int | None = None  # start of the newest
    status: str | None = None
    reason: str = NO_WINDOW
    worst: tuple[int, float, int] = (0, 0.0, 0)  # severity, share unseen, silence: largest first


def is_live(run: AgentRow, now: int) -> bool:
    return run.source == "live" and run.last_packet is not None and now - run.last_packet <= LIVE_US


def judge(
    store: ReadingStore,
    every: Iterable[Judged],
    workspace_id: str | None,
    agent_ids: Sequence[str] | None = None,
) -> None:
    """Health, open events, and what follows from them."""
    by_id = {one.run.agent_id: one for one in every}
    for agent, severity, attack, n, since in store.open_events(workspace_id, agent_ids):
        if agent in by_id:
            by_id[agent].events.append((severity, attack, n, since))
    found = store.newest_health(SPAN_S, workspace_id, agent_ids)
    for at, agent in enumerate(found["agent_id"]):
        if agent in by_id:
            by_id[agent].health = health_of(found, at)
            by_id[agent].window = int(found["newest"][at])
    for one in by_id.values():
        decide(one)


def health_of(found: Columns, at: int) -> dict[str, Any]:
    """What capture_health says of the span, as an answer has it."""
    windows, degraded, blind = (int(found[name][at]) for name in ("windows", "degraded", "blind"))
    sums = {name: count(found[name][at]) for name in SUMS}
    told = [sums[name] for name in LOST if sums[name] is not None]
    lost = sum(n or 0 for n in told)
    length = int(found["window_s"][at])
    return {
        "since": time_text(int(found["first"][at])),
        "until": time_text(int(found["newest"][at]) + length * 1_000_000),
        "windows": windows,
        "degraded_windows": degraded,
        "blind_windows": blind,
        "quality": quality(windows, degraded, blind),
        **sums,
        "loss_rate": ratio(lost, lost + (sums["received"] or 0)) if told else None,
        "ack_gap_ratio": known(found["ack_gap_ratio"][at]),
    }


def decide(one: Judged) -> None:
    health = one.health
    worst = next((event for event in one.events if event[0] in COUNTED), None)
    silent = one.run.source == "live" and not one.is_live
    # Of a savefile the kernel's drops cannot be known; gaps in what was acknowledged can.
    unseen = max((health["loss_rate"] or 0, health["ack_gap_ratio"] or 0)) if health else 0.0
    flag = health["quality"] if health else None
    reasons = []
    if worst:
        reasons.append(said_of(worst, one.events))
    if silent:
        last = second_of(one.run.last_packet)
        reasons.append(f"no packet since {last}" if last else "no packet yet")
    elif health and (unseen > GAP_DEGRADED or flag in (DEGRADED, BLIND)):
        poor = health["degraded_windows"] + health["blind_windows"]
        reasons.append(f"{unseen:.2%} unseen, {poor} of {health['windows']} windows not whole")
    if worst and worst[0] in GRAVE:
        one.status = "critical"
    elif silent:
        one.status = "silent"
    elif unseen > GAP_BLIND or flag == BLIND:
        one.status = "critical"
    elif worst or unseen > GAP_DEGRADED or flag == DEGRADED:
        one.status = "degraded"
    elif health:
        one.status = "healthy"
        reasons.append(f"{health['windows']} whole windows, nothing serious open")
    one.reason = "; ".join(reasons) or NO_WINDOW
    silence = -(one.run.last_packet or 0) if silent else -(1 << 62)
    is_past = silent or not health
    rank = SEVERITIES.index(worst[0]) if worst else 0
    one.worst = rank, 0.0 if is_past else share_of(unseen, flag), silence


def share_of(unseen: float, flag: str | None) -> float:
    """What the flag says at least: windows may be lost, and packets not counted."""
    least = {BLIND: GAP_BLIND, DEGRADED: 1e-9}.get(flag or "", 0.0)
    return max(unseen, least)


def second_of(us: int | None) -> str | None:
    """A time as people read it."""
    text = time_text(us)
    return f"{text[:19]}Z" if text else None


def said_of(
    worst: tuple[str, str | None, int, int], events: list[tuple[str, str | None, int, int]]
) -> str:
    severity, attack, _, since = worst
    n = sum(event[2] for event in events if event[0] == severity)
    name = attack or "unnamed"
    return f"{n} {severity} open: {name} since {second_of(since)}{', ...' if n > 1 else ''}"
