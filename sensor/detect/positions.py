"""On which line of a TOML text a key stands. tomllib checks the text, but keeps no positions."""

import re

Path = tuple[str | int, ...]

_HEADER = re.compile(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"\s*([A-Za-z0-9_\-.\"']+)\s*=\s*(.*)")
_QUOTES = ('"""', "'''")


def _parts(dotted: str) -> list[str]:
    return [part.strip().strip("\"'") for part in dotted.split(".")]


class Positions:
    """Finds the lines of a valid TOML text; the element i of [[a]] has the path ("a", i)."""

    def __init__(self, text: str) -> None:
        self._lines = text.splitlines()
        self._at: dict[Path, int] = {(): 1}
        self._scan()

    def _scan(self) -> None:
        table: Path = ()
        counts: dict[str, int] = {}
        closing = ""  # of the multi-line string that this line is in
        for number, line in enumerate(self._lines, 1):
            if closing:
                if closing in line:
                    closing = ""
                continue
            if header := _HEADER.match(line):
                name = header[2]
                table = tuple(_parts(name))
                if header[1] == "[[":
                    counts[name] = counts.get(name, -1) + 1
                    table = (*table, counts[name])
                self._at.setdefault(table, number)
            elif key := _KEY.match(line):
                self._at.setdefault((*table, *_parts(key[1])), number)
                closing = self._opened(key[2])

    @staticmethod
    def _opened(value: str) -> str:
        return next((q for q in _QUOTES if value.startswith(q) and q not in value[3:]), "")

    def line(self, path: Path, text: str = "") -> int:
        """The line of `path`, or of what holds it; from there on, the first with `text`."""
        length = len(path)
        while path[:length] not in self._at:
            length -= 1
        number = self._at[path[:length]]
        if length == len(path) and not text:
            return number
        wanted = text or next((str(p) for p in reversed(path) if isinstance(p, str)), "")
        for later in range(number - 1, len(self._lines)):
            if wanted and wanted in self._lines[later]:
                return later + 1
        return number
