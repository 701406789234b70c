"""The passive DNS cache against a plain Python model, and its bounds."""

import random
import struct

from sensor._native.doors_dns import Door

SECOND = 10**9
DAY = 86400
NOW = 1_700_000_000 * SECOND


def address(i: int) -> bytes:
    return bytes(10) + b"\xff\xff" + struct.pack(">I", i)


def test_few_addresses_are_a_dictionary_with_times_to_live() -> None:
    rng = random.Random(1)
    door = Door()
    model: dict[int, tuple[bytes, int]] = {}
    now = 1_700_000_000
    for i in range(20_000):
        now += rng.randrange(40)
        key = rng.randrange(300)
        if rng.random() < 0.3:
            ttl = rng.choice([0, 1, 59, 60, 61, 3600, DAY, DAY + 1, 2**31 - 1])
            name = b"n%d.test" % i
            door.cache_put(address(key), name, now * SECOND, ttl)
            model[key] = name, now + min(max(ttl, 60), DAY)
        name, until = model.get(key, (b"", 0))
        assert door.cache_get(address(key), now * SECOND) == (name if now < until else None)
    assert door.health["cache_evicted"] == 0


def test_the_longest_name_and_the_unfit_ones() -> None:
    door = Door()
    door.cache_put(address(1), b"x" * 107, NOW)
    assert door.cache_get(address(1), NOW) == b"x" * 107
    for name in (b"x" * 108, b"", b"a b", b"a\0b", b"<b>", b"\xff", b"a\n"):
        door.cache_put(address(2), name, NOW)
    assert door.cache_get(address(2), NOW) is None
    assert door.health["cache_refused_name"] == 7


def test_a_full_cache_forgets_the_least_recently_used_of_a_set() -> None:
    door = Door()
    kept = 200
    for i in range(40_000):
        door.cache_put(address(i), b"h%d" % i, NOW)
        if i % 500 == 0:
            for j in range(min(i, kept)):  # in use all the time
                assert door.cache_get(address(j), NOW) == b"h%d" % j
    alive = [i for i in range(40_000) if door.cache_get(address(i), NOW)]
    assert len(alive) <= 16_384
    assert door.health["cache_evicted"] == 40_000 - len(alive)


def test_expired_lines_make_room_without_being_evicted() -> None:
    door = Door()
    for i in range(60_000):
        door.cache_put(address(i), b"x", NOW + i * SECOND, 60)
    assert door.health["cache_evicted"] == 0


def test_2106_is_no_cliff() -> None:
    door = Door()
    late = (2**32 - 10) * SECOND
    door.cache_put(address(1), b"x", late, 100)
    assert door.cache_get(address(1), late + 99 * SECOND) == b"x"
    assert door.cache_get(address(1), late + 101 * SECOND) is None
