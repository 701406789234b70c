"""What analytics, API and dashboard ask of a store, whichever database is behind it.

Times are us since 1970 UTC, packet time; `until` is excluded. Answers are columns: arrays of equal
length by name, text as object arrays, unknown as NaN or None. Sums are over the rows that a store
still has at the finest resolution that covers the period (windows, then hours). Nothing asked here
may block the writer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from numpy.typing import NDArray

from sensor.model.rows import AgentRow
from sensor.store.events import EventFilter, Stored
from sensor.store.slots import NOTHING, percentiles

Columns = dict[str, NDArray[Any]]
KEYS = ("agent_id", "endpoint", "region", "app", "role")  # what `by` may name


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose traffic and when. No agent and no workspace: everybody's.

    `window_s`: windows of this length only. None is the usual length of each run: shorter windows
    repeat what a usual one counts again.
    """

    since: int
    until: int
    agent_ids: tuple[str, ...] = ()
    workspace_id: str | None = None
    window_s: int | None = None


class Closed(NamedTuple):
    """A window that was written."""

    agent_id: str
    timestamp: int  # start, us
    window_s: int


@dataclass(slots=True)
class Latency:
    """Merged samples of one group; percentiles come from `slots` only (slots.percentiles).

    Groups are shared: what a store answered is not changed any more.
    """

    bucket: int  # start of the step, us; the scope's `since` when there is one step
    key: tuple[str | None, ...]  # in the order of `by`
    count: int = 0
    sum_us: int = 0
    min_us: int | None = None
    max_us: int | None = None
    jitter_count: int = 0
    jitter_sum_us: int = 0
    slots: Mapping[int, int] = field(default_factory=lambda: NOTHING)  # see sensor.store.slots
    ranks: dict[tuple[int, ...], list[int]] = field(default_factory=dict, repr=False, compare=False)

    def percentiles_us(self, *wanted: int) -> list[int]:
        """Read from the slots, once; empty without samples."""
        found = self.ranks.get(wanted)
        if found is None:
            found = self.ranks[wanted] = percentiles(self.slots, *wanted) if self.slots else []
        return found


class ReadingStore(Protocol):
    """One method per table asked; `step_s` None is the whole scope as one bucket."""

    def agents(
        self, workspace_id: str | None = None, agent_ids: Sequence[str] = ()
    ) -> list[AgentRow]:
        """Every run of these agents (none named: of all), newest last."""
        ...

    def newest_runs(
        self, workspace_id: str | None = None, agent_ids: Sequence[str] | None = None
    ) -> list[AgentRow]:
        """Each agent once: its newest run, with the first packet of all of them; newest last."""
        ...

    def newest_health(
        self, seconds: int, workspace_id: str | None = None, agent_ids: Sequence[str] | None = None
    ) -> Columns:
        """By `agent_id`: `window_s`, sums of capture_health, `windows`, `degraded`, `blind`, the
        largest `ack_gap_ratio`, and when the `first` and the `newest` window begin, us. Of the
        windows, of their usual length, that began in the last seconds up to the agent's own newest
        packet; agents without are absent."""
        ...

    def open_events(
        self, workspace_id: str | None = None, agent_ids: Sequence[str] | None = None
    ) -> list[tuple[str, str, str | None, int, int]]:
        """Agent, severity, attack_class, how many are open, and when the first was detected, us;
        by agent, the most severe first."""
        ...

    def newest_figures(self, windows: Mapping[str, int]) -> Columns:
        """By `agent_id`: `window_s`, and the sum over endpoints of every counter of the metrics
        table, with `loss_segments` as metrics(); of one window each, given by its start."""
        ...

    def newest_latency(self, windows: Mapping[str, int]) -> Columns:
        """By `agent_id`: `window_s`, `count`, `p50_us`, `p95_us`, `p99_us` of network latency in
        one window each; agents without samples are absent."""
        ...

    def newest(self, scope: Scope) -> int | None:
        """Time of the newest packet of these agents, whatever the scope's period."""
        ...

    def closed(self, after: int | None, limit: int) -> tuple[int, list[Closed]]:
        """Windows written after the cursor `after`, oldest first, and the cursor to go on from.

        None: no window, and the cursor as of now.
        """
        ...

    def metrics(self, scope: Scope, step_s: int | None, by: Sequence[str] = ()) -> Columns:
        """`bucket`, the keys, `windows`, `rows` and the sum of every counter of the metrics table.

        Buckets begin at multiples of the step since 1970. A counter that the resolution used does
        not have, or that is unknown in all rows, is NaN. `loss_segments`: data_segments of the rows
        whose packets_lost is known, so that lost / (lost + these) is the loss rate.
        """
        ...

    def latency(
        self, scope: Scope, step_s: int | None, by: Sequence[str] = (), kind: str | None = None
    ) -> list[Latency]:
        """Network latency of endpoints, or of one `kind` of latency_histograms (then by agent)."""
        ...

    def kinds(self, scope: Scope) -> list[str]:
        """Kinds of latency with samples."""
        ...

    def bandwidth(self, scope: Scope, step_s: int) -> Columns:
        """`bucket`, `bytes_in/out/other`, `packets_in/out/other`, `seconds` with traffic, and
        `peak_in`, `peak_out`: octets of the busiest second. Buckets without traffic are absent."""
        ...

    def bins(self, scope: Scope) -> Columns:
        """`timestamp` of seconds with traffic, `bins_in`, `bins_out`, `bins_other`: octets of
        each 100 ms, shape (n, 10). At most the newest 86,400 seconds of the scope."""
        ...

    def protocols(self, scope: Scope, step_s: int | None) -> Columns:
        """`bucket`, `leaf`, `bytes`, `packets`, `connections`."""
        ...

    def connections(self, scope: Scope, limit: int) -> Columns:
        """The newest `limit` connections that ended in the scope: the table's columns."""
        ...

    def regions(self, scope: Scope, step_s: int | None) -> Columns:
        """`bucket`, `agent_id`, `region`, `bytes`, `packets`, `connections`, `errors`,
        `latency_sum_us`, `latency_count`: regional_metrics added up."""
        ...

    def health(self, scope: Scope, step_s: int | None) -> Columns:
        """`bucket`, sums of capture_health, `windows`, `degraded` and `blind` windows, and
        `window_s`: the seconds that they cover."""
        ...

    def events(self, which: EventFilter, limit: int, offset: int = 0) -> list[Stored]:
        """Newest first."""
        ...

    def count_events(self, which: EventFilter) -> int: ...

    def nodes(self, scope: Scope) -> Columns:
        """topology_nodes seen in the period."""
        ...

    def links(self, scope: Scope) -> Columns:
        """topology_links seen in the period."""
        ...

    def cdn(self, scope: Scope, by: Sequence[str]) -> Columns:
        """cdn_requests grouped by some of `provider`, `edge_location`, `region`, `cache_status`,
        `host`, `bucket` (5 min): `requests`, `bytes`, `origin_bytes`, `errors` (5xx), `shielded`,
        `shield_known`, `response_sum_us`, `response_count`."""
        ...

    def close(self) -> None: ...
