"""The configuration file, /etc/sensor/sensor.toml: every key, its default, its meaning, its limits.

One table per concern; a key that is not here is an error that names the line and the nearest one.
`docs/settings.md` and `systemd/sensor.toml` are made from the descriptions below.
"""

import re
import tomllib
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_type_hints
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

from sensor.errors import UsageError, one_line

PATH = "/etc/sensor/sensor.toml"
SIZE_MAX = 1 << 20  # octets of a file
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
LONGEST_S = 400 * 86400
UNKNOWN_KEY = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
FORM = re.compile(r"Expected `str` matching regex '(.*)'")

# Attacks that take a completed TCP handshake, so that somebody at the address really took part.
# A scan is not among them: decoys (nmap -D) would have us block whomever a scanner names.
CONFIRMABLE = (
    "brute_force", "connection_flood", "http_flood", "slow_post", "slow_read", "slowloris",
    "tls_flood",
)  # fmt: skip

# What `sensor ship` may be told to leave out; the rest makes no sense without agents.
LeftOut = Literal[
    "bandwidth_seconds", "capture_health", "cdn_requests", "connections", "latency_histograms",
    "metrics_hourly", "network_performance_metrics", "network_security_events", "protocol_mix",
    "regional_metrics", "topology_links", "topology_nodes",
]  # fmt: skip
LEFT_OUT: tuple[str, ...] = get_args(LeftOut)

Text = Annotated[str, Meta(max_length=255)]
Short = Annotated[str, Meta(max_length=64)]
File = Annotated[str, Meta(min_length=1, max_length=4096)]
UUID = r"^([0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12})?\Z"
DURATION = r"^[0-9]{1,7}[smhd]\Z"
NAME = r"^[a-z][a-z0-9_]{0,30}\Z"
INTERFACE = r"^[^\s/]{1,15}\Z"
FORMS = {
    UUID: "a UUID",
    DURATION: "a duration such as 30m (s, m, h, d)",
    NAME: "a lower-case word",
    INTERFACE: "the name of an interface",
}
Uuid = Annotated[str, Meta(pattern=UUID)]  # or empty
Duration = Annotated[str, Meta(pattern=DURATION)]
Name = Annotated[str, Meta(pattern=NAME)]
Interface = Annotated[str, Meta(pattern=INTERFACE)]
Vlan = Annotated[int, Meta(ge=0, le=4094)]
Probability = Annotated[float, Meta(ge=0, le=1)]
Price = Annotated[float, Meta(ge=0, le=1e9)]
Severity = Literal["info", "low", "medium", "high", "critical"]


