"""Servers that the tests of the fleet share."""

from collections.abc import Iterator

import pytest

from tests.fleet.servers import Postgres, postgres


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    with postgres() as server:
        yield server
