"""The detector as the programs compose it: shipped rules and the operator's, native columns."""

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Protocol

import click

from sensor._native.dtypes import TABLES
from sensor._native.faces import Features
from sensor.detect.beacons import PAIR, Beacons
from sensor.detect.detector import Detector
from sensor.detect.loader import load_rules
from sensor.detect.rule import RuleSet
from sensor.model.text import printable

OPERATOR_RULES = "/etc/sensor/rules.d"
COLUMNS = {**TABLES, "pair": PAIR}  # of every table a rule may watch


def shipped_rules(folder: str | None = None) -> RuleSet:
    """The shipped rules, with those of `folder` (default: OPERATOR_RULES) over them where it is."""
    return load_rules(shipped_folder(), Path(folder or OPERATOR_RULES), columns=COLUMNS)


def shipped_folder() -> Traversable:
    """Where the shipped rule files are: the package `sensor.rules`, or rules/ of a source tree."""
    try:
        return files("sensor.rules")
    except ModuleNotFoundError:
        return files("sensor").joinpath("..", "rules")


class Looks(Protocol):
    """Whoever looks at every second beside the detector: topology."""

    def features(self, features: Features) -> None: ...


class Detection:
    """The detector and what feeds it: each second's features, and finished connections."""

    def __init__(self, detector: Detector, topology: Looks | None = None) -> None:
        """`topology` gets the features too."""
        self.detector = detector
        self.topology = topology
        self.beacons = Beacons(detector.whole)  # a consumer of the meter

    def features(self, features: Features) -> None:
        """One second of packet time."""
        self.detector.features(features)
        if self.topology is not None:
            self.topology.features(features)

    def finish(self) -> None:
        """End of input."""
        self.beacons.finish()
        self.detector.finish()


def make_detector(agent_id: str, boot_id: str, folder: str | None = None) -> Detector:
    """A detector; what is wrong with a rule file is said on standard error, and is an event too."""
    rules = shipped_rules(folder)
    for error in rules.errors:
        click.echo(f"sensor: {printable(str(error), 1000)}", err=True)
    return Detector(rules, agent_id=agent_id, boot_id=boot_id)
