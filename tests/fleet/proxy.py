"""A network that breaks: forwards TCP, and cuts connections after so many octets."""

import selectors
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Thread

CHUNK = 4096


class Proxy:
    """`budget()` says how many octets, of both directions, the next connection may carry."""

    def __init__(self, port: int, budget: Callable[[], int]) -> None:
        self._target = ("127.0.0.1", port)
        self._budget = budget
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self.cuts = 0
        self._threads: list[Thread] = []
        self._accepting = Thread(target=self._accept)
        self._accepting.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                thread = Thread(target=self._carry, args=(client, self._budget()))
                thread.start()
                self._threads.append(thread)

    def _carry(self, client: socket.socket, left: int) -> None:
        with client, socket.create_connection(self._target) as server:
            other = {client: server, server: client}
            with selectors.DefaultSelector() as waiting:
                for end in other:
                    waiting.register(end, selectors.EVENT_READ)
                with suppress(OSError):
                    while left > 0:
                        for key, _ in waiting.select():
                            octets = key.fileobj.recv(min(CHUNK, left))
                            if not octets:
                                return
                            left -= len(octets)
                            other[key.fileobj].sendall(octets)
                            if not left:
                                break
            self.cuts += 1

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._accepting.join()
        for thread in self._threads:
            thread.join()


@contextmanager
def proxy(port: int, budget: Callable[[], int]) -> Iterator[Proxy]:
    made = Proxy(port, budget)
    try:
        yield made
    finally:
        made.close()
