"""Who may ask, and how much a question may be (threat model: A4, A5; goal G20).

A web page in an operator's browser is the attacker here: it may send requests to loopback, from its
own origin, or from ours after its name was rebound to our address. So the Host must be one of ours,
a foreign Origin is refused, and every answer but the dashboard's own files needs the token.
"""

import asyncio
import os
import re
import secrets
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sensor.api.settings import LOOPBACK, ApiSettings
from sensor.errors import CannotWrite, UsageError, one_line

COOKIE = "sensor_token"
TOKEN_FORM = re.compile(r"[A-Za-z0-9._~+/=-]{16,512}", re.ASCII)
PROTECTED = ("/analytics/", "/agents", "/regions", "/metrics", "/openapi.json", "/ws/")
POLICY = (
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "object-src 'none'; img-src 'self' data:"
)
HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
]
CLOSE_POLICY = 1008


def read_token(path: Path) -> str:
    """The token in the file; a new one, mode 0600, when there is no file.

    UsageError: the file holds none, or others may read it. CannotWrite: it cannot be made.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return kept_token(path)
    except OSError as error:
        raise CannotWrite(one_line(f"{path}: {(error.strerror or str(error)).lower()}")) from error
    token = secrets.token_urlsafe(32)
    with open(descriptor, "w", encoding="ascii") as file:
        file.write(token + "\n")
    return token


def kept_token(path: Path) -> str:
    try:
        mode = path.stat().st_mode
        token = path.read_text("ascii", "replace")[:1024].strip()
    except OSError as error:
        raise UsageError(one_line(f"{path}: {(error.strerror or str(error)).lower()}")) from error
    if mode & 0o077:
        raise UsageError(one_line(f"{path}: others may read this token: chmod 600 {path}"))
    if not TOKEN_FORM.fullmatch(token):
        raise UsageError(one_line(f"{path}: holds no token (16 to 512 letters and digits)"))
    return token


def host_of(header: str) -> str | None:
    """The name in a Host header, without its port; None for what is none."""
    found = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?", header, re.ASCII)
    return found[1].strip("[]").rstrip(".").lower() if found else None


class Guard:
    """The outermost layer of the application."""

    def __init__(self, app: ASGIApp, settings: ApiSettings) -> None:
        self.app = app
        self.settings = settings
        self.hosts = frozenset(name.strip("[]").lower() for name in (*LOOPBACK, *settings.hosts))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = Headers(scope)
        guarded = with_headers(send)
        if headers.one("host") is None or host_of(headers.one("host") or "") not in self.hosts:
            await refuse(scope, receive, guarded, 421, "host not allowed", "see --allow-host")
            return
        if not self._own_origin(headers):
            await refuse(scope, receive, guarded, 403, "origin not allowed", "see --allow-origin")
            return
        if scope["type"] == "http" and scope["path"] == "/" and b"token=" in scope["query_string"]:
            await self._sign_in(scope, receive, guarded)
            return
        if scope["path"].startswith(PROTECTED) and not self._is_known(headers):
            await refuse(scope, receive, guarded, 401, "no token", "Authorization: Bearer TOKEN")
            return
        if scope["type"] == "websocket":
            await self.app(scope, receive, send)
            return
        status, body = await read_body(headers, receive, self.settings)
        if status:
            await refuse(scope, receive, guarded, status, "the request's body is not welcome",
                         f"at most {self.settings.limits.body} octets")  # fmt: skip
            return
        await self.app(scope, body, guarded)

    def _own_origin(self, headers: "Headers") -> bool:
        """Browsers name the origin of a page that asks; programs do not."""
        origins = headers.all("origin")
        if not origins:
            return True
        if len(origins) > 1 or origins[0] in self.settings.origins:
            return len(origins) == 1
        return urlsplit_host(origins[0]) == headers.one("host")

    def _is_known(self, headers: "Headers") -> bool:
        """By the header, else by the cookie; compared in constant time."""
        given = headers.one("authorization") or ""
        scheme, _, token = given.partition(" ")
        if scheme.lower() == "bearer" and self._same(token.strip()):
            return True
        return any(self._same(value) for value in cookies(headers.all("cookie")))

    def _same(self, token: str) -> bool:
        return secrets.compare_digest(token.encode(), self.settings.token.encode())

    async def _sign_in(self, scope: Scope, receive: Receive, send: Send) -> None:
        """`/?token=...` becomes a cookie, and the token leaves the address bar."""
        query = parse_qs(scope["query_string"].decode("ascii", "replace"), max_num_fields=20)
        if not self._same(query.get("token", [""])[0]):
            await refuse(scope, receive, send, 401, "wrong token", None)
            return
        cookie = f"{COOKIE}={self.settings.token}; HttpOnly; SameSite=Strict; Path=/"
        secure = "; Secure" if scope.get("scheme") == "https" else ""
        headers = [(b"location", b"/"), (b"set-cookie", (cookie + secure).encode())]
        await send({"type": "http.response.start", "status": 303, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


class Headers:
    """Of one request, by lower-case name."""

    def __init__(self, scope: Scope) -> None:
        self._all: Iterable[tuple[bytes, bytes]] = scope["headers"]

    def all(self, name: str) -> list[str]:
        wanted = name.encode()
        return [value.decode("latin-1") for key, value in self._all if key == wanted]

    def one(self, name: str) -> str | None:
        """None when there is none, or more than one."""
        found = self.all(name)
        return found[0] if len(found) == 1 else None


def urlsplit_host(origin: str) -> str | None:
    """`name:port` of an http(s) origin; None for `null` and for anything else."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return None
    is_origin = parts.scheme in ("http", "https") and not parts.path
    return parts.netloc if is_origin else None


