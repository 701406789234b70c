"""Who does it to whom, in words. Every string that came from the wire goes through printable()."""

from sensor.model.event import evidence_of, figure
from sensor.model.rows import SecurityEventRow
from sensor.model.text import printable

UNKNOWN = "-"


def ends(row: SecurityEventRow, arrow: str = "->") -> str:
    """``192.0.2.1 -> 10.0.0.1:80/tcp``; words where no one address would be true.

    The title where nobody is named: the event is about something else.
    """
    source, destination = sources(row), place(row.destination_ip, row.destination_port)
    if not (source or destination):
        return printable(row.title or UNKNOWN)
    protocol = printable(row.protocol or "", 20)
    by = f"/{protocol}" if row.destination_port is not None else f" ({protocol})"
    against = destination or "several destinations"
    return f"{source or 'several sources'} {arrow} {against}{by if protocol else ''}"


def sources(row: SecurityEventRow) -> str:
    """The one source, or how many, and whether their addresses are true; empty when not known."""
    if known := place(row.source_ip, row.source_port):
        return known
    evidence = evidence_of(row)
    forged = "forged " if evidence.get("spoofed") is True else ""
    n = figure(evidence, "sources_estimated")
    if n is not None and n >= 1:
        return f"about {round(n):,} {forged}source{'' if round(n) == 1 else 's'}"
    return f"{forged}sources" if forged else ""


def place(ip: str | None, port: int | None) -> str:
    """``10.0.0.1:80``, ``[2001:db8::1]:80``; empty when there is no address."""
    if ip is None:
        return ""
    address = printable(ip, 64)
    if port is None:
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
