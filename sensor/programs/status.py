"""How the daemon is: a small JSON file that it writes every second, and `sensor status`.

The file is in $RUNTIME_DIRECTORY (systemd's /run/sensor), else beside the database. Whoever may
read it needs nothing else of the daemon, which listens on no socket.
"""

import json
import os
import resource
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Event
from time import monotonic, time, time_ns
from typing import Any

import click

from sensor import config
from sensor.capture.live import Interface, is_up
from sensor.capture.portable import PortableInterface
from sensor.errors import DamagedCapture, InputMissing, SensorError
from sensor.model.text import printable
from sensor.model.time import rfc3339
from sensor.programs import sandbox
from sensor.programs.daemon import Daemon, Lane
from sensor.programs.journal import Priority, say, say_error
from sensor.programs.keep import sensor_version
from sensor.programs.notify import Notifier
from sensor.programs.units import count, duration, size

RUNTIME = Path("/run/sensor")
NAME = "status.json"
EVERY_S = 1.0
STALE_S = 10.0  # a daemon that has not written for as long is not there
STUCK_S = 5.0  # the capturing thread goes round ten times a second
MIB = 1 << 20


def status_path(db: Path) -> Path:
    """Where the daemon that writes `db` tells how it is."""
    if folder := os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0]:
        return Path(folder) / NAME
    return db.with_name(f"{db.name}.{NAME}")


# ---- the daemon's side


class Reporter:
    """Writes the file and feeds the watchdog, in a thread of its own."""

    def __init__(self, daemon: Daemon, path: Path, notifier: Notifier, given_up: list[str]) -> None:
        self._daemon = daemon
        self._path = path
        self._notifier = notifier
        self._given_up = given_up
        self._stop = Event()
        self._state = "running"
        self._reloads = 0
        self._reload_error: str | None = None
        self._started = monotonic()
        self._told_failure = False

    def work(self) -> None:
        """Until stop()."""
        while not self._stop.wait(EVERY_S):
            self.write()
            if monotonic() - self._daemon.beat < STUCK_S:
                self._notifier.tell(WATCHDOG=1)

    def stop(self) -> None:
        """The daemon has ended in good order."""
        self._state = "stopped"
        self._notifier.tell(STOPPING=1)
        self._stop.set()
        self.write()

    def reloading(self, reload: Callable[[], str]) -> None:
        """Do it, and tell how it went."""
        usec = monotonic_usec()
        self._notifier.tell(RELOADING=1, MONOTONIC_USEC=usec)
        try:
            done = reload()
        except SensorError as error:
            self._reload_error = printable(str(error), 1000)
            say(f"reload refused, the old settings stay: {error}", Priority.ERROR)
        else:
            self._reloads += 1
            self._reload_error = None
            say(f"reloaded: {done}")
        self._notifier.tell(READY=1)

    def write(self) -> None:
        """All at once: a reader sees the old file or the new one."""
        made = self._path.with_name(f".{self._path.name}.new")
        try:
            made.write_text(json.dumps(self.document()))
            made.replace(self._path)
            self._told_failure = False
        except OSError as error:
            if not self._told_failure:
                say_error(error)
            self._told_failure = True

    def document(self) -> dict[str, Any]:
        """What `sensor status --json` prints."""
        daemon, backlog = self._daemon, self._daemon.backlog
        busy = backlog.busy_since
        used = resource.getrusage(resource.RUSAGE_SELF)
        return {
            "schema": 1,
            "state": self._state,
            "written_at": rfc3339(time_ns()),
            "started_at": rfc3339(daemon.started_ns),
            "uptime_s": round(monotonic() - self._started, 1),
            "version": sensor_version(),
            "pid": os.getpid(),
            "db": daemon.db,
            "window_s": daemon.window_s,
            "sandbox": self._given_up,
            "privileges": sandbox.standing(),
            "writer": {
                "waiting": backlog.waiting,
                "busy_s": None if busy is None else round(monotonic() - busy, 3),
            },
            "process": {
                "cpu_s": round(used.ru_utime + used.ru_stime, 2),
                "rss_bytes": resident(),
                "peak_rss_bytes": used.ru_maxrss * 1024,
            },
            "reloads": self._reloads,
            "reload_error": self._reload_error,
            "agents": [agent_document(lane) for lane in daemon.lanes],
        }


