"""What the tests of several commands need."""

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

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
        if not modes_stop():
            pytest.skip("the modes of folders stop nobody here")
        yield
    finally:
        os.seteuid(0)


def modes_stop() -> bool:
    """Whether a folder of mode 0 is closed to this process: not in every container it is."""
    with TemporaryDirectory() as made:
        closed = Path(made) / "closed"
        closed.mkdir(0)
        try:
            os.listdir(closed)
        except PermissionError:
            return True
        return False
