"""Every case of every rule, packet by packet through `sensor replay`, in both address families."""

from importlib import import_module
from pathlib import Path

import dpkt
import pytest

from tests.rules.case import Case, judge, play
from tests.rules.measured import Measured, brier, calibration_error
from tests.traffic.net import Frame

FOLDERS = sorted(path.parent.name for path in Path(__file__).parent.glob("*/cases.py"))
CASES: list[tuple[str, Case]] = [
    (folder, case)
    for folder in FOLDERS
    for case in import_module(f"tests.rules.{folder}.cases").CASES
]

PLAYED = Measured()


@pytest.mark.parametrize(
    ("case", "version"),
    [
        pytest.param(case, version, id=f"{folder}: {case.name}, IPv{version}")
        for folder, case in CASES
        for version in case.versions
    ],
)
def test_case(case: Case, version: int, tmp_path: Path) -> None:
    outcome = play(case, version, tmp_path)
    well_formed(outcome.frames)
    PLAYED.add(outcome.replay, outcome.document, case.right)
    assert not (wrong := judge(case, outcome)), "\n".join(wrong)


def well_formed(frames: list[Frame]) -> None:
    """Some of them, as dpkt reads them: lengths that fit, options that parse."""
    for _, octets in frames[:: max(1, len(frames) // 40)]:
        packet = dpkt.ethernet.Ethernet(octets).data
        if isinstance(packet, dpkt.ip.IP):
            assert packet.len == len(octets) - 14
        elif isinstance(packet, dpkt.ip6.IP6):
            assert packet.plen == len(octets) - 54
        if isinstance(packet.data, dpkt.tcp.TCP):
            assert all(len(option) == 2 for option in dpkt.tcp.parse_opts(packet.data.opts))


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_rule_has_an_attack_and_a_look_alike(folder: str) -> None:
    cases = [case for name, case in CASES if name == folder]
    assert any(case.attack for case in cases)
    assert any(not case.attack for case in cases)
    assert len({case.name for case in cases}) == len(cases)


def test_how_sure_events_are_is_how_often_they_are_right() -> None:
    """Of all the cases above."""
    if len(PLAYED.judged) < 150:
        pytest.skip("only some of the cases were played")
    assert calibration_error(PLAYED.judged) <= 0.05
    assert brier(PLAYED.judged) <= 0.06
