"""The whole API over each central store: every endpoint that /openapi.json lists has the answer
that it has over the SQLite file which was shipped there."""

import json
import math
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.api.made import ask, serving
from tests.fleet.made import agent_id, host
from tests.fleet.shipping import ship

pytestmark = pytest.mark.system
Address = tuple[str, int]
WINDOWS = 130
TIMEFRAMES = ("15m", "1h", "24h", "28d")
NOT_JSON = {"/metrics"}
MORE = {  # what an endpoint is asked besides its timeframes
    "/agents": [("sort", "worst"), ("search", "HOST"), ("live", "false"), ("limit", 2)],
    "/analytics/network/security-threats": [("limit", 3), ("severity_threshold", "info")],
    "/analytics/network/{agent_id}/optimize-latency": [("target_p99_ms", 1)],
    "/analytics/network/{agent_id}/cdn": [("cdn_price_per_gb", 0.1), ("origin_price_per_gb", 0.2)],
}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    return host(tmp_path_factory.mktemp("host") / "s.db", range(4), WINDOWS)


@pytest.fixture(scope="module")
def local(path: str) -> Iterator[Address]:
    with serving(path) as address:
        yield address


@pytest.fixture(scope="module")
def central(path: str, central_url: str) -> Iterator[Address]:
    ship(path, central_url)
    with serving(central_url) as address:
        yield address


def questions(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Method and path with query, several of each endpoint."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            names = {one["name"] for one in operation.get("parameters", [])}
            fixed = [(k, v) for k, v in MORE.get(path, []) if k in names]
            whose: list[list[tuple[str, object]]] = [[]]
            if "workspace_id" in names:
                whose = [[("workspace_id", "w0")], [("workspace_id", "w1")]]
                if "agent_id" in names and "{agent_id}" not in path:
                    whose.append([("workspace_id", "w1"), ("agent_id", agent_id(1))])
            for frame in TIMEFRAMES if "timeframe" in names else (None,):
                for which in whose:
                    query = [*which, *fixed, *([("timeframe", frame)] if frame else [])]
                    where = path.replace("{agent_id}", agent_id(2))
                    yield method.upper(), f"{where}?{urlencode(query)}"


def test_every_endpoint_answers_as_over_sqlite(local: Address, central: Address) -> None:
    asked = list(questions(ask(local, "/openapi.json")[1]))  # type: ignore[arg-type]
    assert len({path.partition("?")[0] for _, path in asked}) >= 15
    for method, path in asked:
        status, expected, _ = ask(local, path, method)
        assert status == 200, path
        found_status, found, _ = ask(central, path, method)
        assert found_status == 200, f"{path}: {found}"
        if path.partition("?")[0] in NOT_JSON:
            assert sorted(found.splitlines()) == sorted(expected.splitlines())  # type: ignore[attr-defined]
        else:
            assert differences(expected, found) == [], f"{method} {path}"


def differences(one: Any, other: Any, where: str = "") -> list[str]:
    """Where two documents differ; floats may by the order in which they were added."""
    if isinstance(one, dict) and isinstance(other, dict):
        if one.keys() != other.keys():
            return [f"{where}: {sorted(one.keys() ^ other.keys())}"]
        return [d for key in one for d in differences(one[key], other[key], f"{where}.{key}")]
    if isinstance(one, list) and isinstance(other, list):
        if len(one) != len(other):
            return [f"{where}: {len(one)} and {len(other)} entries"]
        pairs = enumerate(zip(one, other, strict=True))
        return [d for n, pair in pairs for d in differences(*pair, f"{where}.{n}")]
    if isinstance(one, float) and isinstance(other, float):
        equal = math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)
    elif isinstance(one, str) and isinstance(other, str):
        equal = one.replace("\0", "\ufffd") == other.replace("\0", "\ufffd")
    else:
        equal = type(one) is type(other) and one == other
    return [] if equal else [f"{where}: {json.dumps(one)} and {json.dumps(other)}"]


def test_what_is_not_there_is_said_likewise(local: Address, central: Address) -> None:
    for path in (
        f"/analytics/network/{agent_id(77)}/performance",
        "/regions?workspace_id=nobody",
        f"/analytics/network/slo?workspace_id=w0&agent_id={agent_id(1)}",
    ):
        assert ask(central, path)[:2] == ask(local, path)[:2]
        assert ask(central, path)[0] == 404
    assert ask(central, "/agents?workspace_id=nobody")[:2] == (200, [])


def test_an_agent_of_another_workspace_is_in_no_answer(central: Address) -> None:
    """Of a workspace's answers none names an agent, or counts octets, of another one."""
    for method, path in questions(ask(central, "/openapi.json")[1]):  # type: ignore[arg-type]
        if "workspace_id=w0" in path:
            text = json.dumps(ask(central, path, method)[1])
            assert not [n for n in (1, 3) if agent_id(n) in text], path


def test_a_difference_is_found() -> None:
    """Or the walk proves nothing."""
    assert differences({"a": [1, 2.0]}, {"a": [1, 2.0 + 1e-13]}) == []
    assert differences({"a": [1, None]}, {"a": [1, 0]}) == [".a.1: null and 0"]
    assert differences({"a": 1}, {"b": 1}) == [": ['a', 'b']"]
