"""Tables that programs write into docs/performance.md, each between its two marks."""

from pathlib import Path

PAGE = Path(__file__).parent.parent.parent / "docs" / "performance.md"


def put(mark: str, text: str, page: Path = PAGE) -> None:
    """`text` in place of what stands between the two marks; ValueError where they are missing."""
    head, begin, rest = page.read_text().partition(f"<!-- {mark} -->\n")
    _, end, tail = rest.partition(f"<!-- /{mark} -->")
    if not begin or not end:
        raise ValueError(f"{page}: no <!-- {mark} --> ... <!-- /{mark} -->")
    page.write_text(f"{head}{begin}{text.strip()}\n{end}{tail}")


def table(head: list[str], rows: list[list[str]]) -> str:
    """Markdown; all columns but the first are numbers."""
    marks = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, marks, *rows])
