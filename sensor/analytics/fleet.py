"""GET /agents: a fleet at a glance, the worst first.

Every figure of the whole fleet is one grouped question; what only the page shows is asked for the
page.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sensor.analytics.agent_health import NO_WINDOW, Judged, is_live, judge
from sensor.analytics.figures import count, known, mbps, milliseconds, ratio, time_text
from sensor.model.rows import SEVERITIES, AgentRow
from sensor.store.reading import Columns, ReadingStore

STATUSES = ("critical", "degraded", "silent", "healthy")
Status = Literal["critical", "degraded", "silent", "healthy"]
Order = Literal["last_packet", "-last_packet", "name", "-name", "worst"]


@dataclass(frozen=True, slots=True)
class Asked:
    """Which agents, in which order; an empty collection or None is any."""

    workspace_id: str | None = None
    live: bool | None = None
    status: Collection[str] = ()
    search: str = ""
    sort: str = "last_packet"
    limit: int = 1000
    offset: int = 0
    with_health: bool = True


def agents(store: ReadingStore, asked: Asked, now: int) -> tuple[list[dict[str, Any]], int]:
    """A page of agents, and how many there are. `now`: us since 1970."""
    every = [
        Judged(run, is_live(run, now))
        for run in store.newest_runs(asked.workspace_id)
        if matches(run, asked.search)
    ]
    if asked.live is not None:
        every = [one for one in every if one.is_live == asked.live]
    if asked.sort == "worst" or asked.status:
        judge(store, every, asked.workspace_id)
        every = [one for one in every if not asked.status or one.status in asked.status]
    ordered = in_order(every, asked.sort)
    page = ordered[asked.offset : asked.offset + asked.limit]
    if not asked.with_health:
        return [plain(one) for one in page], len(every)
    if asked.sort != "worst" and not asked.status:
        judge(store, page, None, [one.run.agent_id for one in page])
    return described(store, page), len(every)


def summary(store: ReadingStore, workspace_id: str | None, now: int) -> dict[str, Any]:
    """GET /agents/summary: the fleet in a few numbers."""
    every = [Judged(run, is_live(run, now)) for run in store.newest_runs(workspace_id)]
    judge(store, every, workspace_id)
    statuses = Counter(one.status or "unknown" for one in every)
    events: Counter[str] = Counter()
    for one in every:
        for severity, _, n, _ in one.events:
            events[severity] += n
    return {
        "total": len(every),
        "live": sum(one.is_live for one in every),
        "by_status": {name: statuses[name] for name in (*STATUSES, "unknown")},
        "by_version": dict(sorted(Counter(one.run.version for one in every).items())),
        "open_events": {name: events[name] for name in SEVERITIES},
    }


def matches(run: AgentRow, search: str) -> bool:
    """Whether a text is part of any of its names; case does not matter."""
    wanted = search.strip().lower()
    names = (run.hostname, run.agent_id, run.workspace_id, run.region, run.network_id, run.version)
    return not wanted or any(wanted in name.lower() for name in names if name)


def in_order(every: Sequence[Judged], sort: str) -> list[Judged]:
    """`every` has the newest packet last."""
    found = list(every)
    if sort == "worst":
        found.sort(key=lambda one: (*(-x for x in one.worst), name_of(one.run)))
    elif sort.endswith("name"):
        found.sort(key=lambda one: name_of(one.run), reverse=sort.startswith("-"))
    elif sort.startswith("-"):
        found.reverse()
    return found


def name_of(run: AgentRow) -> tuple[str, str]:
    return (run.hostname or "").lower(), run.agent_id


def plain(one: Judged) -> dict[str, Any]:
    run = one.run
    return {
        "agent_id": run.agent_id,
        "workspace_id": run.workspace_id,
        "hostname": run.hostname,
        "network_id": run.network_id,
        "region": run.region,
        "version": run.version,
        "source": run.source,
        "first_packet": time_text(run.first_packet),
        "last_packet": time_text(run.last_packet),
        "live": one.is_live,
    }


def described(store: ReadingStore, page: Sequence[Judged]) -> list[dict[str, Any]]:
    """With the key figures of each agent's newest window."""
    windows = {one.run.agent_id: one.window for one in page if one.window is not None}
    counted = by_agent(store.newest_figures(windows)) if windows else {}
    latency = by_agent(store.newest_latency(windows)) if windows else {}
    made = []
    for one in page:
        agent = one.run.agent_id
        reasons = {} if one.health else {"health": NO_WINDOW, "figures": NO_WINDOW}
        if one.health and one.health["loss_rate"] is None:
            reasons["health.loss_rate"] = "a capture file does not tell what it dropped"
        figures = None
        if one.window is not None:
            figures = figures_of(one.window, counted.get(agent), latency.get(agent), reasons)
        made.append({**plain(one), "status": one.status, "reason": one.reason,
                     "health": one.health, "open_events": open_of(one), "figures": figures,
                     "reasons": reasons})  # fmt: skip
    return made


def by_agent(found: Columns) -> dict[str, dict[str, Any]]:
    return {
        agent: {name: column[at] for name, column in found.items()}
        for at, agent in enumerate(found["agent_id"])
    }


def open_of(one: Judged) -> dict[str, Any]:
    tally: Counter[str] = Counter()
    for severity, _, n, _ in one.events:
        tally[severity] += n
    return {
        "total": tally.total(),
        "highest": one.events[0][0] if one.events else None,
        "by_severity": dict(tally),
    }


def figures_of(
    window: int,
    sums: dict[str, Any] | None,
    latency: dict[str, Any] | None,
    reasons: dict[str, str],
) -> dict[str, Any]:
    """Of one window."""
    found = sums or {}
    length = known(found.get("window_s")) or 0
    number = {name: known(value) for name, value in found.items() if name != "agent_id"}
    lost, arrived = number.get("packets_lost"), number.get("loss_segments")
    made = {
        "at": time_text(window),
        "window_s": count(found.get("window_s")),
        "ingress_mbps": mbps(number.get("bytes_received"), length),
        "egress_mbps": mbps(number.get("bytes_sent"), length),
        "active_connections": count(number.get("connections_active")),
        "new_connections_per_sec": ratio(number.get("connections_new"), length),
        "failed_connections": count(number.get("connections_failed")),
        "packet_loss_rate": ratio(lost, lost + arrived) if lost is not None and arrived else None,
        **{f"p{p}_latency_ms": milliseconds(known(latency[f"p{p}_us"])) if latency else None
           for p in (50, 95, 99)},
    }  # fmt: skip
    if sums is None:
        reasons["figures"] = "no traffic in its newest window"
    else:
        if latency is None:
            reasons["figures.p99_latency_ms"] = "no round trip was measured in this window"
        if made["packet_loss_rate"] is None:
            reasons["figures.packet_loss_rate"] = "no TCP segment whose loss is known"
    return made
