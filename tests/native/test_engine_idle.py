"""Time that goes on without packets, as on a quiet interface."""

from sensor._native.doors_engine import Frames
from sensor._native.engine import Engine
from tests.traffic.tcp import ETHERNET, START_NS, udp_frame

SECOND = 1_000_000_000
GAP = 7 * SECOND
WINDOW_ENDED, SECOND_ENDED = 1, 8
DATAGRAM = udp_frame("192.0.2.1", "198.51.100.2", 5000, 9, b"q")


def fed(*times):
    engine = Engine(secret=bytes(40), window_ns=60 * SECOND, features=True)
    source = Frames([(at, DATAGRAM, len(DATAGRAM), ETHERNET) for at in times])
    source.next_batch()
    return engine, source


def answers(engine, ask):
    """What it wanted before it went on, and the windows it gave."""
    wanted, windows = [], []
    while why := ask():
        wanted.append(why)
        if why & SECOND_ENDED:
            engine.take_features()
        if why & WINDOW_ENDED:
            windows.append(engine.take_window())
    return wanted, windows


def test_the_second_and_the_window_end_without_a_packet():
    engine, source = fed(START_NS)
    assert answers(engine, lambda: engine.feed(source)) == ([], [])
    end = START_NS // (60 * SECOND) * 60 * SECOND + 60 * SECOND
    assert answers(engine, lambda: engine.idle(START_NS + SECOND // 2)) == ([], [])
    assert answers(engine, lambda: engine.idle(START_NS + 2 * SECOND))[0] == [SECOND_ENDED]
    wanted, (window,) = answers(engine, lambda: engine.idle(end))
    assert wanted == [WINDOW_ENDED]
    assert (window["end_ns"], int(window["leaf_packets"].sum())) == (end, 1)


def test_an_empty_window_waits_for_its_first_packet():
    engine, source = fed(START_NS)
    answers(engine, lambda: engine.feed(source))
    answers(engine, lambda: engine.idle(START_NS + 3600 * SECOND))
    assert answers(engine, lambda: engine.idle(START_NS + 7200 * SECOND)) == ([], [])
    assert answers(fed()[0], lambda: engine.idle(START_NS)) == ([], [])


def windows_of(times, idle):
    engine, windows = Engine(secret=bytes(40), window_ns=60 * SECOND, features=True), []
    for at in times:
        source = Frames([(at, DATAGRAM, len(DATAGRAM), ETHERNET)])
        source.next_batch()
        for now in range(at - GAP, at, SECOND // 3) if idle else ():
            windows += answers(engine, lambda now=now: engine.idle(now))[1]
        windows += answers(engine, lambda source=source: engine.feed(source))[1]
    return [
        (w["start_ns"], w["end_ns"], w["leaf_packets"].tolist(), w["totals"].tolist())
        for w in windows
    ]


def test_idle_or_not_the_windows_are_the_same():
    times = range(START_NS, START_NS + 40 * GAP, GAP)
    assert windows_of(times, idle=True) == windows_of(times, idle=False)
    assert len(windows_of(times, idle=True)) > 3
