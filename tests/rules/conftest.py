"""What makes four hundred replays quick: rule files are read once, what is loaded is not searched.

Reading the rules takes as long as replaying most cases; and every case makes so many frames that
the garbage collector would go through all of pytest again and again.
"""

import gc
from collections.abc import Iterator
from functools import cache

import pytest

from sensor.programs import detection


@pytest.fixture(scope="session", autouse=True)
def quick() -> Iterator[None]:
    gc.freeze()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(detection, "shipped_rules", cache(detection.shipped_rules))
        yield
    gc.unfreeze()
