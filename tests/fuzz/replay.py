"""Feeds files to one fuzz target: `replay.py TARGET.so FILE...`.

Every input ends exactly where an unreadable page begins, so that reading one octet too many ends
the process (SIGSEGV), as do a failed proof of a bounds check (SIGABRT) and undefined behaviour
(SIGILL). The last line on stdout names the file that was being read.
"""

import ctypes
import mmap
import sys
from pathlib import Path

PROT_NONE = 0


def feed(function: "ctypes._FuncPointer", data: bytes) -> None:
    """Call the target with `data` placed before a guard page."""
    page = mmap.PAGESIZE
    readable = max(1, -(-len(data) // page)) * page
    arena = mmap.mmap(-1, readable + page)
    start = ctypes.addressof(ctypes.c_char.from_buffer(arena))
    arena[readable - len(data) : readable] = data
    mprotect = ctypes.CDLL(None, use_errno=True).mprotect
    mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    if mprotect(start + readable, page, PROT_NONE):
        raise OSError(ctypes.get_errno(), "mprotect")
    function(start + readable - len(data), len(data))


def main(library: Path, files: list[str]) -> None:
    function = getattr(ctypes.CDLL(str(library.resolve())), library.stem)
    function.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    function.restype = ctypes.c_int
    for file in files:
        print(file, flush=True)
        feed(function, Path(file).read_bytes())


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
