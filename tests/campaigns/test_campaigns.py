"""A little of each campaign; all of it: `make campaigns`."""

import shutil
from pathlib import Path

import pytest

from tests.campaigns import kill9, powerloss


def test_kill_9(tmp_path: Path) -> None:
    safe, found = kill9.campaign(tmp_path / "s.db", 25, seed=2)
    assert safe == found > 0


@pytest.mark.system
def test_power_loss(tmp_path: Path) -> None:
    assert shutil.which("strace")
    assert powerloss.campaign(tmp_path, 40, 3) > 0


@pytest.mark.system
def test_a_store_that_does_not_wait_for_the_disk_is_found_out(tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        powerloss.campaign(tmp_path, 40, 3, "--unsafe")
