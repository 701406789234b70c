"""Rows of SQLite in the form that central stores take: histograms as slots, runs that are ours."""

from collections.abc import Sequence

from sensor.ship.destination import Batch, Row
from sensor.store.central import HISTOGRAMS, SLOTS
from sensor.store.slots import Slots, from_json, slots_of


def slots_in(value: object) -> Slots:
    """Of an encoded histogram, of JSON, or of nothing."""
    if isinstance(value, bytes):
        return slots_of(value)
    return from_json(value) if isinstance(value, str) else {}


def central(batch: Batch) -> tuple[tuple[str, ...], list[Row]]:
    """Columns and rows with each histogram as two lists, ascending."""
    at = next((i for i, name in enumerate(batch.columns) if name in HISTOGRAMS), None)
    if at is None:
        return batch.columns, batch.rows
    columns = (*batch.columns[:at], *SLOTS, *batch.columns[at + 1 :])
    return columns, [(*row[:at], *two_lists(row[at]), *row[at + 1 :]) for row in batch.rows]


def two_lists(value: object) -> tuple[list[int], list[int]]:
    ordered = sorted(slots_in(value).items())
    return [us for us, _ in ordered], [n for _, n in ordered]


def without_runs(batch: Batch, runs: set[Row]) -> Batch:
    """The same without rows of these (agent_id, boot_id)."""
    if not runs or "boot_id" not in batch.columns:
        return batch
    agent, boot = batch.columns.index("agent_id"), batch.columns.index("boot_id")
    rows = [row for row in batch.rows if (row[agent], row[boot]) not in runs]
    return Batch(batch.store, batch.table, batch.columns, rows, batch.after, batch.upto)


def picked(columns: Sequence[str], rows: list[Row], wanted: Sequence[str]) -> list[Row]:
    """The rows with only these columns, in this order."""
    if list(columns) == list(wanted):
        return rows
    at = [columns.index(name) for name in wanted]
    return [tuple(row[i] for i in at) for row in rows]
