"""Goal G20 with real sockets: who may ask, and what slow or greedy clients can do to others."""

import os
import re
import socket
import stat
import time
from contextlib import suppress
from pathlib import Path

import pytest

from sensor.api.security import host_of, read_token
from sensor.api.settings import Limits
from sensor.errors import CannotWrite, UsageError
from sensor.programs.serve import listen
from tests.api.made import AGENT, TOKEN, ask, serving

Address = tuple[str, int]
PATH = f"/analytics/network/{AGENT}/performance"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "[",
                                  "localhost@evil.example", "2130706433", "a b"])  # fmt: skip
def test_another_host_is_misdirected(address: Address, host: str) -> None:
    status, document, _ = ask(address, PATH, Host=host)
    assert (status, document["error"]) == (421, "host not allowed")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:1", "[::1]:8765", "LOCALHOST."])
def test_loopback_is_ours(address: Address, host: str) -> None:
    assert ask(address, "/agents", Host=host)[0] == 200


def test_no_host_and_two_hosts_are_refused(address: Address) -> None:
    for head in (b"", b"Host: localhost\r\nHost: evil.example\r\n"):
        answer = raw(address, b"GET /agents HTTP/1.1\r\n" + head + b"\r\n")
        assert re.match(rb"HTTP/1.1 4(00|21) ", answer)


def raw(address: Address, request: bytes) -> bytes:
    """What comes back until the server is done with us."""
    with socket.create_connection(address, 10) as client:
        client.sendall(request)
        with suppress(OSError):  # it may have hung up already
            client.shutdown(socket.SHUT_WR)
        answer = b""
        while chunk := client.recv(65536):
            answer += chunk
            if b"\r\n\r\n" in answer:
                break
        return answer


@pytest.mark.parametrize("given", ["", "Bearer wrong", f"Basic {TOKEN}", TOKEN, "Bearer",
                                   f"Bearer {TOKEN}x"])  # fmt: skip
@pytest.mark.parametrize("path", [PATH, "/agents", "/metrics", "/openapi.json"])
def test_no_answer_without_the_token(address: Address, path: str, given: str) -> None:
    status, document, headers = ask(address, path, authorization=given)
    assert (status, document["error"]) == (401, "no token")
    assert headers["www-authenticate"] == "Bearer"


def test_a_link_with_the_token_becomes_a_cookie(address: Address) -> None:
    status, _, headers = ask(address, f"/?token={TOKEN}", authorization="")
    assert (status, headers["location"]) == (303, "/")
    cookie = headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    pair = cookie.split(";")[0]
    assert ask(address, "/agents", authorization="", Cookie=pair)[0] == 200
    assert ask(address, "/agents", authorization="", Cookie="sensor_token=x")[0] == 401
    assert ask(address, "/?token=wrong", authorization="")[0] == 401


def test_other_sites_may_not_ask(address: Address) -> None:
    own = f"http://{address[0]}:{address[1]}"
    path = f"/analytics/network/{AGENT}/optimize-latency"
    assert ask(address, path, "POST", Origin=own)[0] == 200
    for origin in ("http://evil.example", "null", f"{own}.evil.example", f"http://{address[0]}"):
        assert ask(address, path, "POST", Origin=origin)[0] == 403, origin


def test_every_answer_says_what_a_browser_may_do(address: Address) -> None:
    for path in ("/", "/agents", "/none", "/healthz"):
        headers = ask(address, path)[2]
        assert headers["content-security-policy"].startswith("default-src 'self'"), path
        assert headers["x-content-type-options"] == "nosniff"
        assert "server" not in headers
        assert "access-control-allow-origin" not in headers


def test_large_bodies_and_headers(address: Address) -> None:
    path = f"/analytics/network/{AGENT}/optimize-latency"
    assert ask(address, path, "POST", b"x" * (64 << 10))[0] == 200
    assert ask(address, path, "POST", b"x" * ((64 << 10) + 1))[0] == 413
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n".encode()
    chunks = b"Transfer-Encoding: chunked\r\n\r\n" + b"8000\r\n" + b"x" * 0x8000 + b"\r\n"
    more = (b"8000\r\n" + b"x" * 0x8000 + b"\r\n") * 3
    assert raw(address, head + chunks + more).startswith(b"HTTP/1.1 413 ")
    greedy = b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * (17 << 10)
    assert re.match(rb"HTTP/1.1 4(00|31) ", raw(address, greedy))


def test_slow_headers_and_bodies_have_a_deadline(made: tuple[str, object]) -> None:
    with serving(made[0], Limits(header_s=0.5, body_s=0.5)) as address:
        for sent in (b"", b"GET / HTTP/1.1\r\nHost: loc", None):
            with socket.create_connection(address, 10) as client:
                if sent is None:  # a whole request, then half of another
                    client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
                    sent = b"GET / HT"
                client.sendall(sent)
                start = time.monotonic()
                assert closed(client)
                assert time.monotonic() - start < 3
        body = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nx"
        with socket.create_connection(address, 10) as client:
            client.sendall(body)
            assert client.recv(65536).startswith(b"HTTP/1.1 408 ")


def closed(client: socket.socket) -> bool:
    """Waits for the end; what comes before it does not matter."""
    try:
        while client.recv(65536):
            pass
    except ConnectionResetError:
        pass
    return True


def test_400_slow_clients_hold_nobody_up(address: Address) -> None:
    ask(address, "/agents")
    slow = []
    try:
        for _ in range(400):
            client = socket.create_connection(address, 10)
            client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
            slow.append(client)
        took = []
        for _ in range(20):
            start = time.perf_counter()
            assert ask(address, "/agents")[0] == 200
            took.append(time.perf_counter() - start)
        assert sorted(took)[len(took) // 2] < 0.1
        assert max(took) < 1
    finally:
        for client in slow:
            client.close()


def test_the_token_file(tmp_path: Path) -> None:
    path = tmp_path / "token"
    os.umask(0)  # whatever that is, nobody else may read it
    token = read_token(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(token) >= 32
    assert read_token(path) == token
    path.chmod(0o640)
    with pytest.raises(UsageError, match="others may read this token"):
        read_token(path)
    path.chmod(0o600)
    path.write_text("short\n")
    with pytest.raises(UsageError, match="holds no token"):
        read_token(path)
    with pytest.raises(CannotWrite, match="no such file or directory"):
        read_token(tmp_path / "none" / "token")


def test_hosts() -> None:
    assert host_of("Sensor.Example:80") == "sensor.example"
    assert host_of("[::1]:80") == "::1"
    for wrong in ("", "a/b", "a:b", "a:1:2", "::1", "a\r\nb", "ä"):
        assert host_of(wrong) is None, wrong


def test_names_and_origins_that_were_allowed(made: tuple[str, object]) -> None:
    with serving(made[0], hosts=("sensor.lan",), origins=("http://localhost:5173",)) as address:
        assert ask(address, "/agents", Host="sensor.lan:9")[0] == 200
        assert ask(address, "/agents", Origin="http://localhost:5173")[0] == 200
        assert ask(address, "/agents", Origin="http://localhost:5174")[0] == 403


def test_an_answer_does_not_wait_for_an_acknowledgement() -> None:
    """asyncio turns Nagle's algorithm off where a socket says that it is TCP's; else an answer of
    two writes takes 40 ms more."""
    with listen("127.0.0.1", 0) as made:
        assert made.proto == socket.IPPROTO_TCP
