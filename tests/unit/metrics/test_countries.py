"""A country database made by mmdb_writer, as MaxMind, DB-IP and IPinfo have their records."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from sensor.errors import DamagedCapture, InputMissing
from sensor.metrics.countries import code_of, open_countries
from sensor.metrics.geography import own, region_of
from sensor.model.address import pack_address, pack_prefix


@pytest.fixture
def path(tmp_path: Path) -> str:
    writer = MMDBWriter(6, "Test-Country", ipv4_compatible=True, languages=["en"])
    for prefix, record in {
        "192.0.2.0/24": {"country": {"iso_code": "CH"}},
        "198.51.100.0/24": {"country": "de"},
        "203.0.113.0/24": {"registered_country": {"iso_code": "FR"}, "country": {}},
        "2001:db8::/32": {"country_code": "JP"},
        "8.8.8.0/24": {"country": {"iso_code": "<script>"}},
    }.items():
        writer.insert_network(IPSet([prefix]), record)
    writer.to_db_file(str(tmp_path / "c.mmdb"))
    return str(tmp_path / "c.mmdb")


@pytest.fixture
def ours() -> Iterator[None]:
    yield
    own.use_countries(None)
    own.use(())


def test_records_of_several_makers(path: str) -> None:
    country = open_countries(path)
    found = {
        text: country(pack_address(text))
        for text in ("192.0.2.9", "198.51.100.1", "203.0.113.255", "2001:db8::1", "8.8.8.8")
    }
    assert list(found.values()) == ["CH", "DE", "FR", "JP", None]
    assert country(pack_address("1.1.1.1")) is None


@pytest.mark.parametrize(
    "record",
    [None, [], "CH", {}, {"country": 1}, {"country": {"iso_code": 7}}, {"country": "Switzerland"},
     {"country": "1a"}],
)  # fmt: skip
def test_records_that_say_nothing(record: object) -> None:
    assert code_of(record) is None


@pytest.mark.usefixtures("ours")
def test_it_goes_before_the_registry_and_behind_names_of_networks(path: str) -> None:
    before = region_of(pack_address("8.8.8.8"))
    own.use_countries(open_countries(path))
    assert region_of(pack_address("8.8.8.8")) == before == "US"  # it has no country of that
    assert region_of(pack_address("203.0.113.1")) == "FR"
    assert region_of(pack_address("10.0.0.1")) == "private"
    own.use([(pack_prefix("203.0.113.0/25"), "Lab")])
    assert region_of(pack_address("203.0.113.1")) == "Lab"


def test_what_is_none(tmp_path: Path) -> None:
    with pytest.raises(InputMissing):
        open_countries(str(tmp_path / "none.mmdb"))
    (tmp_path / "text.mmdb").write_text("no database" * 100)
    with pytest.raises(DamagedCapture, match="not a MaxMind database"):
        open_countries(str(tmp_path / "text.mmdb"))
