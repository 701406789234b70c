"""ICMP echo: times, pairing and bounds."""

from sensor._native.doors_dns import Door
from sensor._native.sink import LatencyKind

ECHO = int(LatencyKind.L_ICMP_ECHO)
MS, SECOND = 10**6, 10**9
REQUEST, REPLY = False, True


def test_the_first_reply_counts() -> None:
    door = Door()
    door.echo(REQUEST, 1, 1, 0)
    door.echo(REQUEST, 1, 2, SECOND)
    door.echo(REPLY, 1, 2, SECOND + 3 * MS)
    door.echo(REPLY, 1, 2, SECOND + 4 * MS)  # DUP!
    door.echo(REPLY, 1, 1, SECOND + 5 * MS)
    assert door.latency(ECHO) == (2, 1008 * MS, 3 * MS, 1005 * MS)
    assert door.counts == {"ECHO_REQUESTS": 2, "ECHO_REPLIES": 3}


def test_only_the_right_reply() -> None:
    door = Door()
    door.echo(REQUEST, 1, 1, 0, True, flow=9)
    door.echo(REPLY, 1, 1, MS, True, flow=9)  # from the asker
    door.echo(REPLY, 2, 1, MS, False, flow=9)
    door.echo(REPLY, 1, 2, MS, False, flow=9)
    door.echo(REPLY, 1, 1, MS, False, flow=8)
    assert door.latency(ECHO)[0] == 0
    door.echo(REPLY, 1, 1, 2 * MS, False, flow=9)
    assert door.latency(ECHO)[:2] == (1, 2 * MS)


def test_a_repeated_request_keeps_its_time_until_the_sequence_wraps() -> None:
    door = Door()
    door.echo(REQUEST, 1, 1, 0)
    door.echo(REQUEST, 1, 1, MS)
    door.echo(REPLY, 1, 1, 2 * MS)
    assert door.latency(ECHO)[1] == 2 * MS
    door.echo(REQUEST, 1, 1, SECOND)
    door.echo(REQUEST, 1, 1, 65_537 * SECOND)
    door.echo(REPLY, 1, 1, 65_537 * SECOND + MS)
    assert door.latency(ECHO)[:2] == (2, 3 * MS)
    door.echo(REPLY, 1, 1, 0)  # the clock went back
    assert door.latency(ECHO)[0] == 2


def test_a_ping_flood_is_bounded_and_every_loss_counted() -> None:
    door = Door()
    total = 50_000
    for i in range(total):
        door.echo(REQUEST, i >> 16, i & 0xFFFF, i)
    for i in range(total):
        door.echo(REPLY, i >> 16, i & 0xFFFF, total + i)
    assert door.latency(ECHO)[0] + door.health["echo_evicted"] == total
    assert 3500 < door.latency(ECHO)[0] <= 4096
