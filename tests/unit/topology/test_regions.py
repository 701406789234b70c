"""The operator's own regions: read whole or not at all, the longest prefix wins."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from sensor.errors import SensorError
from sensor.flow.locality import given
from sensor.metrics.geography import own, region_of
from sensor.model.address import pack_address, pack_prefix
from sensor.programs.keep import Keeper
from sensor.programs.regions import command
from sensor.programs.replay import Replay
from sensor.store.sqlite import SqliteStore
from tests.traffic.capture import write
from tests.traffic.lan import Lan


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    yield
    own.use([])


def importing(folder: Path, text: str) -> str | None:
    """None, or what was wrong."""
    (folder / "r.csv").write_text(text)
    found = CliRunner().invoke(
        command, ["import", str(folder / "r.csv"), "--db", str(folder / "s.db")],
        standalone_mode=False,
    )  # fmt: skip
    if isinstance(found.exception, SensorError):
        return str(found.exception)
    assert found.exception is None, found.exception
    return None


def test_the_longest_prefix_wins() -> None:
    own.use([(pack_prefix(text), name) for text, name in (
        ("10.0.0.0/8", "site"), ("10.1.0.0/16", "lab"), ("2001:db8::/32", "six"),
        ("8.8.8.8/32", "resolver"),
    )])  # fmt: skip
    for address, name in (
        ("10.1.2.3", "lab"), ("10.2.2.3", "site"), ("192.168.0.1", "private"),
        ("8.8.8.8", "resolver"),
        ("8.8.8.9", "US"), ("2001:db8::1", "six"), ("a01:203::", "unknown"),
    ):  # fmt: skip
        assert region_of(pack_address(address)) == name
    own.use([])
    assert region_of(pack_address("10.1.2.3")) == "private"


def test_rows_have_the_operators_names(tmp_path: Path) -> None:
    assert importing(tmp_path, "ip_range,region\n198.51.100.0/24,Lab é\n10.0.0.0/8,Site\n") is None
    lan = Lan()
    lan.exchange("10.0.0.5", "198.51.100.7", 80, 100)
    write(tmp_path / "a.pcap", lan.frames)
    replay = Replay((str(tmp_path / "a.pcap"),), local=given(("10.0.0.0/8",)))
    with SqliteStore(str(tmp_path / "s.db")) as store, Keeper(store, replay, "default") as keeper:
        replay.run((keeper,))
    db = sqlite3.connect(tmp_path / "s.db")
    assert db.execute("SELECT region FROM regional_metrics").fetchall() == [("Lab é",)]
    assert db.execute("SELECT region FROM network_performance_metrics").fetchall() == [("Lab é",)]
    db.close()


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "no columns"), ("a,b\n1,2\n", "no columns"),
        ("ip_range,region\n10.0.0.0/33,x\n", "r.csv:2: "),
        ("ip_range,region\n10.0.0.0/8,\n", "r.csv:2: a region is"),
        ("ip_range,region\n10.0.0.0/8,a\x1b[2J\n", "r.csv:2: a region is"),
        ("ip_range,region\n10.0.0.0/8,a\n10.0.0.0/8,b\n", "10.0.0.0/8 is twice"),
        ("ip_range,region\n10.0.0.0/8\n", "r.csv:2: a region is"),
    ],
)  # fmt: skip
def test_what_is_wrong_changes_nothing(tmp_path: Path, text: str, wrong: str) -> None:
    assert importing(tmp_path, "ip_range,region\n10.0.0.0/8,kept\n") is None
    said = importing(tmp_path, text)
    assert said is not None
    assert wrong in said
    with SqliteStore(str(tmp_path / "s.db")) as store:
        assert store.regions() == [(pack_prefix("10.0.0.0/8"), "kept")]
