"""Rule files are read once for all cases: reading them takes as long as replaying most of them."""

from collections.abc import Iterator
from functools import cache

import pytest

from sensor.programs import detection


@pytest.fixture(scope="session", autouse=True)
def rules_read_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(detection, "shipped_rules", cache(detection.shipped_rules))
        yield
