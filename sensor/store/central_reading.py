"""What the readers of central stores have in common; each adds its dialect's SQL.

A central store's hours are sent every quarter of an hour, so `agents.hours_until` says up to when
they are whole: latency of whole hours before it is read from them, everything else from windows.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from sensor.model.rows import AgentRow
from sensor.store.hours import HOUR_US
from sensor.store.reading import KEYS, Latency, Scope
from sensor.store.sqlite_words import Groups, add_figures, group_of

SECOND_US = 1_000_000
Figures = Sequence[object]


def keys_of(by: Sequence[str]) -> list[str]:
    """ValueError for a key that there is not."""
    if unknown := set(by) - set(KEYS):
        raise ValueError(f"no such key: {sorted(unknown)}")
    return list(by)


def runs_of(runs: Iterable[AgentRow], scope: Scope) -> list[AgentRow]:
    """Those of the scope's agents; `runs` are of its workspace already."""
    wanted = set(scope.agent_ids)
    return [run for run in runs if not wanted or run.agent_id in wanted]


def parts_of(scope: Scope, settled: dict[str, int]) -> list[tuple[Scope, bool]]:
    """The scope as periods and agents to be read from hours (True) or from windows.

    `settled`: by agent, until when its hours are whole. Agents of the same time stay together.
    """
    first = min(-(-scope.since // HOUR_US) * HOUR_US, scope.until)
    groups: dict[int, list[str]] = {}
    for agent, until in settled.items():
        # The scope's last hour counts when the agent has nothing after the scope.
        cut = max(first, min(until, scope.until // HOUR_US * HOUR_US))
        groups.setdefault(cut, []).append(agent)
    made = []
    for cut, agents in sorted(groups.items()):
        mine = replace(scope, agent_ids=tuple(sorted(agents)))
        for since, until, by_hours in (
            (scope.since, first, False), (first, cut, True), (cut, scope.until, False),
        ):  # fmt: skip
            if since < until:
                made.append((replace(mine, since=since, until=until), by_hours))
    return made


def grouped(figures: Iterable[Figures], slots: Iterable[Figures], keys: int) -> Groups:
    """Rows of (bucket, keys..., figures...) and of (bucket, keys..., us, n) as groups."""
    made: Groups = {}
    for bucket, *rest in figures:
        key = [None if part is None else str(part) for part in rest[:keys]]
        numbers = [None if n is None else int(str(n)) for n in rest[keys:]]
        count, sum_us, low, high, jitters, jitter_us = numbers
        add_figures(group_of(made, int(str(bucket)), key), count or 0, sum_us, low, high,
                    jitters or 0, jitter_us)  # fmt: skip
    for bucket, *rest in slots:
        key = [None if part is None else str(part) for part in rest[:keys]]
        us, n = rest[keys:]
        into = group_of(made, int(str(bucket)), key).slots
        into[int(str(us))] = into.get(int(str(us)), 0) + int(str(n))
    return made


def at_once(groups: Groups, scope: Scope) -> list[Latency]:
    """Groups of one step as groups of the scope."""
    return [replace(group, bucket=scope.since) for group in groups.values()]
