"""Servers that the tests of the fleet share."""

from collections.abc import Iterator

import pytest

from tests.fleet.servers import Postgres, postgres


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with postgres(tmp_path_factory.mktemp("postgres")) as server:
        yield server
