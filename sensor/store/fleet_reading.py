# ruff: noqa: S608 - names are ours, values are bound
"""Many agents at a time: one grouped question for all, never one for each.

An agent's newest rows are those up to its own newest packet, so that one that fell silent, or an
old capture, is told by what it said last.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from sensor.model.rows import SEVERITIES, AgentRow
from sensor.store.dialect import Ask, Words
from sensor.store.reading import Columns
from sensor.store.sqlite_words import COUNTERS, HEALTH, LOSS_SEGMENTS, LOSS_SUM, columns_of

AGENTS = "agents"
KINDS = {"agent_id": "uuid", "boot_id": "uuid", "local_prefixes": "json", "first_packet": "time",
         "last_packet": "time"}  # fmt: skip
NETWORK_KIND = "tcp_rtt"


class FleetReading(ABC):
    """See reading.ReadingStore."""

    @abstractmethod
    def _words(self) -> Words: ...

    @abstractmethod
    def _asked(self, sql: str, ask: Ask) -> list[Any]: ...

    @abstractmethod
    def _counters(self) -> frozenset[str]:
        """Those of COUNTERS that the store's metrics have."""

    def newest_runs(
        self, workspace_id: str | None = None, agent_ids: Sequence[str] | None = None
    ) -> list[AgentRow]:
        words = self._words()
        ask = words.ask()
        order = f"{words.micros('t.last_packet')} DESC NULLS LAST, {words.text('t.boot_id')} DESC"
        names = [
            f"{words.column(f't.{name}', KINDS.get(name, 'text'))} AS c{n}"
            for n, name in enumerate(AgentRow._fields)
        ]
        inner = (
            f"SELECT {', '.join(names)},"
            f" row_number() OVER (PARTITION BY t.agent_id ORDER BY {order}) AS nth,"
            f" min({words.micros('t.first_packet')}) OVER (PARTITION BY t.agent_id) AS first_of_all"
            f" FROM {words.table(AGENTS)} WHERE {self._whose(ask, workspace_id, agent_ids)}"
        )
        columns = ", ".join(f"r.c{n}" for n in range(len(names)))
        rows = self._asked(f"SELECT {columns}, r.first_of_all FROM ({inner}) AS r"
                           " WHERE r.nth = 1", ask)  # fmt: skip
        runs = [AgentRow._make(row)._replace(first_packet=first) for *row, first in rows]
        return sorted(runs, key=lambda run: (run.last_packet or 0, run.agent_id))

    def newest_health(
        self, seconds: int, workspace_id: str | None = None, agent_ids: Sequence[str] | None = None
    ) -> Columns:
        words = self._words()
        ask = words.ask()
        who = self._who_and_when(ask, workspace_id, agent_ids)
        agent = words.text("t.agent_id")
        sums = [f"t.{name}" for name in HEALTH] + [
            "1",
            "CASE WHEN t.quality = 'degraded' THEN 1 ELSE 0 END",
            "CASE WHEN t.quality = 'blind' THEN 1 ELSE 0 END",
        ]
        figures = ", ".join(words.real(f"sum({one})") for one in sums)
        time = words.micros("t.timestamp")
        rows = self._asked(
            f"SELECT {agent}, t.window_s, {figures}, {words.real('max(t.ack_gap_ratio)')},"
            f" min({time}), max({time})"
            f" FROM {words.newest('capture_health', who, seconds)} GROUP BY {agent}, t.window_s",
            ask,
        )
        return longest(columns_of(rows, ["agent_id", "window_s", *HEALTH, "windows", "degraded",
                                         "blind", "ack_gap_ratio", "first", "newest"]))  # fmt: skip

    def open_events(
        self, workspace_id: str | None = None, agent_ids: Sequence[str] | None = None
    ) -> list[tuple[str, str, str | None, int, int]]:
        words = self._words()
        ask = words.ask()
        agent = words.text("t.agent_id")
        parts = [f"t.status = {ask.bind('open', 'text')}",
                 words.among("t.severity", ask.bind(list(SEVERITIES), "texts"))]  # fmt: skip
        if agent_ids is not None:
            parts.append(words.among("t.agent_id", ask.bind(list(agent_ids), "uuids")))
        elif workspace_id is not None:
            mine = self._whose(ask, workspace_id, None)
            query = f"SELECT t.agent_id FROM {words.table(AGENTS)} WHERE {mine}"
            parts.append(words.within("t.agent_id", query))
        first = words.micros("min(t.detected_at)")
        rows = self._asked(
            f"SELECT {agent}, t.severity, t.attack_class, count(*), {first}"
            f" FROM {words.table('network_security_events')} WHERE {' AND '.join(parts)}"
            f" GROUP BY {agent}, t.severity, t.attack_class",
            ask,
        )
        return sorted(
            (tuple(row) for row in rows),
            key=lambda row: (row[0], -SEVERITIES.index(row[1]), row[4], row[2] or ""),
        )

    def newest_figures(self, windows: Mapping[str, int]) -> Columns:
        words = self._words()
        agent = words.text("t.agent_id")
        there = self._counters()
        sums = [f"sum(t.{name})" if name in there else "NULL" for name in COUNTERS]
        sums.append(LOSS_SUM)
        ask = words.ask()
        rows = self._asked(
            f"SELECT {agent}, t.window_s, {', '.join(map(words.real, sums))}"
            f" FROM {self._of_windows(ask, 'network_performance_metrics', windows)}"
            f" GROUP BY {agent}, t.window_s",
            ask,
        )
        return longest(columns_of(rows, ["agent_id", "window_s", *COUNTERS, LOSS_SEGMENTS]))

    def newest_latency(self, windows: Mapping[str, int]) -> Columns:
        words = self._words()
        ask = words.ask()
        names = ("count", "p50_us", "p95_us", "p99_us")
        agent = words.text("t.agent_id")
        figures = ", ".join(words.real(f"t.{name}") for name in names)
        rest = self._of_windows(ask, "latency_histograms", windows)
        kind = ask.bind(NETWORK_KIND, "text")
        rows = self._asked(
            f"SELECT {agent}, t.window_s, {figures} FROM {rest} AND t.kind = {kind}"
            f" AND t.count > 0 ORDER BY {agent}, t.window_s, t.boot_id",
            ask,
        )
        return longest(columns_of(rows, ["agent_id", "window_s", *names]))

    def _whose(self, ask: Ask, workspace: str | None, agents: Sequence[str] | None) -> str:
        """A condition on `agents`."""
        words = self._words()
        parts = ["1 = 1"]
        if workspace is not None:
            parts.append(f"t.workspace_id = {ask.bind(workspace, 'text')}")
        if agents is not None:
            parts.append(words.among("t.agent_id", ask.bind(list(agents), "uuids")))
        return " AND ".join(parts)

    def _who_and_when(self, ask: Ask, workspace: str | None, agents: Sequence[str] | None) -> str:
        return (
            f"SELECT t.agent_id AS agent_id, max(t.last_packet) AS newest"
            f" FROM {self._words().table(AGENTS)} WHERE {self._whose(ask, workspace, agents)}"
            " AND t.last_packet IS NOT NULL GROUP BY t.agent_id"
        )

    def _of_windows(self, ask: Ask, table: str, windows: Mapping[str, int]) -> str:
        """Rows of one window of each agent, by its start."""
        words = self._words()
        agents = ask.bind(list(windows), "uuids")
        times = ask.bind(list(windows.values()), "times")
        return words.newest(table, words.pairs(agents, times), 1)


def longest(found: Columns) -> Columns:
    """Of each agent the row of the longest windows: shorter ones repeat what these count."""
    if not len(found["agent_id"]):
        return found
    best: dict[str, int] = {}
    for n, (agent, length) in enumerate(zip(found["agent_id"], found["window_s"], strict=True)):
        if agent not in best or length > found["window_s"][best[agent]]:
            best[agent] = n
    order = [best[agent] for agent in sorted(best)]
    return {name: column[order] for name, column in found.items()}