class Table(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A table of the file."""


class Agent(Table, frozen=True):
    """Who this host is. The traffic belongs to it unless `[[agents]]` says otherwise."""

    id: Annotated[Uuid, Meta(description="UUID; empty: made of /etc/machine-id")] = ""
    workspace: Annotated[Short, Meta(description="group of agents")] = "default"
    network: Annotated[Short, Meta(description="name of the attachment; empty: made of it")] = ""
    region: Annotated[Short, Meta(description="where the host is; empty: by its address")] = ""


class OtherAgent(Table, frozen=True):
    """An agent of its own on this host, by prefix, interface or VLAN; its traffic only."""

    name: Annotated[Name, Meta(description="a word for it, in logs and status")]
    id: Annotated[Uuid, Meta(description="UUID; empty: made of the host's and the name")] = ""
    workspace: Annotated[Short, Meta(description="group; empty: the host's")] = ""
    prefixes: Annotated[
        tuple[Short, ...],
        Meta(description="its addresses (CIDR); also what is local to it", max_length=64),
    ] = ()
    interfaces: Annotated[
        tuple[Interface, ...], Meta(description="its interfaces; none: the host's", max_length=64)
    ] = ()
    vlan: Annotated[Vlan, Meta(description="its VLAN; 0: any")] = 0


class Capture(Table, frozen=True):
    """Where packets come from."""

    interfaces: Annotated[
        tuple[Interface, ...],
        Meta(description="names, or `any`; none: those that are up", max_length=64),
    ] = ()
    filter: Annotated[
        str, Meta(description="only packets of this pcap-filter(7)", max_length=4096)
    ] = ""
    promiscuous: Annotated[bool, Meta(description="packets for others, too")] = False
    method: Annotated[
        Literal["auto", "ring", "libpcap"],
        Meta(
            description="the kernel's ring, or libpcap: slower, in microseconds, without agents by"
            " VLAN, and nothing is kept over a restart; auto: the ring where there is one"
        ),
    ] = "auto"
    ring_mib: Annotated[
        int, Meta(ge=1, le=1024, description="memory of each interface's ring, MiB")
    ] = 64
    workers: Annotated[
        int,
        Meta(
            ge=1,
            le=64,
            description="threads that capture, each with rings and tables of its own; one takes"
            " about a million packets a second",
        ),
    ] = 1
    local: Annotated[
        tuple[Short, ...],
        Meta(description="prefixes that are the agent's own; none: its addresses", max_length=64),
    ] = ()
    window_s: Annotated[int, Meta(ge=1, le=86400, description="length of a window, seconds")] = 60
    hold: Annotated[
        bool,
        Meta(
            description="keep packets in the ring until their window is in the database, as long"
            " as half of the ring is free: a crash then loses none of them"
        ),
    ] = True


class Store(Table, frozen=True):
    """The database."""

    path: Annotated[File, Meta(description="SQLite file")] = "/var/lib/sensor/sensor.db"
    size_mib: Annotated[
        int, Meta(ge=16, le=1 << 20, description="largest size of the file; oldest rows go")
    ] = 1024
    connections: Annotated[Duration, Meta(description="how long connections stay")] = "24h"
    short_windows: Annotated[
        Duration, Meta(description="windows shorter than a minute, and seconds")
    ] = "48h"
    windows: Annotated[Duration, Meta(description="windows")] = "14d"
    hours: Annotated[Duration, Meta(description="hours, with merged histograms")] = "400d"
    events: Annotated[Duration, Meta(description="security events")] = "400d"


class Detection(Table, frozen=True):
    """Security events."""

    rules: Annotated[
        str, Meta(description="folder of your own rules; empty: only those shipped")
    ] = ""


class Geography(Table, frozen=True):
    """Where addresses are."""

    countries: Annotated[
        str, Meta(description="country database (.mmdb) that goes before ours; empty: none")
    ] = ""


class Ship(Table, frozen=True):
    """Where rows go, by `sensor ship`. URLs with passwords: in its credentials file, not here."""

    to: Annotated[tuple[Text, ...], Meta(description="URLs of central stores", max_length=16)] = ()
    without: Annotated[
        tuple[LeftOut, ...],
        Meta(description="tables that are not shipped", max_length=16),
    ] = ()


class Billing(Table, frozen=True):
    """What traffic costs, by link, as its provider bills it. Without a model there is no cost."""

    model: Annotated[
        Literal["none", "p95", "gb_transfer", "flat"],
        Meta(description="95th percentile of 5-minute means, volume, or a fixed price"),
    ] = "none"
    rate: Annotated[
        Price, Meta(description="per Mbps and month, per GB (10^9 octets), or per month")
    ] = 0.0
    commit: Annotated[Price, Meta(description="least Mbps or GB that is paid for")] = 0.0
    currency: Annotated[Short, Meta(description="of all prices")] = ""
    direction: Annotated[
        Literal["max", "in", "out", "sum"],
        Meta(description="which octets are charged; max: the larger direction"),
    ] = "max"
    timezone: Annotated[Short, Meta(description="of the month, as Europe/Zurich")] = "UTC"
    implementation_cost: Annotated[
        Price, Meta(description="of the optimizations, for roi_months; 0: not known")
    ] = 0.0
    baseline_cost: Annotated[
        Price, Meta(description="of a month before them, for the objective; 0: not known")
    ] = 0.0
    cdn_price_per_gb: Annotated[
        Price, Meta(description="what the CDN takes for a GB; 0: not known")
    ] = 0.0
    origin_price_per_gb: Annotated[
        Price, Meta(description="what a GB costs at the origin; 0: not known")
    ] = 0.0


class Sandbox(Table, frozen=True):
    """What the daemon gives up once its sockets are open."""

    drop: Annotated[bool, Meta(description="all capabilities, and the means to get them back")] = (
        True
    )
    seccomp: Annotated[bool, Meta(description="system calls that it has no use for")] = True
    landlock: Annotated[bool, Meta(description="all files but its own, where the kernel can")] = (
        True
    )


class Response(Table, frozen=True):
    """Prevention, opt-in: `sensor respond` (docs/response.md)."""

    enabled: Annotated[bool, Meta(description="answer attacks")] = False
    dry_run: Annotated[bool, Meta(description="only say what would be done")] = True
    min_severity: Annotated[Severity, Meta(description="least severity")] = "high"
    min_confidence: Annotated[Probability, Meta(description="least confidence_score")] = 0.95
    max_false_positive: Annotated[
        Probability, Meta(description="largest false_positive_probability")
    ] = 1e-3
    classes: Annotated[
        tuple[Short, ...],
        Meta(description="attack classes; only with a proven source", max_length=100),
    ] = CONFIRMABLE
    timeout: Annotated[Duration, Meta(description="how long a source stays blocked")] = "30m"
    max_age: Annotated[Duration, Meta(description="older events are no reason to act")] = "5m"
    max_entries: Annotated[int, Meta(ge=1, le=65536, description="sources at once")] = 1000
    max_per_hour: Annotated[int, Meta(ge=1, le=65536, description="new sources an hour")] = 60
    allow: Annotated[
        tuple[Short, ...],
        Meta(description="prefixes that are never blocked", max_length=10000),
    ] = ()
    allow_private_targets: Annotated[bool, Meta(description="private sources, too")] = False
    table: Annotated[Name, Meta(description="nftables table, inet")] = "sensor_response"
    set4: Annotated[Name, Meta(description="its set of IPv4 sources")] = "blocked4"
    set6: Annotated[Name, Meta(description="its set of IPv6 sources")] = "blocked6"
    priority: Annotated[
        int, Meta(ge=-1000, le=1000, description="of the chain at the prerouting hook")
    ] = -300


class Config(Table, frozen=True):
    """The whole file."""

    agent: Agent = Agent()
    agents: Annotated[tuple[OtherAgent, ...], Meta(max_length=16)] = ()
    capture: Capture = Capture()
    store: Store = Store()
    detection: Detection = Detection()
    geography: Geography = Geography()
    ship: Ship = Ship()
    billing: Billing = Billing()
    sandbox: Sandbox = Sandbox()
    response: Response = Response()


def load(path: str | None) -> Config:
    """The file at `path`; None: the usual one where there is one, else the defaults.

    UsageError: one line, ``file:line: key: what is wrong``.
    """
    if path is None:
        if not Path(PATH).exists():
            return Config()
        path = PATH
    try:
        with open(path, "rb") as file:
            octets = file.read(SIZE_MAX + 1)
    except OSError as error:
        raise UsageError(one_line(f"{path}: {(error.strerror or str(error)).lower()}")) from error
    if len(octets) > SIZE_MAX:
        raise UsageError(one_line(f"{path}: larger than {SIZE_MAX} octets"))
    try:
        text = octets.decode()
        values = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(one_line(f"{path}: no TOML: {error}")) from error
    try:
        return convert(values)
    except WrongKey as error:
        line = line_of(text, error.key)
        at = path if line is None else f"{path}:{line}"
        raise UsageError(one_line(f"{at}: {error}")) from error


class WrongKey(UsageError):
    """`key` (``store.path``, or "" for the whole) is not what it should be."""

    def __init__(self, key: str, reason: str) -> None:
        self.key = key
        super().__init__(f"{key}: {reason}" if key else reason)


def convert(values: Any) -> Config:
    """Checked; WrongKey."""
    try:
        config = msgspec.convert(values, Config, strict=True)
    except msgspec.ValidationError as error:
        raise WrongKey(*explained(str(error))) from error
    for table, kind in tables().items():
        if table == "agents":
            continue
        for key, *_ in keys_of(kind):
            value = getattr(getattr(config, table), key)
            if not isinstance(value, str) or not re.match(DURATION, value):
                continue
            if not 1 <= seconds(value) <= LONGEST_S:
                raise WrongKey(f"{table}.{key}", "expected at least 1s, at most 400d")
    billing = config.billing
    if billing.model != "none" and not billing.rate:
        raise WrongKey("billing.rate", "expected a price above 0 with this model")
    try:
        ZoneInfo(billing.timezone)
    except (ValueError, OSError, LookupError):
        raise WrongKey("billing.timezone", "expected a name such as Europe/Zurich") from None
    if len({agent.name for agent in config.agents}) < len(config.agents):
        raise WrongKey("agents", "two have the same name")
    return config


def explained(text: str) -> tuple[str, str]:
    """msgspec's words as (key such as ``store.path``, reason with the nearest name)."""
    reason, _, where = text.partition(" - at `$")
    where = where.strip("`.").replace("[...]", "")
    if unknown := UNKNOWN_KEY.match(reason):
        near = get_close_matches(unknown[1], [name for name, *_ in keys_of(table_at(where))], 1)
        hint = f", perhaps `{near[0]}`" if near else ""
        return f"{where}.{unknown[1]}".lstrip("."), f"unknown key{hint}"
    if form := FORM.match(reason):
        pattern = form[1].replace("\\\\", "\\")
        return where, f"expected {FORMS.get(pattern, pattern)}"
    return where, reason.replace("Expected", "expected", 1).replace("Object", "table", 1)


def table_at(where: str) -> type[Table]:
    """The struct behind the first part of ``store.path``; the whole file for ``""``."""
    return tables().get(where.split(".")[0].split("[")[0], Config)


def tables() -> dict[str, type[Table]]:
    """By name, in the file's order."""
    kinds: dict[str, type[Table]] = {}
    for name, kind in get_type_hints(Config).items():
        kinds[name] = OtherAgent if name == "agents" else kind
    return kinds


def keys_of(table: type[Table]) -> Iterator[tuple[str, Any, str]]:
    """(key, default, description) of a table; a key without a default has msgspec.NODEFAULT."""
    for field in msgspec.structs.fields(table):
        found = msgspec.inspect.type_info(field.type)
        description = ""
        while isinstance(found, msgspec.inspect.Metadata):
            description = description or (found.extra_json_schema or {}).get("description", "")
            found = found.type
        yield field.name, field.default, description


def line_of(text: str, where: str) -> int | None:
    """The line on which `where` (``store.path``, ``agents[1].vlan``) stands, if it can be told."""
    found = re.fullmatch(r"(\w+)(?:\[(\d+)\])?(?:\.([\w-]+).*)?", where)
    if found is None:
        return None  # a key that nobody would mistake for one of ours
    table, nth, key = found[1], int(found[2] or 0), found[3]
    within, head_line = False, None
    for number, line in enumerate(text.splitlines(), 1):
        if head := re.match(r"\s*\[\[?\s*([\w.-]+)", line):
            within = head[1] == table and nth == 0
            nth -= head[1] == table
            if within:
                head_line = number
        elif (begun := re.match(r"\s*([\w-]+)\s*[=.]", line)) and (
            begun[1] == (key if within else table) and (within or head_line is None)
        ):
            return number
    return head_line


def seconds(text: Duration) -> int:
    """``90s``, ``30m``, ``2h``, ``14d`` in seconds."""
    return int(text[:-1]) * UNITS[text[-1]]
