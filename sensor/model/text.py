"""How text from the wire is shown to people: names are attackers' bytes."""

import unicodedata

# Control (escape sequences, CR/LF), format (bidirectional overrides, zero-width), surrogates,
# private use, unassigned, line and paragraph separators: none of them is ever sent to a terminal.
HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def decode_name(raw: bytes) -> str:
    r"""Text of a name seen on the wire; octets that are not UTF-8 become ``\xNN``."""
    return raw.decode("utf-8", "backslashreplace")


def printable(text: str, limit: int = 255) -> str:
    r"""`text` with everything invisible escaped (``\x1b``, ``\u202e``), at most `limit` long.

    A longer one is cut in the middle of nothing: the last character is an ellipsis.
    """
    shown = "".join(
        escape(c) if unicodedata.category(c) in HIDDEN else c for c in text[: limit + 1]
    )
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def escape(character: str) -> str:
    """One character as a Python escape."""
    return character.encode("unicode_escape").decode("ascii")
