"""Log-ins: guessed ones, and those of people and programs who know their password."""

from collections.abc import Iterator

from tests.traffic import payloads
from tests.traffic.floods import Times
from tests.traffic.net import Frame, Host, Net
from tests.traffic.services import failed_login
from tests.traffic.talk import DOWN, UP, Talk

GREETING = b"220 ProFTPD Server ready.\r\n"


def ssh(net: Net, times: Times, clients: list[Host], *, tries: int = 2) -> Iterator[Frame]:
    """hydra ssh: `tries` passwords a connection, all wrong."""
    for number, ts in enumerate(times):
        yield from failed_login(net, ts, clients[number % len(clients)], tries=tries)


def ftp(net: Net, times: Times, client: Host, *, tries: int = 3) -> Iterator[Frame]:
    """FTP: 530 to every password."""
    for ts in times:
        talk = Talk(net, ts, client, net.host, 21, rtt_ms=10).open().send(DOWN, GREETING)
        for number in range(tries):
            talk.send(UP, b"USER admin\r\n").send(DOWN, b"331 Password required for admin\r\n")
            talk.send(UP, b"PASS secret%d\r\n" % number).wait(80)
            talk.send(DOWN, b"530 Login incorrect.\r\n")
        yield from talk.close().out


def http(net: Net, times: Times, client: Host) -> Iterator[Frame]:
    """hydra http-get: 401 to everything."""
    for number, ts in enumerate(times):
        more = b"Authorization: Basic YWRtaW46%06x\r\n" % number
        talk = Talk(net, ts, client, net.host, 80, rtt_ms=4).open()
        talk.send(UP, payloads.request("/login", agent=b"Mozilla/4.0 (Hydra)", more=more)).wait(2)
        yield from talk.send(DOWN, payloads.response(401, b"<h1>401</h1>")).close().out


def rdp(net: Net, times: Times, client: Host) -> Iterator[Frame]:
    """RDP with network level authentication: TLS, CredSSP, refused."""
    cookie = b"\x03\0\0\x2b\x26\xe0\0\0\0\0\0Cookie: mstshash=admin\r\n\x01\0\x08\0\x03\0\0\0"
    for ts in times:
        talk = Talk(net, ts, client, net.host, 3389, rtt_ms=20).open()
        talk.send(UP, cookie).send(
            DOWN, b"\x03\0\0\x13\x0e\xd0\0\0\x12\x34\0\x02\x1f\x08\0\x02\0\0\0"
        )
        talk.send(UP, payloads.client_hello(net.rng, newest=0x0303)).wait(2)
        talk.send(DOWN, payloads.server_hello(net.rng, 0x0303))
        talk.send(UP, payloads.client_finished(net.rng, 0x0303))
        for size in (130, 420):
            talk.send(UP, payloads.application_data(net.rng, size)).wait(30)
            talk.send(DOWN, payloads.application_data(net.rng, 290))
        yield from talk.reset(DOWN).out


def ftp_transfers(net: Net, *, sessions: int = 30, every_s: float = 0.8) -> Iterator[Frame]:
    """A script fetches files, a session each; and one wrong password."""
    client = net.client(46)
    for number in range(sessions):
        begin = net.at(0.5 + number * every_s)
        talk = Talk(net, begin, client, net.host, 21, rtt_ms=10).open().send(DOWN, GREETING)
        told = b"530 Login incorrect.\r\n" if number == 3 else b"230 User logged in\r\n"
        talk.send(UP, b"USER backup\r\n").send(DOWN, b"331 Password required\r\n")
        talk.send(UP, b"PASS right\r\n").wait(60).send(DOWN, told)
        for line in (b"TYPE I\r\n", b"PASV\r\n", b"RETR /a.bin\r\n", b"QUIT\r\n"):
            talk.send(UP, line).send(DOWN, b"200 ok ok ok\r\n")
        yield from talk.close().out


def challenged(net: Net, *, sessions: int = 60, seconds: float = 25) -> Iterator[Frame]:
    """Proxies and intranets: every connection is refused once (401) and then let in."""
    for number, ts in enumerate(net.poisson(0, seconds, sessions / seconds)):
        talk = Talk(net, ts, net.client(40 + number % 12), net.host, 80, rtt_ms=3).open()
        talk.send(UP, payloads.request("/intranet")).wait(1)
        talk.send(DOWN, payloads.response(401, b"negotiate"))
        more = b"Authorization: Negotiate YII\r\n"
        for path in ("/intranet", "/intranet/a.css", "/intranet/b.js"):
            talk.settle().send(UP, payloads.request(path, more=more)).wait(6)
            talk.send(DOWN, payloads.response(200, net.octets(3000)))
        yield from talk.close().out
