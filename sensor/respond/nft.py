"""The nftables table that is ours, through `nft -j -f -`: JSON on standard input, no shell.

    table inet sensor_response {
        set blocked4 { type ipv4_addr; size 1000; flags timeout; counter; }
        set blocked6 { type ipv6_addr; size 1000; flags timeout; counter; }
        chain prerouting {
            type filter hook prerouting priority raw; policy accept;
            iif "lo" accept
            ip saddr @blocked4 counter drop
            ip6 saddr @blocked6 counter drop
        }
    }

No other table is read or written. Every element has its own timeout: the kernel lets it go whatever
becomes of us. Why this hook: docs/response.md.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sensor.errors import NoPermission, SensorError, UsageError, one_line
from sensor.model.address import MAPPED, address_text
from sensor.respond.protected import parsed
from sensor.respond.settings import Settings

PATH = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin"
TIMEOUT_S = 20
FAMILY = "inet"
CHAIN = "prerouting"
BATCH = 500  # elements in one command

Command = dict[str, Any]


class NftError(SensorError):
    """nft refused; what it said, in one line."""


@dataclass(frozen=True, slots=True)
class Element:
    """An address in one of the sets, as the kernel has it."""

    expires_s: int
    packets: int | None
    bytes: int | None


@dataclass(frozen=True, slots=True)
class Present:
    """Our table as the kernel has it."""

    elements: dict[bytes, Element]
    as_wanted: bool  # made by these settings


class Firewall:
    """The table of these settings. Needs CAP_NET_ADMIN for everything, reading too."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._nft = shutil.which("nft", path=PATH)

    # ---- reading

    def read(self) -> Present | None:
        """None when there is no such table; UsageError when it is somebody else's."""
        tables = self._ask("list", "tables", FAMILY)
        mine = {"family": FAMILY, "name": self._settings.table}
        if not any(mine.items() <= t.get("table", {}).items() for t in tables):
            return None
        return self._understood(self._ask("list", "table", FAMILY, self._settings.table))

    def _understood(self, objects: list[dict[str, Any]]) -> Present:
        sets = {o["set"]["name"]: o["set"] for o in objects if "set" in o}
        chains = {o["chain"]["name"]: o["chain"] for o in objects if "chain" in o}
        rules = [o["rule"].get("expr") for o in objects if "rule" in o]
        others = {kind for o in objects for kind in o} - {
            "metainfo", "table", "set", "chain", "rule",
        }  # fmt: skip
        settings = self._settings
        if (
            others
            or set(chains) - {CHAIN}
            or any(made.get("type") not in ("ipv4_addr", "ipv6_addr") for made in sets.values())
        ):
            raise UsageError(
                f"the nftables table {FAMILY} {settings.table} is not ours:"
                " give [response] another `table`"
            )
        as_wanted = (
            {name: (s.get("type"), s.get("size"), s.get("flags")) for name, s in sets.items()}
            == {
                settings.set4: ("ipv4_addr", settings.max_entries, ["timeout"]),
                settings.set6: ("ipv6_addr", settings.max_entries, ["timeout"]),
            }
            and [(c.get("hook"), c.get("prio")) for c in chains.values()]
            == [(CHAIN, settings.priority)]
            and uncounted(rules) == [rule["add"]["rule"]["expr"] for rule in self._rules()]
        )
        elements = {}
        for made in sets.values():
            for element in made.get("elem", []):
                inner = element["elem"] if isinstance(element, dict) else {"val": element}
                address = parsed(inner["val"])
                if address is not None:
                    counter = inner.get("counter", {})
                    elements[address] = Element(
                        inner.get("expires", 0), counter.get("packets"), counter.get("bytes")
                    )
        return Present(elements, as_wanted)

    # ---- writing

    def make(self, blocks: Mapping[bytes, int]) -> None:
        """Our table from nothing, with these addresses and their seconds; all or nothing."""
        name = self._settings.table
        table = {"table": {"family": FAMILY, "name": name}}
        commands: list[Command] = [{"add": table}, {"delete": table}, {"add": table}]
        for set_name, kind in (
            (self._settings.set4, "ipv4_addr"),
            (self._settings.set6, "ipv6_addr"),
        ):
            made = {
                "family": FAMILY,
                "table": name,
                "name": set_name,
                "type": kind,
                "size": self._settings.max_entries,
                "flags": ["timeout"],
                "stmt": [{"counter": None}],
            }
            commands.append({"add": {"set": made}})
        chain = {
            "family": FAMILY,
            "table": name,
            "name": CHAIN,
            "type": "filter",
            "hook": "prerouting",
            "prio": self._settings.priority,
            "policy": "accept",
        }
        commands += [{"add": {"chain": chain}}, *self._rules()]
        self._tell([*commands, *self._elements("add", blocks)])

    def add(self, blocks: Mapping[bytes, int]) -> None:
        """These addresses for so many seconds; what is there already begins anew."""
        addresses = dict.fromkeys(blocks, 1)
        # A delete needs an element that is there, an add does not mind: so this always works,
        # and older kernels, whose add keeps the old timeout, get the new one.
        self._tell(
            [
                *self._elements("add", addresses),
                *self._elements("delete", addresses),
                *self._elements("add", blocks),
            ]
        )

    def remove(self, addresses: Iterable[bytes]) -> None:
        """They are not blocked any more, whether they were or not."""
        given = dict.fromkeys(addresses, 1)
        self._tell([*self._elements("add", given), *self._elements("delete", given)])

    def clear(self) -> None:
        """Take our table away, and with it everything."""
        table = {"table": {"family": FAMILY, "name": self._settings.table}}
        self._tell([{"add": table}, {"delete": table}])

    def set_of(self, address: bytes) -> str:
        """The name of the set that an address goes to."""
        return self._settings.set4 if address.startswith(MAPPED) else self._settings.set6

    def _rules(self) -> list[Command]:
        return [
            {
                "add": {
                    "rule": {
                        "family": FAMILY,
                        "table": self._settings.table,
                        "chain": CHAIN,
                        "expr": expression,
                    }
                }
            }
            for expression in (
                [match({"meta": {"key": "iif"}}, "lo"), {"accept": None}],
                dropping("ip", self._settings.set4),
                dropping("ip6", self._settings.set6),
            )
        ]

    def _elements(self, verb: str, blocks: Mapping[bytes, int]) -> list[Command]:
        commands = []
        for name in (self._settings.set4, self._settings.set6):
            here = [
                {"elem": {"val": address_text(address), "timeout": seconds}}
                if verb == "add"
                else address_text(address)
                for address, seconds in blocks.items()
                if self.set_of(address) == name
            ]
            for at in range(0, len(here), BATCH):
                where = {"family": FAMILY, "table": self._settings.table, "name": name}
                commands.append({verb: {"element": {**where, "elem": here[at : at + BATCH]}}})
        return commands

    # ---- nft

    def _tell(self, commands: list[Command]) -> None:
        """In one transaction: all of it or nothing."""
        self._run(["-f", "-"], json.dumps({"nftables": commands}))

    def _ask(self, *arguments: str) -> list[dict[str, Any]]:
        said = self._run(list(arguments), "")
        try:
            found = json.loads(said)["nftables"]
        except (ValueError, KeyError, TypeError) as error:
            raise NftError(one_line(f"nft: not the JSON of nft: {said[:100]!r}")) from error
        return [o for o in found if isinstance(o, dict)]

    def _run(self, arguments: list[str], text: str) -> str:
        if self._nft is None:
            raise UsageError("nft is not installed: apt-get install nftables")
        try:
            done = subprocess.run(  # noqa: S603  (a fixed program, no shell, addresses were parsed)
                [self._nft, "-j", *arguments],
                input=text,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=TIMEOUT_S,
                check=False,
                env={"PATH": PATH, "LC_ALL": "C"},
            )
        except subprocess.TimeoutExpired as error:
            raise NftError(f"nft did not end within {TIMEOUT_S} s") from error
        except OSError as error:
            raise NftError(one_line(f"{self._nft}: {error.strerror}")) from error
        if done.returncode == 0:
            return done.stdout
        said = one_line(" ".join(done.stderr.split()) or f"status {done.returncode}")
        if os.strerror(1) in done.stderr:  # EPERM, in the words of the C locale
            raise NoPermission(f"nft: {said}: needs CAP_NET_ADMIN")
        raise NftError(f"nft: {said}")


def match(left: dict[str, Any], right: str) -> Command:
    return {"match": {"op": "==", "left": left, "right": right}}


def dropping(protocol: str, set_name: str) -> list[Command]:
    field = {"payload": {"protocol": protocol, "field": "saddr"}}
    return [match(field, f"@{set_name}"), {"counter": None}, {"drop": None}]


def uncounted(rules: list[Any]) -> list[Any]:
    """Expressions as they were given: listed counters have their counts."""
    return [
        [{"counter": None} if "counter" in statement else statement for statement in rule or []]
        for rule in rules
    ]
