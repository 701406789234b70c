"""Nothing grows, nothing stalls, nothing is lost uncounted: the engine beyond its tables' size."""

from sensor._native.doors_engine import Frames
from sensor._native.engine import Engine
from tests.traffic.tcp import ETHERNET, MS, START_NS, Conversation, udp_frame

SECOND = 1_000_000_000
YEAR = 31_556_952 * SECOND
KEPT = ("end_ns", "leaf_bytes", "seconds", "endpoints", "health")  # a whole one takes 0.5 MB
SERVER = "198.51.100.2"


def run(frames, **settings):
    """Number of rows, the windows, the engine."""
    engine = Engine(secret=bytes(range(40)), **settings)
    source = Frames(frames)
    rows, windows = 0, []
    while source.next_batch():
        while why := engine.feed(source):
            if why & 2:
                rows += len(engine.take_flows()[0])
            if why & 1:
                window = engine.take_window()
                windows.append({key: window[key] for key in KEPT})
    engine.finish()
    while n := len(engine.take_flows()[0]):
        rows += n
    windows.append(engine.take_window())
    return rows, windows, engine


def sides(seconds, what):
    return sum(int(seconds[f"{what}_{side}"].sum()) for side in ("in", "out", "other"))


def octets(windows):
    """By leaf, by second, by endpoint."""
    sent_received = slice(2, 4)
    return (
        sum(int(w["leaf_bytes"].sum()) for w in windows),
        sum(sides(w["seconds"], "bytes") for w in windows),
        sum(int(w["endpoints"]["counters"][:, sent_received].sum()) for w in windows),
    )


def client(i):
    return f"10.{i >> 16 & 255}.{i >> 8 & 255}.{i & 255}"


def datagram(at, source, sport, target, dport, payload=b"q"):
    frame = udp_frame(source, target, sport, dport, payload)
    return at, frame, len(frame), ETHERNET


def test_a_udp_flood_evicts_one_way_flows_and_spares_those_that_speak():
    frames = []
    for k in range(32):
        frames.append(datagram(START_NS, "192.0.2.1", 30000 + k, SERVER, 9999))
        frames.append(datagram(START_NS, SERVER, 9999, "192.0.2.1", 30000 + k))
    flood = 200_000
    template = udp_frame(client(0), SERVER, 5000, 9999, b"q")
    head, tail = template[:26], template[30:]
    for i in range(flood):
        frame = head + bytes((10, i >> 16 & 255, i >> 8 & 255, i & 255)) + tail
        frames.append((START_NS + MS + i * 1000, frame, len(frame), ETHERNET))
    for k in range(32):
        frames.append(datagram(START_NS + SECOND, "192.0.2.1", 30000 + k, SERVER, 9999))
    rows, windows, engine = run(frames, flows=1024)
    counters = engine.counters()
    opened = engine.connections()["udp"]
    assert opened == 32 + flood - counters["flows_refused"]  # the 32 are not opened a second time
    # The table holds 1,024: all the others had to make room, and each one left a row or a count.
    assert counters["flows_evicted"] >= opened - 1024
    assert rows + counters["rows_lost"] == opened == sum(engine.states().values())
    assert octets(windows) == (sum(f[2] for f in frames),) * 3


def test_a_jump_of_a_year_costs_one_turn_of_the_wheel():
    # 1,000 of them, tick by tick, would be 3e11 ticks: this test would not end. 64 bits of
    # nanoseconds hold 292 years, so every 250 packets the clock goes back.
    frames = []
    for i in range(1_000):
        frames.append(datagram((i % 250) * YEAR + i, "192.0.2.1", 1024 + i, SERVER, 9999))
    rows, windows, engine = run(frames, flows=1024)
    assert rows == 1_000
    assert octets(windows) == (sum(f[2] for f in frames),) * 3
    assert engine.counters()["time_went_back"] > 0


def test_a_capture_that_goes_on_in_the_past_sets_the_clock_back_once():
    talk = Conversation()
    talk.handshake()
    earlier = START_NS - 2 * 3600 * SECOND
    frames = list(talk.frames)
    for i in range(200):
        frames.append(datagram(earlier + i * SECOND, "192.0.2.1", 1024 + i, SERVER, 9999))
    rows, windows, engine = run(frames)
    counters = engine.counters()
    assert counters["rewinds"] == 1
    assert rows == 201
    assert windows[-1]["end_ns"] < START_NS  # the clock ended in the past
    assert octets(windows)[:2] == (sum(f[2] for f in frames),) * 2


def test_one_old_run_short_of_64_packets_does_not_move_the_clock():
    frames = [datagram(START_NS, "192.0.2.1", 1000, SERVER, 9999)]
    frames += [
        datagram(START_NS - 7200 * SECOND, "192.0.2.1", 2000 + i, SERVER, 9999) for i in range(60)
    ]
    frames += [datagram(START_NS + MS, "192.0.2.1", 1000, SERVER, 9999)]
    _, windows, engine = run(frames)
    assert engine.counters()["rewinds"] == 0
    assert octets(windows) == (sum(f[2] for f in frames),) * 3


def test_a_hundred_thousand_endpoints_fold_into_one_row():
    frames = []
    template = udp_frame("192.0.2.1", client(0), 5000, 9999, b"question")
    head, tail = template[:30], template[34:]
    for i in range(100_000):
        frame = head + bytes((10, i >> 16 & 255, i >> 8 & 255, i & 255)) + tail
        frames.append((START_NS + i * 1000, frame, len(frame), ETHERNET))
    rows, windows, engine = run(frames)
    assert rows + engine.counters()["rows_lost"] == 100_000
    assert all(len(w["endpoints"]) <= 1024 for w in windows)
    assert sum(w["health"]["endpoints_folded"] for w in windows) > 90_000
    assert octets(windows) == (sum(f[2] for f in frames),) * 3


def test_a_window_taken_early_is_followed_by_a_whole_one():
    engine = Engine(secret=bytes(40))
    source = Frames([datagram(START_NS, "192.0.2.1", 1000, SERVER, 9999)])
    windows = []
    for _ in range(2):
        source.next_batch()
        assert engine.feed(source) == 0
        windows.append(engine.take_window())
        source = Frames([datagram(START_NS + MS, "192.0.2.1", 1000, SERVER, 9999)])
    assert [sides(w["seconds"], "packets") for w in windows] == [1, 1]
