"""Connections that come back like a clock, and those that do not."""

import numpy as np
import pytest

from sensor._native.dtypes import FLOW
from sensor.detect.beacons import MOST_PAIRS, PAIR, PERIOD_NS, Beacons, regularity
from sensor.model.address import pack_address
from tests.unit.detect.demo import OF_PAIRS, detector, rule
from tests.unit.detect.tables import NS, START_NS, TABLES

CLIENT, SERVER = pack_address("10.0.0.7"), pack_address("198.51.100.3")


class Told(list):
    def __call__(self, table, rows, start_ns, end_ns):
        self.append((table, rows, start_ns, end_ns))


def flows(starts_s, sizes=300, server=SERVER, port=443, answered=True):
    made = np.zeros(len(starts_s), FLOW)
    made["started_ns"] = START_NS + (np.asarray(starts_s) * NS).astype(np.uint64)
    made["ended_ns"] = made["started_ns"] + NS // 10
    made["orig_ip"], made["resp_ip"] = np.void(CLIENT), np.void(server)
    made["resp_port"], made["protocol"], made["local"] = port, 6, 1
    made["orig_bytes"] = sizes
    made["resp_packets"] = int(answered)
    return made


def told(*batches):
    found = Told()
    beacons = Beacons(found)
    for batch in batches:
        beacons.flows(batch, b"")
    beacons.finish()
    return found


def last_row(*batches):
    table, rows, _, _ = told(*batches)[-1]
    assert table == "pair"
    (row,) = rows
    return row


def test_a_clock_scores_high_and_people_do_not():
    rng = np.random.default_rng(1)
    clock = last_row(flows(np.arange(60) * 60 + rng.uniform(-2, 2, 60), rng.integers(295, 305, 60)))
    assert clock["score"] > 0.85
    assert clock["interval_s"] == pytest.approx(60, abs=2)
    assert (clock["starts"], clock["bytes"]) == (60, pytest.approx(300, abs=5))
    assert clock["span_s"] == pytest.approx(3540, abs=5)
    assert clock["local"] == 1
    person = last_row(flows(np.cumsum(rng.pareto(0.9, 60) * 20), rng.pareto(1.1, 60) * 800))
    assert person["score"] < 0.6


def test_rita_measures():
    # Bowley skewness and MAD worked by hand: quartiles 2, 3, 6 -> skew .5; deviations 1,1,0,3,7
    assert regularity(np.array([2.0, 2.0, 3.0, 6.0, 10.0])) == pytest.approx(
        (1 - abs((2 + 6 - 6) / 4) + (1 - 1 / 3)) / 2
    )
    assert regularity(np.full(20, 60.0)) == 1
    assert regularity(np.zeros(20)) == 1


def test_by_the_hour_and_at_the_end():
    found = told(*(flows([at]) for at in range(0, 9000, 300)))  # from 22:13 to 00:38
    starts = [start_ns for _, _, start_ns, _ in found]
    assert starts == sorted(starts)
    assert len(found) == 3
    assert {s % PERIOD_NS for s in starts} == {0}
    for _, _, start_ns, end_ns in found:
        assert start_ns < end_ns <= start_ns + PERIOD_NS


def test_attempts_and_parallel_connections_are_no_beacon():
    assert not len(told(flows(np.arange(100) * 60, answered=False)))
    page = flows(np.repeat(np.arange(4) * 600.0, 6) + np.tile(np.arange(6) * 0.01, 4))
    assert last_row(page)["score"] == 0  # four starts, however many connections


def test_the_table_is_bounded_and_keeps_what_is_used():
    found = Told()
    beacons = Beacons(found)
    for batch in range(12):
        beacons.flows(flows(np.arange(2) * 30.0 + batch * 60), b"")
        other = flows(np.full(1000, batch * 60.0), port=0)
        other["resp_port"] = np.arange(1000)
        other["resp_ip"] = np.void(pack_address(f"203.0.113.{batch}"))
        beacons.flows(other, b"")
    beacons.finish()
    _, rows, _, _ = found[-1]
    assert len(beacons._pairs) <= MOST_PAIRS
    assert [row["starts"] for row in rows] == [24]


def test_rows_of_pairs_go_through_the_rules():
    tables = {**TABLES, "pair": PAIR}
    found = detector(rule(*OF_PAIRS, tables=tables))
    beacons = Beacons(found.whole)
    beacons.flows(flows(np.arange(60) * 60), b"")
    beacons.finish()
    (row,) = found.events
    assert (row.source_ip, row.destination_ip, row.destination_port) == (
        "10.0.0.7",
        "198.51.100.3",
        443,
    )
