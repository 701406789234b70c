"""WS /ws/network/monitor over real sockets, with a writer beside it."""

import json
import socket
import time
from contextlib import suppress
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from sensor.api.live import Client
from sensor.api.settings import Limits
from sensor.store.sqlite import SqliteStore
from tests.api.made import AGENT, DNS, MINUTE, T0, TOKEN, WEB, ask, fill, serving, window

FAST = Limits(poll_s=0.02, heartbeat_s=0.2)
BEARER = {"Authorization": f"Bearer {TOKEN}"}


def opened(address: tuple[str, int], query: str = "", **more: object) -> ClientConnection:
    url = f"ws://{address[0]}:{address[1]}/ws/network/monitor{query}"
    return connect(url, additional_headers=BEARER, **more)  # type: ignore[arg-type]


def next_window(client: ClientConnection) -> dict[str, object]:
    while True:
        message: dict[str, object] = json.loads(client.recv(10))
        if message["type"] == "window":
            return message
        assert message == {"type": "heartbeat"}


def test_windows_as_they_are_written(tmp_path: Path) -> None:
    path = str(tmp_path / "s.db")
    fill(path, 3)
    with (
        serving(path, FAST) as address,
        SqliteStore(path) as store,
        opened(address, f"?agent_id={AGENT}") as client,
        opened(address) as everybody,
    ):
        first = next_window(client)
        assert first["timestamp"] == (T0 + 2 * MINUTE) // 1000  # the newest so far
        assert next_window(everybody)["timestamp"] == first["timestamp"]
        for n in (3, 10):
            at = T0 + n * MINUTE
            store.write_window(window(at, {WEB: [400_000] * 30, DNS: [2000] * 30}, n))
            for each in (client, everybody):
                message = next_window(each)
                assert message["timestamp"] == at // 1000
                assert message["agent_id"] == AGENT
                assert message["window_s"] == 60
                assert message["latency_p99"] == pytest.approx(400, rel=0.01)
                assert message["packet_loss_rate"] == pytest.approx(1 / 31)
                assert message["security_threat_detected"] is (n == 10)
                assert [t["attack_class"] for t in message["threats"]] == (
                    ["syn_flood"] if n == 10 else []
                )
                assert message["protocol_bytes"] == {"https": 9000, "dns": 1000}
                assert message["dropped_messages"] == 0
                metrics = message["metrics"]
                assert metrics["latency_metrics"]["p99_latency_ms"] == message["latency_p99"]
                assert metrics["bandwidth_metrics"]["ingress_mbps"] > 0
                assert metrics["connection_metrics"]["active_connections"] == 6
        assert json.loads(client.recv(10)) == {"type": "heartbeat"}


def test_a_workspace_of_its_own(tmp_path: Path) -> None:
    path = str(tmp_path / "s.db")
    fill(path, 2)
    with serving(path, FAST) as address:
        with opened(address, "?workspace_id=default") as client:
            assert next_window(client)["agent_id"] == AGENT
        with opened(address, "?workspace_id=elsewhere") as client:
            assert json.loads(client.recv(10)) == {"type": "heartbeat"}
        with opened(address, "?agent_id=none") as client, pytest.raises(ConnectionClosed) as gone:
            client.recv(10)
        assert gone.value.rcvd is not None
        assert gone.value.rcvd.reason == "agent_id is a UUID"


def refused(address: tuple[str, int], **headers: str) -> int:
    url = f"ws://{address[0]}:{address[1]}/ws/network/monitor"
    with pytest.raises(InvalidStatus) as error, connect(url, additional_headers=headers):
        pass
    return int(error.value.response.status_code)


def test_who_may_not_listen(address: tuple[str, int]) -> None:
    assert refused(address) == 401
    assert refused(address, Authorization="Bearer wrong") == 401
    assert refused(address, **BEARER, Origin="http://evil.example") == 403
    cookie = {"Cookie": f"sensor_token={TOKEN}", "Origin": f"http://{address[0]}:{address[1]}"}
    with connect(
        f"ws://{address[0]}:{address[1]}/ws/network/monitor", additional_headers=cookie
    ) as client:
        assert next_window(client)["agent_id"] == AGENT


def test_large_messages_end_it(address: tuple[str, int]) -> None:
    with opened(address) as client:
        next_window(client)
        client.send("x" * 5000)
        with pytest.raises(ConnectionClosed):
            client.recv(10)


def test_too_many_clients(made: tuple[str, object]) -> None:
    with serving(made[0], Limits(clients=1)) as address, opened(address) as first:
        next_window(first)
        with opened(address) as second, pytest.raises(ConnectionClosed, match="too many"):
            second.recv(10)


def test_a_bounded_queue_loses_the_oldest() -> None:
    client = Client(None, None, 3)
    assert [client.put({"n": n}) for n in range(5)] == [False] * 3 + [True] * 2
    assert client.dropped == 2


def test_a_client_that_does_not_read_is_let_go(tmp_path: Path) -> None:
    """It takes nothing: its messages wait, the oldest are dropped, then it is disconnected."""
    path = str(tmp_path / "s.db")
    fill(path, 2)
    limits = Limits(poll_s=0.01, queue=4, send_s=0.3, heartbeat_s=60)
    with serving(path, limits, 4096) as address, SqliteStore(path) as store:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        sock.connect(address)
        key = "dGhlIHNhbXBsZSBub25jZQ=="
        sock.sendall(
            f"GET /ws/network/monitor HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
            f"Authorization: Bearer {TOKEN}\r\n\r\n".encode()
        )
        deadline = time.monotonic() + 30
        at = T0 + 10 * MINUTE
        is_gone = False
        while not is_gone and time.monotonic() < deadline:
            store.write_window(window(at, {WEB: [5000]}))
            at += MINUTE
            is_gone = b"sensor_api_websocket_clients 0" in metrics_of(address)
        assert is_gone
        sock.settimeout(10)
        with suppress(ConnectionResetError):
            while sock.recv(65536):
                pass
        sock.close()


def metrics_of(address: tuple[str, int]) -> bytes:
    found = ask(address, "/metrics")[1]
    assert isinstance(found, bytes)
    return found
