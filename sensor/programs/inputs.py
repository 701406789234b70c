"""What PATH... names: files as given, the captures of a folder by name, `-` for standard input."""

from pathlib import Path

from sensor.errors import InputMissing, NoPermission

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
            raise InputMissing(f"{text}: no such file or folder")
    return found


def in_folder(folder: Path) -> list[str]:
    """Captures of one folder, not of those below it, in the order of their names."""
    try:
        names = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file())
    except PermissionError as error:
        raise NoPermission(f"{folder}: {error.strerror}") from error
    if not names:
        raise InputMissing(f"{folder}: no capture in this folder ({', '.join(SUFFIXES)})")
    return [str(p) for p in names]


def total_size(inputs: list[str]) -> int | None:
    """Octets of all regular files; None when one of the inputs has no size."""
    paths = [Path(text) for text in inputs]
    if STDIN in inputs or not all(p.is_file() for p in paths):
        return None
    return sum(p.stat().st_size for p in paths)
