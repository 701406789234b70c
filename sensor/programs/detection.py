"""The detector as the programs compose it: shipped rules and the operator's, native columns."""

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import click

from sensor._native.dtypes import TABLES
from sensor.detect.detector import Detector
from sensor.detect.loader import load_rules
from sensor.detect.rule import RuleSet
from sensor.model.text import printable

OPERATOR_RULES = "/etc/sensor/rules.d"


def shipped_rules(folder: str | None = None) -> RuleSet:
    """The shipped rules, with those of `folder` (default: OPERATOR_RULES) over them where it is."""
    return load_rules(shipped_folder(), Path(folder or OPERATOR_RULES), columns=TABLES)


def shipped_folder() -> Traversable:
    """Where the shipped rule files are: the package `sensor.rules`, or rules/ of a source tree."""
    try:
        return files("sensor.rules")
    except ModuleNotFoundError:
        return files("sensor").joinpath("..", "rules")


def make_detector(agent_id: str, boot_id: str, folder: str | None = None) -> Detector:
    """A detector; what is wrong with a rule file is said on standard error, and is an event too."""
    rules = shipped_rules(folder)
    for error in rules.errors:
        click.echo(f"sensor: {printable(str(error), 1000)}", err=True)
    return Detector(rules, agent_id=agent_id, boot_id=boot_id)
