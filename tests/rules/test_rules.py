"""Every case of every rule, packet by packet through `sensor replay`, in both address families."""

from importlib import import_module
from pathlib import Path

import pytest

from tests.rules.case import Case, judge, play

FOLDERS = sorted(path.parent.name for path in Path(__file__).parent.glob("*/cases.py"))
CASES: list[tuple[str, Case]] = [
    (folder, case)
    for folder in FOLDERS
    for case in import_module(f"tests.rules.{folder}.cases").CASES
]


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
    assert not (wrong := judge(case, outcome)), "\n".join(wrong)


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_rule_has_an_attack_and_a_look_alike(folder: str) -> None:
    cases = [case for name, case in CASES if name == folder]
    assert any(case.attack for case in cases)
    assert any(not case.attack for case in cases)
    assert len({case.name for case in cases}) == len(cases)
