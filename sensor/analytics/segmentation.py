"""Which part of the network talks to which: VLANs, or subnets where no tag was seen."""

from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from typing import Any

from sensor.analytics.figures import ratio

DAY_US = 86_400_000_000
BASELINE_DAYS = 3  # of links known before the newest day, for `unexpected` to mean anything
MOST_PAIRS = 200
EXTERNAL = "external"


def segment_of(ip: str | None, vlan: int | None, *, is_local: bool) -> str:
    """`vlan 10`, else the /24 or /64 that a local address lies in, else `external`."""
    if not is_local or ip is None:
        return EXTERNAL
    if vlan:
        return f"vlan {vlan}"
    address = ip_address(ip)
    return str(ip_network((address, 24 if address.version == 4 else 64), strict=False))


def analyse(segments: Mapping[str, str], links: list[dict[str, Any]], until: int) -> dict[str, Any]:
    """Groups, who crosses between them, and pairs of groups that are new.

    segments: node -> segment; links: `source`, `target`, `bytes`, `connections`, `errors`,
    `first_seen` (us). A pair is unexpected when its first link is of the newest day, and links are
    known from BASELINE_DAYS before that.
    """
    groups: dict[str, list[str]] = {}
    for node, name in sorted(segments.items()):
        groups.setdefault(name, []).append(node)
    pairs: dict[tuple[str, str], dict[str, Any]] = {}
    inside = crossing = 0.0
    for link in links:
        pair = segments[link["source"]], segments[link["target"]]
        cell = pairs.setdefault(
            pair,
            {"from": pair[0], "to": pair[1], "bytes": 0, "connections": 0, "errors": 0,
             "first_seen": link["first_seen"]},
        )  # fmt: skip
        for name in ("bytes", "connections", "errors"):
            cell[name] += link[name]
        cell["first_seen"] = min(cell["first_seen"], link["first_seen"])
        if EXTERNAL not in pair:
            inside += link["bytes"]
            crossing += link["bytes"] if pair[0] != pair[1] else 0
    ordered = sorted(pairs.values(), key=lambda cell: (-cell["bytes"], cell["from"], cell["to"]))
    unexpected, reason = new_pairs(ordered, links, until)
    local = [name for name in groups if name != EXTERNAL]
    return {
        "segments": [
            {"segment": name, "nodes": len(members), "kind": kind_of(name)}
            for name, members in sorted(groups.items())
        ],
        "is_flat": len(local) == 1 if local else None,
        "cross_segment_share": ratio(crossing, inside),
        "flow_matrix": [shown(cell) for cell in ordered[:MOST_PAIRS]],
        "unexpected_pairs": unexpected,
        "reason": reason,
    }


def kind_of(name: str) -> str:
    return "vlan" if name.startswith("vlan ") else EXTERNAL if name == EXTERNAL else "subnet"


def shown(cell: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in cell.items() if name != "first_seen"}


def new_pairs(
    pairs: list[dict[str, Any]], links: list[dict[str, Any]], until: int
) -> tuple[list[dict[str, Any]] | None, str | None]:
    """Pairs of different segments first seen in the newest day; None without a baseline."""
    newest_day = until - DAY_US
    oldest = min((link["first_seen"] for link in links), default=until)
    if oldest > newest_day - BASELINE_DAYS * DAY_US:
        return None, f"links are known for less than {BASELINE_DAYS + 1} days"
    return [
        shown(cell)
        for cell in pairs
        if cell["first_seen"] >= newest_day and cell["from"] != cell["to"]
    ], None
