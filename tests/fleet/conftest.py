"""Servers that the tests of the fleet share."""

from collections.abc import Iterator

import pytest

from tests.fleet.central import KINDS, central_store
from tests.fleet.servers import Postgres, postgres


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    with postgres() as server:
        yield server


@pytest.fixture(scope="module", params=KINDS)
def central_url(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """An empty central store of each kind."""

    def server() -> Postgres:
        found: Postgres = request.getfixturevalue("postgres_server")
        return found

    with central_store(request.param, tmp_path_factory.mktemp("central"), server) as url:
        yield url
