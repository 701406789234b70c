"""Where rows go, without the secrets that a URL may hold."""

import os
import stat
from pathlib import Path
from urllib.parse import SplitResult, urlsplit, urlunsplit

from sensor.errors import UsageError, one_line

SIZE_MAX = 64 << 10  # octets of a file of credentials
READ_BY_OTHERS = stat.S_IRWXO


def public(url: str) -> str:
    """`url` as it may be shown and kept: no user, no password, no query."""
    parts = split(url)
    host = parts.netloc.rpartition("@")[2]
    return one_line(urlunsplit((parts.scheme, host, parts.path, "", "")))


def split(url: str) -> SplitResult:
    """UsageError, without the URL itself: it may hold a password."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise UsageError(f"a destination is no URL: {one_line(str(error))[:100]}") from None
    if not parts.scheme or "://" not in url:
        raise UsageError("a destination is a URL, such as postgresql://host/database")
    return parts


def has_password(url: str) -> bool:
    return split(url).password is not None


def read_credentials(path: str) -> list[str]:
    """URLs with passwords, one per line; `#` begins a comment.

    UsageError: it cannot be read, or everybody may read it.
    """
    try:
        with open(path, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            octets = file.read(SIZE_MAX + 1)
    except OSError as error:
        raise UsageError(one_line(f"{path}: {(error.strerror or str(error)).lower()}")) from error
    if mode & READ_BY_OTHERS:
        raise UsageError(one_line(f"{path}: everybody may read it: chmod 600"))
    if len(octets) > SIZE_MAX:
        raise UsageError(one_line(f"{path}: larger than {SIZE_MAX} octets"))
    try:
        lines = [line.strip() for line in octets.decode().splitlines()]
    except UnicodeDecodeError as error:
        raise UsageError(one_line(f"{path}: no UTF-8")) from error
    found = [line for line in lines if line and not line.startswith("#")]
    for url in found:
        split(url)
    return found


def default_credentials() -> str | None:
    """What systemd's LoadCredential=ship:... hands over, where it does."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    path = Path(folder, "ship") if folder else None
    return str(path) if path is not None and path.is_file() else None


def destinations(given: tuple[str, ...], credentials: list[str]) -> list[str]:
    """The URLs to ship to: those given, with the credentials kept for them; else all that are kept.

    The same place twice is one.
    """
    kept = {public(url): url for url in credentials}
    wanted = {public(url): url for url in given} or kept
    return [kept.get(name, url) if not has_password(url) else url for name, url in wanted.items()]
