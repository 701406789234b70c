"""The exception tree: what a command ends with, in one line and an exit status (sysexits.h)."""


class SensorError(Exception):
    """Something the user can act on; printed as one line, never as a traceback."""

    exit_code = 1


class UsageError(SensorError):
    """A wrong option, argument or configuration."""

    exit_code = 2


class InputMissing(SensorError):
    """An input that is not there or cannot be opened."""

    exit_code = 66


class _AtOffset(SensorError):
    def __init__(self, path: str, offset: int, reason: str) -> None:
        super().__init__(f"{path}:{offset}: {reason}")
        self.path, self.offset, self.reason = path, offset, reason


class DamagedCapture(_AtOffset):
    """A capture that breaks off or contradicts itself; what came before was read and counted."""

    exit_code = 65


class NotACapture(_AtOffset):
    """An input that is no capture file."""

    exit_code = 66


class CannotWrite(SensorError):
    """An output that cannot be written."""

    exit_code = 73


class NoPermission(SensorError):
    """A privilege that is missing."""

    exit_code = 77
