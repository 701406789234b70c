"""Failed connections by host and reason."""

import numpy as np

from sensor._native.dtypes import FLOW
from sensor._native.faces import Rows
from sensor.metrics.failures import ROOM, Failure, FailureFigures
from sensor.model.address import pack_address
from sensor.model.connection import ConnState


def ended(*rows: tuple[str, int, ConnState, int]) -> Rows:
    """FLOW rows of (responder, port, state, protocol)."""
    made = np.zeros(len(rows), FLOW)
    for row, (address, port, state, protocol) in zip(made, rows, strict=True):
        row["resp_ip"], row["resp_port"] = pack_address(address), port
        row["conn_state"], row["protocol"] = state, protocol
    return made


def test_by_host_and_reason() -> None:
    figures = FailureFigures()
    rej, s0 = ConnState.REJ, ConnState.S0
    figures.flows(ended(*(("192.0.2.1", port, rej, 6) for port in (3, 1, 2, 3))))
    figures.flows(ended())
    figures.flows(
        ended(
            ("192.0.2.1", 3, rej, 6),
            ("192.0.2.1", 3, s0, 6),
            ("2001:db8::1", 9, s0, 6),
            ("192.0.2.2", 9, ConnState.SF, 6),
            ("192.0.2.2", 53, s0, 17),  # UDP: an unanswered packet is no failed connection
            ("2001:db8::1", 9, s0, 6),
        )
    )
    assert figures.most(9) == [
        Failure("192.0.2.1", "refused", 5, 3),
        Failure("2001:db8::1", "no answer", 2, 1),
        Failure("192.0.2.1", "no answer", 1, 1),
    ]
    assert figures.most(1) == figures.most(9)[:1]


def test_many_hosts_are_folded_and_none_is_lost() -> None:
    figures = FailureFigures()
    for n in range(3 * ROOM):
        host = f"10.0.{n >> 8}.{n & 255}"
        figures.flows(ended(*[(host, 80, ConnState.S0, 6)] * (2 if n == 700 else 1)))
    most = figures.most(4 * ROOM)
    assert len(most) <= 2 * ROOM
    assert sum(f.connections for f in most) == 3 * ROOM + 1
    assert most[0].host == "__other__"
    assert most[0].ports is None
    assert most[1] == Failure("10.0.2.188", "no answer", 2, 1)
