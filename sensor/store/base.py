"""What every store can do, whichever database is behind it."""

from typing import Protocol, Self

from sensor.model.address import Prefix
from sensor.model.rows import DetectionStateRow, SecurityEventRow, WindowRows


class Store(Protocol):
    """Keeps windows. The thread that makes a store owns it."""

    def write_window(self, window: WindowRows) -> None:
        """All of one window in one transaction.

        On return it survives a crash and a power loss. CannotWrite: nothing of it was kept.
        """
        ...

    def detection_state(self, agent_id: str) -> DetectionStateRow | None:
        """What was last written of an agent's detection; None when nothing was."""
        ...

    def last_window_end(self, agent_id: str) -> int | None:
        """End of the newest live window of the agent, us, packet time; None when there is none."""
        ...

    def open_events(self, agent_id: str) -> list[SecurityEventRow]:
        """Events of the agent that no run has resolved, oldest first; the newest 10,000."""
        ...

    def regions(self) -> list[tuple[Prefix, str]]:
        """The operator's ranges and their names."""
        ...

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *failure: object) -> None: ...
