"""A case: traffic, and what the sensor must say of it, through the path of `sensor replay`."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sensor.flow.locality import given
from sensor.programs.replay import Replay
from tests.traffic.capture import View, merged, write
from tests.traffic.net import Frame, Net, text

Traffic = Callable[[Net], Iterable[Frame]]
Who = Callable[[Net], bytes]

LEAST_SURE = 0.5  # of an event that names the class rightly
SEVERITIES = ("info", "low", "medium", "high", "critical")
FRAMES_MAX = 30_000


def agent(net: Net) -> bytes:
    """The agent's own host: the victim, unless a case says otherwise."""
    return net.host.address


@dataclass(frozen=True)
class Case:
    """Attack traffic, background, and the events that are due; without `attack` none is."""

    name: str
    attack: Traffic | None = None
    background: Traffic | None = None
    classes: tuple[str, ...] = ()  # of the event; the first is the best
    victim: Who | None = agent  # its destination_ip; None: not said
    source: Who | None = None  # its source_ip; None: not said
    spoofed: bool = False  # its source_ip is null: nobody in particular
    within_s: float = 5  # of the first attack frame
    severity: str = "medium"  # at least
    also: tuple[str, ...] = ()  # other classes that this traffic may raise as well
    quiet: bool = False  # silent cases: not even an event of severity low
    local: Callable[[Net], list[str]] | None = None  # --local; without it, it is learned
    view: Callable[[Net], View] | None = None  # what of it the sensor sees
    snaplen: int = 65535
    versions: tuple[int, ...] = (4, 6)

    @property
    def right(self) -> tuple[str, ...]:
        """Classes that are true of it; none of benign traffic."""
        return (*self.classes, *self.also) if self.attack else ()


def benign(name: str, background: Traffic, **more: Any) -> Case:
    """A look-alike: no event of severity medium or above."""
    return Case(name, background=background, **more)


@dataclass(frozen=True)
class Outcome:
    """What a replay said."""

    net: Net
    onset_s: float | None  # time of the first attack frame, seconds since 1970
    document: dict[str, Any]
    frames: list[Frame]
    replay: Replay

    @property
    def events(self) -> list[dict[str, Any]]:
        return self.document["events"]


def frames_of(case: Case, version: int) -> tuple[Net, list[Frame], list[Frame]]:
    """(network, all frames in order, those of the attack)."""
    net = Net(version, case.name)
    attack = merged(case.attack(net)) if case.attack else []
    background = merged(case.background(net)) if case.background else []
    if case.view:
        view = case.view(net)
        attack, background = view(attack), view(background)
    return net, merged(attack, background), attack


def play(case: Case, version: int, folder: Path) -> Outcome:
    """The case through the real replay."""
    net, frames, attack = frames_of(case, version)
    assert 0 < len(frames) <= FRAMES_MAX, f"{len(frames)} frames"
    path = folder / "case.pcap"
    write(path, frames, case.snaplen)
    local = given(tuple(case.local(net))) if case.local else None
    replay = Replay((str(path),), local=local)
    done = replay.run()
    assert done.document["capture"]["packets"] == len(frames)
    return Outcome(net, attack[0][0] / 1e9 if attack else None, done.document, frames, replay)


def judge(case: Case, outcome: Outcome) -> list[str]:
    """What is wrong, in words; empty when all is as declared."""
    loud = [e for e in outcome.events if e["severity"] in SEVERITIES[2:]]
    if case.attack is None:
        return [f"false event: {words(e)}" for e in (outcome.events if case.quiet else loud)]
    right = [e for e in outcome.events if e["attack_class"] in case.classes]
    known = {*case.classes, *case.also}
    wrong = [f"other class: {words(e)}" for e in loud if e["attack_class"] not in known]
    if not right:
        others = "; ".join(map(words, outcome.events)) or "no event"
        return [f"missed: {others}", *wrong]
    return wrong + _about(case, outcome, right)


def _about(case: Case, outcome: Outcome, right: list[dict[str, Any]]) -> list[str]:
    wrong = []
    onset = outcome.onset_s
    assert onset is not None
    first = min(right, key=lambda event: event["detected_at"])
    if len(right) > 1:
        wrong.append(f"{len(right)} events for one attack: {'; '.join(map(words, right))}")
    late = seconds(first["detected_at"]) - onset
    if not 0 <= late <= case.within_s:
        wrong.append(f"detected {late:.2f} s after the first attack frame: {words(first)}")
    cap = outcome.replay.detector.rule(first["rule_id"]).confidence.cap
    if cap == 1 and first["confidence_score"] < LEAST_SURE:  # a capped rule only suspects
        wrong.append(f"confidence {first['confidence_score']}: {words(first)}")
    if SEVERITIES.index(first["severity"]) < SEVERITIES.index(case.severity):
        wrong.append(f"severity below {case.severity}: {words(first)}")
    for column, who in (("destination_ip", case.victim), ("source_ip", case.source)):
        if who is not None and first[column] != text(who(outcome.net)):
            wrong.append(f"{column} is not {text(who(outcome.net))}: {words(first)}")
    if case.spoofed and first["source_ip"] is not None:
        wrong.append(f"a spoofed source is named: {words(first)}")
    return wrong


def seconds(stamp: str) -> float:
    """Of an RFC 3339 time, since 1970."""
    return datetime.fromisoformat(stamp).timestamp()


def words(event: dict[str, Any]) -> str:
    """An event in one line."""
    ends = f"{event['source_ip']} -> {event['destination_ip']}:{event['destination_port']}"
    return f"{event['attack_class']}/{event['severity']} {ends} at {event['detected_at']}"
