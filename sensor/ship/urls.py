"""Where rows go, without the secrets that a URL may hold."""

import os
import stat
from pathlib import Path
from urllib.parse import SplitResult, urlsplit, urlunsplit

import msgspec

from sensor.errors import UsageError, one_line

SIZE_MAX = 64 << 10  # octets of a file of credentials
READ_BY_OTHERS = stat.S_IRWXO


class Credentials(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The file."""

    to: list[str]


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
    """`to = [URL, ...]` in TOML: URLs with passwords.

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
        found = msgspec.toml.decode(octets, type=Credentials).to
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        text = 'expected `to = ["URL", ...]` in TOML'  # its own words might repeat a password
        raise UsageError(one_line(f"{path}: {text}")) from error
    for url in found:
        split(url)
    return found


def default_credentials() -> str | None:
    """What systemd's LoadCredential=ship.toml:... hands over, where it does."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    path = Path(folder, "ship.toml") if folder else None
    return str(path) if path is not None and path.is_file() else None


def destinations(given: tuple[str, ...], credentials: list[str]) -> list[str]:
    """The URLs to ship to: those given, with the credentials kept for them; else all that are kept.

    The same place twice is one.
    """
    kept = {public(url): url for url in credentials}
    wanted = {public(url): url for url in given} or kept
    return [kept.get(name, url) if not has_password(url) else url for name, url in wanted.items()]
