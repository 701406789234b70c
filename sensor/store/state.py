"""What detection learnt, as JSON that a row can hold."""

import json
from collections.abc import Mapping
from typing import Any

LIMIT = 4 << 20  # octets; about 30,000 keys


def state_text(state: Mapping[str, Any], limit: int = LIMIT) -> str:
    """`state` of a detector as JSON of at most `limit` octets.

    A rule's keys come in the order in which they are worth keeping: where there is no room, every
    rule gives up the same share of them, from the end.
    """
    text = json.dumps(state, separators=(",", ":"))  # ASCII: a character is an octet
    share = 1.0
    while len(text) > limit and share > 0:
        share = share * limit / len(text) * 0.9 if share > 1e-4 else 0.0
        rules = {name: shortened(rule, share) for name, rule in state["rules"].items()}
        text = json.dumps({**state, "rules": rules}, separators=(",", ":"))
    return text


def shortened(rule: Mapping[str, Any], share: float) -> dict[str, Any]:
    keys = rule.get("keys", {})
    kept = list(keys)[: int(len(keys) * share)]
    return {**rule, "keys": {key: keys[key] for key in kept}}
