"""Who the traffic belongs to: agent, workspace, network (DESIGN 4.6)."""

import hashlib
from uuid import NAMESPACE_DNS, UUID, uuid5

DEFAULT_WORKSPACE = "default"

# A capture file names no agent. Every replay without --agent-id gets this one, so that replaying
# twice gives the same rows.
REPLAY_AGENT = uuid5(NAMESPACE_DNS, "replay")


def agent_id(given: str | None) -> str:
    """The canonical text of `given` (ValueError when it is no UUID), or the agent of replays."""
    return str(UUID(given) if given is not None else REPLAY_AGENT)


def network_id(interface: str, prefixes: list[str]) -> str:
    """Names the attachment: 16 hex digits of SHA-1 over the interface and the local prefixes."""
    parts = "|".join([interface, *sorted(prefixes)])
    return hashlib.sha1(parts.encode(), usedforsecurity=False).hexdigest()[:16]
