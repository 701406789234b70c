"""uvicorn, with the bounds it does not have: who sends a header slowly holds nobody up.

uvicorn waits for a request's header for ever, and its own limit on connections would turn honest
clients away while slow ones sit. Here a header has a deadline, and where there are too many half
sent ones, the oldest of them goes.
"""

import asyncio
import gc
import signal
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from sensor.api.settings import ApiSettings, Limits

WS_MESSAGE = 4096  # octets that a client may say at once; nothing it says is listened to
KEEP_ALIVE_S = 15
SHUTDOWN_S = 2


class Waiting:
    """Connections without a whole header, the oldest first."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._all: OrderedDict[Connection, str] = OrderedDict()
        self._peers: dict[str, OrderedDict[Connection, None]] = {}

    def add(self, connection: "Connection", peer: str) -> None:
        mine = self._peers.setdefault(peer, OrderedDict())
        self._all[connection] = peer
        mine[connection] = None
        if len(mine) > self.limits.half_sent_per_peer:
            next(iter(mine)).abort()

    def discard(self, connection: "Connection") -> None:
        peer = self._all.pop(connection, None)
        if peer is not None:
            mine = self._peers[peer]
            del mine[connection]
            if not mine:
                del self._peers[peer]

    def oldest(self) -> "Connection | None":
        return next(iter(self._all), None)


class Impatient(asyncio.Protocol):
    """Lets go of a client that does not take what it asked for."""

    take_s: float  # set in the subclass that a server makes for itself
    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport
    _taking: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        super().pause_writing()
        self._taking = self.loop.call_later(self.take_s, self.transport.abort)

    def resume_writing(self) -> None:
        self._took()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._took()
        super().connection_lost(exc)

    def _took(self) -> None:
        if self._taking is not None:
            self._taking.cancel()
            self._taking = None


class WebSocket(Impatient, WebSocketsSansIOProtocol):
    """One client's WebSocket."""


class Connection(Impatient, H11Protocol):
    """One client's connection."""

    waiting: Waiting  # of the subclass that a server makes for itself

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._deadline: asyncio.TimerHandle | None = None
        if len(self.connections) > self.waiting.limits.connections:
            (self.waiting.oldest() or self).abort()
        if not transport.is_closing():
            self._wait()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.transport.is_closing():
            return
        is_upgraded = self.transport.get_protocol() is not self
        # The type says that there always is a cycle; before the first request there is none.
        cycle: RequestResponseCycle | None = self.cycle
        if is_upgraded or (cycle is not None and not cycle.response_complete):
            self._go_on()
        elif self._deadline is None:
            self._wait()  # part of a further request

    def connection_lost(self, exc: Exception | None) -> None:
        self._go_on()
        super().connection_lost(exc)

    def abort(self) -> None:
        self._go_on()
        self.transport.abort()

    def _wait(self) -> None:
        self._deadline = self.loop.call_later(self.waiting.limits.header_s, self.abort)
        self.waiting.add(self, self.client[0] if self.client else "")

    def _go_on(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
            self.waiting.discard(self)


class Server(uvicorn.Server):
    """Ends by itself on SIGTERM and SIGINT, and tells when it listens."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        signals = (signal.SIGTERM, signal.SIGINT)
        with suppress(NotImplementedError, ValueError, RuntimeError):  # not in the main thread
            for number in signals:
                loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            with suppress(NotImplementedError, ValueError, RuntimeError):
                for number in signals:
                    loop.remove_signal_handler(number)


def make_server(
    app: FastAPI,
    settings: ApiSettings,
    ready: Callable[[], None] = lambda: None,
    beat: Callable[[], None] = lambda: None,
    watchdog_s: float | None = None,
) -> Server:
    """A server for sockets that are given to its run(); `ready` is called once it listens, and
    `beat` twice in `watchdog_s` as long as its loop turns.
    """

    async def alive() -> None:
        beat()

    limits = settings.limits
    bound = {"waiting": Waiting(limits), "take_s": limits.send_s}
    config = uvicorn.Config(
        app,
        http=type("BoundConnection", (Connection,), bound),
        ws=type("BoundWebSocket", (WebSocket,), bound),
        ws_max_size=WS_MESSAGE,
        ws_per_message_deflate=False,
        h11_max_incomplete_event_size=limits.header,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=SHUTDOWN_S,
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_config=None,
        callback_notify=alive if watchdog_s else None,
        timeout_notify=max(1, int((watchdog_s or 2) / 2)),
    )
    return Server(config, ready)


def settle() -> None:
    """Once all is made: the collector need not walk again what stays for good, and looks for
    cycles more rarely, so that fewer answers wait for it (p99 of a day's figures: a third less)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
