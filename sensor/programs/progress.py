"""The progress bar of a replay, on standard error."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from sensor.programs.inputs import total_size

EVERY_S = 0.1  # a batch takes microseconds: not each of them is worth a look


@contextmanager
def bar(inputs: list[str]) -> Iterator[Callable[[int], None]]:
    """Gives a function that takes the octets read so far; the bar is gone afterwards."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("Reading", total=total_size(inputs))
        shown = monotonic()

        def update(octets: int) -> None:
            nonlocal shown
            if monotonic() - shown >= EVERY_S:
                shown = monotonic()
                progress.update(task, completed=octets)

        yield update
