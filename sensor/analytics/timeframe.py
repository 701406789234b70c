"""Which period is asked about: `15m` to `90d` back from now, or from an old capture's end."""

import re
from dataclasses import dataclass

from sensor.model.rows import AgentRow
from sensor.store.reading import ReadingStore, Scope

SECOND_US = 1_000_000
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
SHORTEST_S, LONGEST_S = 15 * 60, 90 * 86_400
FORM = re.compile(r"([0-9]{1,9})([smhdw])", re.ASCII)
# A series' step by the longest period that has it: at most 720 steps.
STEPS = ((6 * 3600, 60), (86_400, 300), (30 * 86_400, 3600), (LONGEST_S, 21_600))


class BadTimeframe(ValueError):
    """Not a timeframe; the text says what would be."""


@dataclass(frozen=True, slots=True)
class Period:
    """`until` is excluded; us since 1970."""

    timeframe: str
    since: int
    until: int
    step_s: int

    @property
    def seconds(self) -> float:
        return (self.until - self.since) / SECOND_US

    def scope(self, *agent_ids: str, workspace_id: str | None = None) -> Scope:
        return Scope(self.since, self.until, agent_ids, workspace_id)


def seconds_of(timeframe: str) -> int:
    """Length of `1h`, `15m`, `30d`, ...; BadTimeframe for anything else."""
    found = FORM.fullmatch(timeframe)
    seconds = int(found[1]) * UNITS[found[2]] if found else 0
    if not SHORTEST_S <= seconds <= LONGEST_S:
        raise BadTimeframe("a timeframe is a number and s, m, h, d or w: from 15m to 90d")
    return seconds


def period_of(timeframe: str, newest: int | None, now: int) -> Period:
    """Back from `now`; from the newest packet when that is older than the timeframe.

    newest, now: us since 1970.
    """
    seconds = seconds_of(timeframe)
    length = seconds * SECOND_US
    until = now if newest is None or newest >= now - length else newest + 1
    step = next(step for longest, step in STEPS if seconds <= longest)
    return Period(timeframe, until - length, until, step)


def observed(runs: list[AgentRow], since: int, until: int) -> list[tuple[int, int]]:
    """When the agents' runs saw packets, first to last, within the period; without overlaps."""
    spans = sorted(
        (max(run.first_packet, since), min(run.last_packet, until))
        for run in runs
        if run.first_packet is not None and run.last_packet is not None
        if run.first_packet < until and run.last_packet >= since
    )
    joined: list[tuple[int, int]] = []
    for begin, end in spans:
        if joined and begin <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], end)
        else:
            joined.append((begin, end))
    return joined


def observed_seconds(spans: list[tuple[int, int]]) -> float:
    """At least one second when there was a packet: the resolution of rates."""
    return max(sum(end - begin for begin, end in spans) / SECOND_US, 1.0) if spans else 0.0


def runs_of(store: ReadingStore, scope: Scope) -> list[AgentRow]:
    """The runs of the scope's agents, newest last."""
    wanted = set(scope.agent_ids)
    return [r for r in store.agents(scope.workspace_id) if not wanted or r.agent_id in wanted]
