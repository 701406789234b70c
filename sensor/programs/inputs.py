"""What PATH... names: files as given, the captures of a folder by name, `-` for standard input."""

from pathlib import Path
from typing import Protocol

from sensor.errors import InputMissing

STDIN = "-"
SUFFIXES = (".pcap", ".pcapng", ".cap", ".dmp", ".ntar")  # what a folder is searched for


def expand(paths: tuple[str, ...]) -> list[str]:
    """Every input in capture order; InputMissing names the one that is not there."""
    found: list[str] = []
    for text in paths:
        path = Path(text)
        if text == STDIN or path.is_file() or path.is_fifo() or path.is_char_device():
            found.append(text)
        elif path.is_dir():
            found += in_folder(path)
        else:
            raise InputMissing(text, "no such file or folder")
    return found


def in_folder(folder: Path) -> list[str]:
    """Captures of one folder, not of those below it, in the order of their names."""
    try:
        names = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file())
    except OSError as error:
        raise InputMissing(str(folder), str(error.strerror)) from error
    if not names:
        raise InputMissing(str(folder), f"no capture in this folder ({', '.join(SUFFIXES)})")
    return [str(p) for p in names]


def total_size(inputs: list[str]) -> int | None:
    """Octets of all regular files; None when one of the inputs has no size."""
    paths = [Path(text) for text in inputs]
    if STDIN in inputs or not all(p.is_file() for p in paths):
        return None
    return sum(p.stat().st_size for p in paths)


class Input(Protocol):
    """One opened capture: batches of records, and what was read so far."""

    packets: int
    wire_bytes: int
    captured_bytes: int
    first_ns: int | None  # earliest and latest record so far
    last_ns: int | None
    offset: int  # octets of the file read so far
    pending: int  # records of the current batch that nobody took yet

    def next_batch(self) -> int:
        """Read on; how many records, 0 at the end; DamagedCapture where the file is."""
        ...

    def anomalies(self) -> dict[str, int]:
        """What was odd about the file or its times, by name."""
        ...

    def close(self) -> None: ...


def open_input(name: str) -> Input:
    """Opens one input; InputMissing when it is not there, or not a capture."""
    raise NotImplementedError
