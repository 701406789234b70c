"""The exception tree. `exit_status` is what the command line ends with (DESIGN 4.1)."""


class SensorError(Exception):
    """Anything that a user can mend; its text is one line."""

    exit_status = 2


class InputDamaged(SensorError):
    """A capture that breaks off or contradicts itself; what came before was read."""

    exit_status = 65


class InputMissing(SensorError):
    """No such file, or not a capture."""

    exit_status = 66


class CannotWrite(SensorError):
    """The database or a file cannot be made or written."""

    exit_status = 73


class NoPermission(SensorError):
    """A privilege or a right is missing."""

    exit_status = 77
