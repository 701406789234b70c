"""What the tests of several commands need."""

import os
from collections.abc import Iterator

import pytest


@pytest.fixture
def nobody() -> Iterator[None]:
    """The test as a user whom files' modes stop, also where root runs it."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    yield
    os.seteuid(0)
