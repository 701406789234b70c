"""WS /ws/network/monitor: every window as it is written.

One task looks for new windows while somebody listens, and works each out once for all. A client has
a bounded queue: who reads too slowly loses the oldest messages, is told how many, and is let go
when a single message takes too long.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any
from uuid import UUID

import msgspec
from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from starlette.concurrency import run_in_threadpool

from sensor.analytics.performance import window_metrics
from sensor.analytics.threats import open_threats
from sensor.api.settings import ApiSettings
from sensor.api.stores import Stores
from sensor.errors import SensorError, one_line
from sensor.store.reading import Closed, ReadingStore, Scope

LOG = logging.getLogger("sensor.api")
BATCH = 200  # windows taken at a look
TOO_MANY, WRONG = 1013, 1008  # close codes
HEARTBEAT = {"type": "heartbeat"}
LOOK_BACK_US = 3600 * 1_000_000  # for the newest window, which a client gets first

router = APIRouter()


class Client:
    """One WebSocket and what waits for it."""

    def __init__(self, agent_id: str | None, workspace_id: str | None, room: int) -> None:
        self.agent_id = agent_id
        self.workspace_id = workspace_id
        self.dropped = 0
        self._waiting: deque[dict[str, Any]] = deque(maxlen=room)
        self._some = asyncio.Event()

    def wants(self, agent_id: str, workspace_id: str | None) -> bool:
        return self.agent_id in (None, agent_id) and self.workspace_id in (None, workspace_id)

    def put(self, message: dict[str, Any]) -> bool:
        """Whether an older message had to go."""
        is_full = len(self._waiting) == self._waiting.maxlen
        self.dropped += is_full
        self._waiting.append(message)
        self._some.set()
        return is_full

    async def next(self, timeout_s: float) -> dict[str, Any]:
        """The oldest message that waits; a heartbeat when none comes."""
        while not self._waiting:
            self._some.clear()
            try:
                await asyncio.wait_for(self._some.wait(), timeout_s)
            except TimeoutError:
                return HEARTBEAT
        return {**self._waiting.popleft(), "dropped_messages": self.dropped}


class Live:
    """Follows a store for all clients."""

    def __init__(self, stores: Stores, settings: ApiSettings) -> None:
        self.clients: set[Client] = set()
        self.dropped = 0
        self._stores = stores
        self._settings = settings
        self._cursor: int | None = None

    async def follow(self) -> None:
        """Until it is cancelled."""
        while True:
            try:
                await self._look()
            except SensorError as error:
                LOG.error("%s", one_line(str(error)))
            await asyncio.sleep(self._settings.limits.poll_s)

    async def _look(self) -> None:
        if not self.clients:
            self._cursor = None  # nobody missed anything
            return
        for workspace_id, message in await run_in_threadpool(self._news):
            for client in list(self.clients):
                if client.wants(message["agent_id"], workspace_id):
                    self.dropped += client.put(message)

    def _news(self) -> list[tuple[str | None, dict[str, Any]]]:
        """Messages of the windows since the last look; in a thread."""
        with self._stores.lent() as store:
            self._cursor, windows = store.closed(self._cursor, BATCH)
            runs = store.newest_runs() if windows else []
            places = {run.agent_id: run.workspace_id for run in runs}
            return [
                (places.get(window.agent_id), self._message(store, window)) for window in windows
            ]

    def newest(self, client: Client) -> list[dict[str, Any]]:
        """The newest window of each agent that the client wants; in a thread."""
        with self._stores.lent() as store:
            if self._cursor is None:  # what is written from now on is news
                self._cursor, _ = store.closed(None, BATCH)
            wanted = [
                (run.agent_id, run.last_packet)
                for run in store.newest_runs()
                if run.last_packet is not None and client.wants(run.agent_id, run.workspace_id)
            ]
            made = []
            for agent_id, last in wanted[-self._settings.limits.queue :]:  # it gets no more of them
                scope = Scope(last - LOOK_BACK_US, last + 1, (agent_id,))
                found = store.health(scope, 1)  # a window is a bucket of its own
                if len(found["bucket"]):
                    length = round(found["window_s"][-1] / found["windows"][-1])
                    window = Closed(agent_id, int(found["bucket"][-1]), length)
                    made.append(self._message(store, window))
            return made

    def _message(self, store: ReadingStore, window: Closed) -> dict[str, Any]:
        found = window_metrics(store, window, capacity_mbps=self._settings.capacity_mbps)
        until = window.timestamp + window.window_s * 1_000_000
        threats = open_threats(store, window.agent_id, window.timestamp, until)
        latency = found["latency_metrics"]
        return {
            "type": "window",
            "agent_id": window.agent_id,
            "timestamp": window.timestamp // 1000,
            "window_s": window.window_s,
            "packet_loss_rate": latency["packet_loss_rate"],
            "latency_p99": latency["p99_latency_ms"],
            "security_threat_detected": bool(threats),
            "threats": [
                {"id": row.id, "severity": row.severity, "attack_class": row.attack_class,
                 "title": row.title, "status": row.status}
                for _, row in threats
            ],
            "metrics": {
                name: found[name]
                for name in (
                    "agent_id", "network_id", "measurement_period", "latency_metrics",
                    "bandwidth_metrics", "connection_metrics", "protocol_distribution",
                    "geographic_distribution",
                )
            },
            "protocol_bytes": found["protocol_bytes"],
            "capacity_mbps": self._settings.capacity_mbps,
            "health": found["health"],
        }  # fmt: skip


@router.websocket("/ws/network/monitor")
async def monitor(
    socket: WebSocket, agent_id: str | None = None, workspace_id: str | None = None
) -> None:
    """One JSON object per window, and a heartbeat when there is none for 15 s."""
    live: Live = socket.app.state.live
    settings: ApiSettings = socket.app.state.settings
    await socket.accept()
    if agent_id is not None and not is_uuid(agent_id):
        await socket.close(WRONG, "agent_id is a UUID")
        return
    if len(live.clients) >= settings.limits.clients:
        await socket.close(TOO_MANY, "too many clients")
        return
    client = Client(agent_id and agent_id.lower(), workspace_id, settings.limits.queue)
    live.clients.add(client)
    listening = asyncio.create_task(until_gone(socket))
    sending = asyncio.create_task(send_all(socket, live, client, settings))
    try:
        await asyncio.wait((listening, sending), return_when=asyncio.FIRST_COMPLETED)
    finally:
        live.clients.discard(client)
        for task in (listening, sending):
            task.cancel()
        await asyncio.gather(listening, sending, return_exceptions=True)


def is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False


async def until_gone(socket: WebSocket) -> None:
    """What a client says is not listened to, but for its leaving."""
    while True:
        try:
            message = await socket.receive()
        except (WebSocketDisconnect, RuntimeError):
            return
        if message["type"] == "websocket.disconnect":
            return


async def send_all(socket: WebSocket, live: Live, client: Client, settings: ApiSettings) -> None:
    limits = settings.limits
    encode: Callable[[object], bytes] = msgspec.json.encode
    try:
        for message in await run_in_threadpool(live.newest, client):
            client.put(message)
        while True:
            message = await client.next(limits.heartbeat_s)
            async with asyncio.timeout(limits.send_s):
                await socket.send_text(encode(message).decode())
    except TimeoutError:
        return  # a closing message would wait behind the one that is not taken
    except (WebSocketDisconnect, RuntimeError, OSError):
        return
    except SensorError as error:
        LOG.error("%s", one_line(str(error)))
        await socket.close(1011, "the store cannot be read")