def agent_document(lane: Lane) -> dict[str, Any]:
    """One agent of the host."""
    capture = lane.run.capture
    return {
        "name": lane.plan.name,
        "agent_id": lane.run.agent_id,
        "boot_id": lane.run.boot_id,
        "workspace_id": lane.plan.workspace,
        "packets": capture.packets,
        "bytes": capture.wire_bytes,
        "last_packet": None if capture.last_ns is None else rfc3339(capture.last_ns),
        "windows": lane.behind.windows,
        "windows_kept": lane.kept + 1,
        "lost": lane.behind.lost,
        "interfaces": [
            interface_document([i for i in lane.plan.interfaces if i.name == name])
            for name in dict.fromkeys(interface.name for interface in lane.plan.interfaces)
        ],
    }


def interface_document(shares: Sequence[Interface | PortableInterface]) -> dict[str, Any]:
    """One interface, all its shares together."""
    first = shares[0]
    return {
        "name": first.name,
        "up": is_up(first.name),
        "workers": len(shares),
        "received": sum(share.ring.received for share in shares),
        "dropped": sum(share.ring.dropped for share in shares),
        "freezes": sum(share.ring.freezes for share in shares),
        "taken_over": first.is_inherited,
        "counted_before": sum(share.ring.skipped for share in shares),
        "gaps": first.gaps,
        "gap_s": round(first.gap_s, 3),
        "ring_mib": sum(share.ring_mib for share in shares),
    }


def resident() -> int | None:
    """Octets of this process in memory."""
    with suppress(OSError):
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    return None


def monotonic_usec() -> int:
    """CLOCK_MONOTONIC, as sd_notify(3) wants it with RELOADING=1."""
    return int(monotonic() * 1e6)


# ---- the reader's side


