"""A short part of the lab as a test: real tools, a real nginx, two namespaces."""

import os

import pytest

from tests.live import lab

pytestmark = [pytest.mark.net, pytest.mark.slow]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: network namespaces")
def test_attacks_are_found_and_visitors_are_not() -> None:
    assert not lab.missing()
    results = lab.play("SYN flood, spoofed, 400|UDP flood, one|ab, 3|nmap SYN|60 visitors|crawler")
    assert len(results) == 6
    assert [r["scenario"] for r in results if lab.wrong(r)] == []
