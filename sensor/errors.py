"""Every failure a user can meet: one class per exit status, one line of text each.

The exit statuses are those of sysexits(3); the command line prints `str(error)` and nothing else.
"""


def one_line(text: str) -> str:
    """`text` with everything that is not printable escaped: file names are anybody's bytes."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode("ascii")
        for c in text
    )


class SensorError(Exception):
    """Something went wrong that the user can mend; `exit_code` is the process's exit status."""

    exit_code = 1


class UsageError(SensorError):
    """The command line or the configuration does not make sense."""

    exit_code = 2


class InputError(SensorError):
    """The input at `path` cannot be used; `offset` counts its octets, None where none was read."""

    def __init__(self, path: str, offset: int | None, reason: str) -> None:
        self.path = path
        self.offset = offset
        self.reason = reason
        where = path if offset is None else f"{path}:{offset}"
        super().__init__(one_line(f"{where}: {reason}"))


class DamagedCapture(InputError):
    """A capture that breaks off or contradicts itself at `offset`; all before it was delivered."""

    exit_code = 65


class NotACapture(InputError):
    """The file is something else, or a capture format or version we do not read."""

    exit_code = 66


class InputMissing(InputError):
    """The input does not exist or cannot be read."""

    exit_code = 66

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, None, reason)


class CannotWrite(SensorError):
    """An output cannot be created or written."""

    exit_code = 73


class DamagedStore(CannotWrite):
    """Our own database, and it is broken: what was in it cannot be added to."""


class MovedStore(CannotWrite):
    """The database was removed, or there is another in its place: nobody would see what we add."""


class NoPermission(SensorError):
    """A privilege is missing."""

    exit_code = 77
