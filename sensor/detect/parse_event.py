"""The parts of a rule file that say how sure an event is, what it tells and how long it lives."""

from sensor.detect.names import Names
from sensor.detect.reader import Table
from sensor.detect.rule import Allow, Confidence, EventParts, Evidence, Lifecycle
from sensor.model.address import Prefix, pack_prefix

PARTIES = ("key", "top", "none")
# What makes two rows the same event. A table has one address, whichever side it is on, or a pair.
KEY_WORDS = {
    "dst_ip": ("peer", "address"),
    "src_ip": ("address",),
    "dst_port": ("port",),
    "refl_proto": ("port",),
}
# table -> where the parties of an event are found unless [event] says otherwise
_PARTIES = {
    "service": ("top", "key"),
    "host": ("top", "key"),
    "reflection": ("top", "key"),
    "source": ("key", "top"),
    "pair": ("key", "top"),
    "domain": ("top", "none"),
    "neighbour": ("none", "key"),
}


def parse_confidence(table: Table, names: Names) -> Confidence:
    evidence = []
    for part in table.tables("llr"):
        when, nats = names.take(part, "when"), names.take(part, "nats")
        evidence.append(Evidence(when, nats, part.word("family", None, None)))
        part.done()
    confidence = Confidence(
        prior=table.number("prior", low=1e-9, high=1 - 1e-9),
        evidence=tuple(evidence),
        cap=table.number("cap", 1.0, low=0.0, high=1.0),
        false_positive_rate=table.number("false_positive_rate", None, low=0.0, high=1.0),
        benign_windows=table.whole("benign_windows", None),
    )
    table.done()
    return confidence


def parse_event(table: Table, names: Names, rows: str) -> EventParts:
    source, destination = _PARTIES.get(rows, ("none", "none"))
    event = EventParts(
        source=table.word("source", PARTIES, source),
        destination=table.word("destination", PARTIES, destination),
        spoofed=names.take(table, "spoofed", None),
        packets=names.take(table, "packets", None),
        bytes=names.take(table, "bytes", None),
        protocol=table.text("protocol", None),
    )
    table.done()
    return event


def parse_lifecycle(table: Table, names: Names, keys: tuple[str, ...]) -> Lifecycle:
    key = table.words("key") or ("rule", *keys)
    parts = []
    for word in key:
        known = [part for part in KEY_WORDS.get(word, (word,)) if part in (*keys, "rule", "class")]
        if not known:
            raise table.error("key", f"key: {word!r} names no part of this table's key", word)
        parts.append(known[0])
    lifecycle = Lifecycle(
        key=tuple(parts),
        clear=names.take(table, "clear"),
        hold_s=table.seconds("hold", 30),
        update_s=table.seconds("update", 10),
        merge_gap_s=table.seconds("merge_gap", 120),
        max_open=table.whole("max_open", 1024, low=1, high=65536),
    )
    table.done()
    return lifecycle


def parse_allow(table: Table) -> Allow:
    allow = Allow(
        sources=_prefixes(table, "sources"),
        destinations=_prefixes(table, "destinations"),
        names=tuple(name.lower().strip(".") for name in table.words("names")),
        until=table.day("until"),
    )
    table.done()
    return allow


def _prefixes(table: Table, key: str) -> tuple[Prefix, ...]:
    prefixes = []
    for text in table.words(key):
        try:
            prefixes.append(pack_prefix(text))
        except ValueError:
            raise table.error(key, f"{key}: {text!r} is no address or CIDR", text) from None
    return tuple(prefixes)
