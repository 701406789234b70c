"""Capture files by name: files, folders, `-`, and compressed files whose name says so.

Nothing is decompressed because of its content: a few octets can stand for terabytes, and whoever
writes a capture must not choose that for whoever reads it. Asked for by name, a compressed file
passes through a stream whose memory is bounded whatever the ratio.
"""

import gzip
import importlib
import io
import os
import stat
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from sensor._native.savefile import Savefile
from sensor.errors import InputMissing, UsageError

STDIN = "-"
_PCAP = (b"\xa1\xb2\xc3\xd4", b"\xa1\xb2\x3c\x4d", b"\xa1\xb2\xcd\x34")
_MAGICS = frozenset([*_PCAP, *(m[::-1] for m in _PCAP), b"\x0a\x0d\x0d\x0a"])
_PACKED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd")
_ZSTD_CHUNK = 1024  # a block of 4 octets can stand for 128 KiB: at most 32 MiB a chunk
_ZSTD_WINDOW = 1 << 27  # 128 MiB, the zstd program's own default limit


@dataclass(frozen=True, slots=True)
class Input:
    """One capture to read; `size` in octets, None for what has no known end."""

    path: str
    size: int | None


class _ZstdObject(Protocol):
    eof: bool
    unused_data: bytes

    def decompress(self, data: bytes) -> bytes: ...


class GzipStream:
    """The octets of a .gz file. OSError when it is not one or is damaged."""

    def __init__(self, path: str) -> None:
        self._raw = open(path, "rb", buffering=0)  # noqa: SIM115
        self._gzip = gzip.GzipFile(fileobj=self._raw, mode="rb")

    @property
    def position(self) -> int:
        """Octets of the compressed file that were used."""
        return self._raw.tell()

    def readinto(self, buffer: memoryview) -> int:
        """Fill some of `buffer`; 0 at the end. OSError: not gzip, or damaged."""
        try:
            return self._gzip.readinto(buffer)
        except (EOFError, zlib.error) as e:
            raise OSError(f"gzip: {e}") from e

    def close(self) -> None:
        """Close the file."""
        self._gzip.close()
        self._raw.close()


class ZstdStream:
    """The octets of a .zst file. OSError when it is not one or is damaged."""

    def __init__(self, path: str) -> None:
        try:
            self._zstd: Any = importlib.import_module("zstandard")
        except ImportError:
            raise UsageError(
                f"{path}: reading .zst needs the package zstandard: pip install zstandard"
            ) from None
        self._raw = open(path, "rb", buffering=0)  # noqa: SIM115
        self._file = io.BufferedReader(self._raw)
        self._frame: _ZstdObject | None = None
        self._input = b""
        self._output = memoryview(b"")

    @property
    def position(self) -> int:
        """Octets of the compressed file that were used."""
        return self._raw.tell()

    def readinto(self, buffer: memoryview) -> int:
        """Fill some of `buffer`; 0 at the end. OSError: not zstd, or damaged."""
        while not self._output:
            if not self._input:
                self._input = self._file.read(_ZSTD_CHUNK)
            if not self._input:
                if self._frame is not None:
                    raise OSError("zstd: compressed file ended before its last frame did")
                return 0
            self._decompress()
        n = min(len(buffer), len(self._output))
        buffer[:n] = self._output[:n]
        self._output = self._output[n:]
        return n

    def _decompress(self) -> None:
        if self._frame is None:
            decompressor = self._zstd.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
            self._frame = decompressor.decompressobj()
        frame = self._frame
        try:
            self._output = memoryview(frame.decompress(self._input))
        except self._zstd.ZstdError as e:
            raise OSError(f"zstd: {e}") from e
        self._input = b""
        if frame.eof:
            self._input = frame.unused_data
            self._frame = None

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def open_savefile(path: str) -> Savefile:
    """Open one capture; `-` is standard input, `.gz` and `.zst` are decompressed on the way.

    Raises InputMissing or NotACapture (exit 66), UsageError where standard input is a terminal.
    """
    if path == STDIN:
        if os.isatty(0):
            raise UsageError("standard input is a terminal: pipe a capture into it")
        return Savefile(os.dup(0), path, _size(0))
    try:
        size = _size(path)
        if path.endswith(".gz"):
            return Savefile(GzipStream(path), path, size)
        if path.endswith(".zst"):
            return Savefile(ZstdStream(path), path, size)
        return Savefile(os.open(path, os.O_RDONLY | os.O_CLOEXEC), path, size)
    except OSError as e:
        raise InputMissing(path, e.strerror or str(e)) from e


def find_savefiles(
    paths: Iterable[str], on_skip: Callable[[str, str], None] | None = None
) -> list[Input]:
    """The captures that `paths` name, in the order to read them.

    A folder stands for every file below it that begins like a capture, sorted by path; the others
    are told to `on_skip(path, reason)`. Links to folders are not followed. Raises InputMissing for
    a path that does not exist, and for a folder without captures.
    """
    found: list[Input] = []
    for path in paths:
        if path == STDIN:
            found.append(Input(path, _size(0)))
        elif not os.path.exists(path):
            raise InputMissing(path, "no such file or folder")
        elif os.path.isdir(path):
            found += _captures_below(path, on_skip)
        else:
            found.append(Input(path, _size(path)))
    return found


def open_savefiles(
    paths: Iterable[str], on_skip: Callable[[str, str], None] | None = None
) -> Iterator[Savefile]:
    """Open what find_savefiles() finds, one after the other; the caller closes each."""
    for each in find_savefiles(paths, on_skip):
        yield open_savefile(each.path)


def _size(file: str | int) -> int | None:
    status = os.stat(file)
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _captures_below(folder: str, on_skip: Callable[[str, str], None] | None) -> list[Input]:
    def unreadable(e: OSError) -> None:
        raise InputMissing(e.filename, e.strerror or str(e))

    found: list[Input] = []
    for root, folders, names in os.walk(folder, onerror=unreadable):
        folders.sort()
        for name in names:
            path = os.path.join(root, name)
            reason = _why_not(path)
            if reason is None:
                found.append(Input(path, _size(path)))
            elif on_skip is not None:
                on_skip(path, reason)
    if not found:
        raise InputMissing(folder, "no capture in this folder")
    return sorted(found, key=lambda each: Path(each.path).parts)


def _why_not(path: str) -> str | None:
    """Why a file of a folder is not read; None when it begins like a capture."""
    try:
        if _size(path) is None:
            return "not a regular file"
        with open(path, "rb") as file:
            magic = file.read(4)
    except OSError as e:
        return e.strerror or str(e)
    if magic in _MAGICS:
        return None
    if magic.startswith(_PACKED):
        return "compressed: name the file itself to read it"
    return "not a capture"