def cookies(headers: Iterable[str]) -> list[str]:
    """Values of our cookie."""
    found = []
    for header in headers:
        try:
            jar = SimpleCookie(header)
        except CookieError:
            continue
        if COOKIE in jar:
            found.append(jar[COOKIE].value)
    return found


def with_headers(send: Send) -> Send:
    """Adds what every answer has."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = list(message.get("headers", ()))
            if not any(key.lower() == b"cache-control" for key, _ in own):
                own.append((b"cache-control", b"no-store"))
            message = {**message, "headers": [*own, *HEADERS]}
        await send(message)

    return sending


async def read_body(
    headers: Headers, receive: Receive, settings: ApiSettings
) -> tuple[int, Receive]:
    """0 and a receiver of what was read; or the status to refuse it with: 408 or 413."""
    limits = settings.limits
    length = headers.one("content-length")
    if length is not None and length.isascii() and length.isdigit() and int(length) > limits.body:
        return 413, receive
    chunks: list[bytes] = []
    size, more = 0, length not in (None, "0") or bool(headers.all("transfer-encoding"))
    try:
        async with asyncio.timeout(limits.body_s):
            while more:
                message = await receive()
                if message["type"] != "http.request":
                    break
                chunks.append(message.get("body", b""))
                size += len(chunks[-1])
                if size > limits.body:
                    return 413, receive
                more = message.get("more_body", False)
    except TimeoutError:
        return 408, receive
    whole: list[Message] = [{"type": "http.request", "body": b"".join(chunks), "more_body": False}]

    async def again() -> Message:
        return whole.pop() if whole else await receive()

    return 0, again if chunks else receive


async def refuse(
    scope: Scope, receive: Receive, send: Send, status: int, error: str, detail: str | None
) -> None:
    """An answer before the application was asked; a WebSocket gets it instead of its upgrade."""
    body = msgspec.json.encode({"error": error, "detail": detail})
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    kind = "http"
    if scope["type"] == "websocket":
        if "websocket.http.response" not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": CLOSE_POLICY})
            return
        await receive()  # websocket.connect
        kind = "websocket.http"
    else:
        headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": f"{kind}.response.start", "status": status, "headers": headers})
    await send({"type": f"{kind}.response.body", "body": body})
