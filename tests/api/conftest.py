from collections.abc import Iterator

import pytest

from tests.api.made import fill, serving

Truth = dict[tuple[int, str], list[int]]


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Truth]:
    """A store of 130 minutes, and the samples that are in it."""
    path = str(tmp_path_factory.mktemp("api") / "s.db")
    return path, fill(path)


@pytest.fixture(scope="session")
def address(made: tuple[str, Truth]) -> Iterator[tuple[str, int]]:
    with serving(made[0]) as listening:
        yield listening