@click.command(
    name="status",
    short_help="Show how the running daemon is.",
    epilog="\b\nExamples:\n  sensor status\n  sensor status --json | jq .agents\n"
    "  sensor status --prometheus > /var/lib/node_exporter/sensor.prom",
)
@click.option("--db", metavar="FILE", help="Of the daemon that writes this database.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.option("--prometheus", is_flag=True, help="In Prometheus' text format.")
def command(db: str | None, as_json: bool, prometheus: bool) -> int:
    """Exit status 1 when the daemon that wrote the file is not running any more."""
    document = read(db)
    if as_json:
        click.echo(json.dumps(document, indent=2))
    elif prometheus:
        click.echo("\n".join(exposition(document)))
    else:
        click.echo("\n".join(words(document)))
    return 0 if document["alive"] else 1


def read(db: str | None) -> dict[str, Any]:
    """The status with `alive` and `age_s`; InputMissing: there is none."""
    folder = Path(config.Store().path)
    candidates = (
        [Path(f"{db}.{NAME}"), RUNTIME / NAME]
        if db
        else [RUNTIME / NAME, folder.with_name(f"{folder.name}.{NAME}")]
    )
    for path in candidates:
        try:
            text = path.read_text()
            document: dict[str, Any] = json.loads(text)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise InputMissing(str(path), (error.strerror or str(error)).lower()) from error
        except ValueError as error:
            raise DamagedCapture(str(path), None, f"no status: {error}") from error
        if db and document["db"] != str(Path(db).absolute()):
            continue
        age_s = max(time() - path.stat().st_mtime, 0.0)
        running = document["state"] != "stopped" and age_s < STALE_S
        return {**document, "alive": running, "age_s": round(age_s, 1)}
    raise InputMissing(str(candidates[0]), "no daemon has written its status here")


def words(document: dict[str, Any]) -> Iterator[str]:
    """For people."""
    state = document["state"] if document["alive"] else "not running"
    age = "" if document["alive"] else f", last heard of {duration(document['age_s'])} ago"
    yield f"sensor {document['version']}: {state}{age}, process {document['pid']}"
    yield f"  up         {duration(document['uptime_s'])}"
    yield f"  database   {printable(document['db'], 200)}"
    yield f"  given up   {', '.join(document['sandbox']) or 'nothing'}"
    process = document["process"]
    yield f"  used       {process['cpu_s']:.1f} s CPU, {size(process['rss_bytes'] or 0)} memory"
    writer = document["writer"]
    if writer["waiting"] or (writer["busy_s"] or 0) > 1:
        yield f"  writer     {count(writer['waiting'], 'task')} behind"
    if document["reload_error"]:
        yield f"  reload     refused: {document['reload_error']}"
    for agent in document["agents"]:
        yield f"  agent      {printable(agent['name'], 64)} {agent['agent_id']}"
        packets = count(agent["packets"], "packet")
        windows = count(agent["windows"], "window")
        yield f"    captured   {packets}, {size(agent['bytes'])}, {windows}"
        if any(agent["lost"].values()):
            yield f"    lost       {', '.join(f'{n:,} {k}' for k, n in agent['lost'].items() if n)}"
        for face in agent["interfaces"]:
            dropped = f"{face['dropped']:,} dropped of {face['received']:,}"
            gaps = f", {count(face['gaps'], 'gap')} of {duration(face['gap_s'])}"
            yield (
                f"    {printable(face['name'], 20):<10} {'up' if face['up'] else 'down'},"
                f" {dropped}{gaps if face['gaps'] else ''}"
            )


def exposition(document: dict[str, Any]) -> Iterator[str]:
    """Prometheus' text format 0.0.4. No address, port or name of a host is a label."""
    agents, process = document["agents"], document["process"]

    def family(name: str, kind: str, text: str, *values: tuple[str, float | None]) -> Iterator[str]:
        yield f"# HELP sensor_{name} {text}"
        yield f"# TYPE sensor_{name} {kind}"
        for labels, value in values:
            if value is not None:
                yield f"sensor_{name}{labels} {value}"

    def each(key: str) -> list[tuple[str, float | None]]:
        return [
            (labels(agent=agent["name"], interface=face["name"]), face[key])
            for agent in agents
            for face in agent["interfaces"]
        ]

    yield from family("up", "gauge", "Whether the daemon runs.", ("", int(document["alive"])))
    info = labels(version=document["version"])
    yield from family("info", "gauge", "Which sensor it is.", (info, 1))
    yield from family("uptime_seconds", "gauge", "Since it began.", ("", document["uptime_s"]))
    yield from family("cpu_seconds_total", "counter", "CPU used.", ("", process["cpu_s"]))
    yield from family("resident_bytes", "gauge", "Memory.", ("", process["rss_bytes"]))
    waiting = document["writer"]["waiting"]
    yield from family("writer_waiting", "gauge", "Tasks before the writer.", ("", waiting))
    yield from family("reloads_total", "counter", "Settings read.", ("", document["reloads"]))
    by_agent = [(labels(agent=agent["name"]), agent) for agent in agents]
    for key, text in (
        ("packets", "Packets decoded."),
        ("bytes", "Octets on the wire of them."),
        ("windows", "Windows ended."),
        ("windows_kept", "Windows in the database."),
    ):
        values = [(label, agent[key]) for label, agent in by_agent]
        yield from family(f"{key}_total", "counter", text, *values)
    lost = [
        (labels(agent=agent["name"], what=what), n)
        for agent in agents
        for what, n in agent["lost"].items()
    ]
    yield from family("lost", "gauge", "Given up since the last window.", *lost)
    for key, name, text in (
        ("received", "interface_received_total", "Packets that passed the filter."),
        ("dropped", "interface_dropped_total", "Packets without room in the ring."),
        ("freezes", "interface_freezes_total", "Times that the ring was full."),
        ("gaps", "interface_gaps_total", "Times that the interface was down or away."),
        ("gap_s", "interface_gap_seconds_total", "How long it was."),
    ):
        yield from family(name, "counter", text, *each(key))
    yield from family("interface_up", "gauge", "Whether it is up.", *(
        (label, None if up is None else int(up)) for label, up in each("up")
    ))  # fmt: skip


def labels(**pairs: str) -> str:
    """``{name="value",…}`` with values escaped."""
    inner = ",".join(
        f'{name}="{printable(str(value), 128).translate(ESCAPED)}"' for name, value in pairs.items()
    )
    return f"{{{inner}}}"


ESCAPED = str.maketrans({"\\": "\\\\", '"': '\\"'})
