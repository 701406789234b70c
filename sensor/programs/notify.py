"""Tells systemd how the service is, and gives it descriptors to keep over a restart.

sd_notify(3) and sd_listen_fds(3): one datagram of lines to the socket in NOTIFY_SOCKET. Without
systemd, nothing happens.
"""

import os
import socket
from array import array
from contextlib import suppress

FIRST_FD = 3


class Notifier:
    """A connected socket, so that the sandbox need not allow sendto()."""

    def __init__(self) -> None:
        address = os.environ.get("NOTIFY_SOCKET", "")
        self._socket: socket.socket | None = None
        if address[:1] in ("/", "@"):
            made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            made.connect("\0" + address[1:] if address[0] == "@" else address)
            made.setblocking(False)  # a manager that does not read must not hold up the daemon
            self._socket = made
        usec = os.environ.get("WATCHDOG_USEC", "")
        mine = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self.watchdog_s = int(usec) / 1e6 if usec.isdigit() and mine else None

    def tell(self, **values: str | int) -> None:
        """Such as ``READY=1``; a newline in a value, which would begin another, becomes a space."""
        if self._socket is not None:
            lines = [f"{name}={str(value).replace(chr(10), ' ')}" for name, value in values.items()]
            with suppress(OSError):  # a service manager that is busy or gone is no reason to stop
                os.write(self._socket.fileno(), "\n".join(lines).encode())

    def keep(self, name: str, descriptor: int) -> None:
        """Let the service manager hold `descriptor` until the service is stopped for good."""
        if self._socket is not None:
            state = f"FDSTORE=1\nFDNAME={name}\nFDPOLL=0".encode()
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", [descriptor]))
            with suppress(OSError):
                self._socket.sendmsg([state], [rights])

    def forget(self, name: str) -> None:
        """It need not keep those of this name any longer."""
        self.tell(FDSTOREREMOVE=1, FDNAME=name)


def kept() -> dict[str, list[int]]:
    """Descriptors that were kept for us, by name; close-on-exec from now on."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return {}
    count = int(os.environ.get("LISTEN_FDS", "0") or 0)
    names = os.environ.get("LISTEN_FDNAMES", "").split(":")
    found: dict[str, list[int]] = {}
    for descriptor in range(FIRST_FD, FIRST_FD + count):
        os.set_inheritable(descriptor, False)
        at = descriptor - FIRST_FD
        found.setdefault(names[at] if at < len(names) else "", []).append(descriptor)
    for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        os.environ.pop(name, None)
    return found
