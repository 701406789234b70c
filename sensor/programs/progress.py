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

EVERY_S = 0.1  # a batch takes microseconds: not each of them is worth a look


@contextmanager
def bar(size: int | None) -> Iterator[Callable[[int], None]]:
    """Gives a function that takes the octets read so far, of `size`; in the end the bar is gone."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("Reading", total=size)
        shown = monotonic()

        def update(octets: int) -> None:
            nonlocal shown
            if monotonic() - shown >= EVERY_S:
                shown = monotonic()
                progress.update(task, completed=octets)

        yield update
