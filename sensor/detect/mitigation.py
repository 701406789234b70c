"""What to do about an event, as text. Nothing here is ever executed."""

import re
from collections.abc import Mapping

_FIELD = re.compile(r"\{([a-z][a-z0-9_.]{0,63})(?::(,?(?:\.\d)?[%fgd]?))?\}")


def fill(text: str, values: Mapping[str, object]) -> str:
    """`text` with {name} and {name:.0%} filled in.

    A name without a value stays as it is written: these files are anybody's, so there is no
    attribute, no index, no error.
    """

    def value(match: re.Match[str]) -> str:
        found = values.get(match[1])
        if found is None:
            return match[0]
        if isinstance(found, int | float) and match[2]:
            form = match[2]
            return format(int(found) if form.endswith("d") else found, form)
        if isinstance(found, float):
            return f"{found:.6g}"
        return str(found)

    return _FIELD.sub(value, text)


def advice(summary: str, steps: tuple[str, ...], values: Mapping[str, object]) -> str:
    """Summary and steps, one a line."""
    lines = [summary, *(f"- {step}" for step in steps)]
    return "\n".join(fill(line, values) for line in lines if line)
