"""What the tests of several commands need."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def nobody() -> Iterator[None]:
    """The test as a user whom files' modes stop, also where root runs it."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        if not os.access(Path(__file__), os.R_OK, effective_ids=True):
            pytest.skip("this source tree is in a folder that only root may enter")
        yield
    finally:
        os.seteuid(0)
