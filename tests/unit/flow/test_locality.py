"""Who is local, by who takes part in the packets."""

from collections import Counter

import pytest

from sensor.flow.locality import Local, given, learn
from sensor.model.address import PRIVATE_RANGES, pack_address


def conversations(*pairs: tuple[str, str, int]) -> Counter[bytes]:
    seen: Counter[bytes] = Counter()
    for a, b, packets in pairs:
        seen[pack_address(a)] += packets
        seen[pack_address(b)] += packets
    return seen


def learned(*pairs: tuple[str, str, int]) -> tuple[list[str], str]:
    local = learn(conversations(*pairs))
    return local.texts(), local.source


def test_one_host_in_most_packets() -> None:
    assert learned(
        ("192.168.1.5", "8.8.8.8", 40),
        ("192.168.1.5", "192.168.1.1", 30),
        ("192.168.1.1", "192.168.1.9", 30),
    ) == (["192.168.1.5/32"], "learned_host")  # fmt: skip


def test_a_public_server_is_a_host_too() -> None:
    assert learned(
        ("198.51.100.1", "192.0.2.1", 50), ("198.51.100.1", "203.0.113.9", 50)
    ) == (["198.51.100.1/32"], "learned_host")  # fmt: skip


def test_both_families_of_one_host() -> None:
    assert learned(
        ("10.0.0.2", "8.8.8.8", 30), ("10.0.0.2", "10.0.0.1", 5),
        ("2001:db8::2", "2001:db8::1", 50), ("2001:db8::2", "2001:db8::3", 20),
    ) == (["10.0.0.2/32", "2001:db8::2/128"], "learned_host")  # fmt: skip


def test_broadcast_and_multicast_are_nobody() -> None:
    seen = [("192.168.1.5", "255.255.255.255", 90), ("192.168.1.6", "224.0.0.251", 100)]
    assert learned(*seen) == ([], "unknown")


def test_of_two_alone_the_private_one() -> None:
    assert learned(("10.0.0.2", "8.8.8.8", 9)) == (["10.0.0.2/32"], "learned_host")
    assert learned(("10.0.0.2", "10.0.0.3", 9)) == ([], "unknown")
    assert learned(("192.0.2.2", "8.8.8.8", 9)) == ([], "unknown")


def test_a_network_of_private_hosts() -> None:
    pairs = [(f"10.0.0.{i}", f"8.8.8.{i}", 10) for i in range(1, 9)]
    texts, source = learned(*pairs)
    assert source == "private_ranges"
    assert set(texts) == set(PRIVATE_RANGES)


def test_nothing_to_learn_from() -> None:
    assert learn(Counter()) == Local((), "unknown")


def test_given() -> None:
    assert given(("10.1.2.3/8", "::1")).texts() == ["::1/128", "10.0.0.0/8"]
    with pytest.raises(ValueError, match=r"10\.0\.0\.0/99"):
        given(("10.0.0.0/99",))
