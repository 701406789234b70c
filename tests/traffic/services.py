"""Other servers and clients at work: files, mail, shells, crawlers, backups."""

from collections.abc import Iterator

from tests.traffic import frames, payloads
from tests.traffic.floods import handshake
from tests.traffic.net import US, Frame, Host, Net
from tests.traffic.talk import DOWN, UP, Talk


def nfs(net: Net, *, seconds: float = 8, rate: float = 60) -> Iterator[Frame]:
    """NFS over UDP: calls of 140 octets, answers of 8 KiB in six fragments, and writes."""
    client, host = net.own(77), net.host.address
    for number, ts in enumerate(net.paced(0, seconds, rate)):
        write = number % 5 == 0
        call = frames.udp(client, host, 900, 2049, net.octets(8300 if write else 140))
        told = frames.udp(host, client, 2049, 900, net.octets(120 if write else 8300))
        for step, whole in ((0, call), (400, told)):
            pieces = [whole] if len(whole) < 1500 else frames.fragments(whole, number)
            for index, piece in enumerate(pieces):
                yield ts + (step + 12 * index) * US, piece


def crawler(net: Net, *, sites: int = 300, seconds: float = 20) -> Iterator[Frame]:
    """Ours: 300 web servers, a request or two each; one in twelve is dead or refuses."""
    for number, ts in enumerate(net.poisson(0, seconds, sites / seconds)):
        server, tls = net.client(8000 + number), number % 3 > 0
        talk = Talk(net, ts, net.host, server, 443 if tls else 80, near=UP)
        if number % 24 == 5:
            yield from talk.refused().out
            continue
        if number % 24 == 17:
            yield from talk.unanswered((1.0, 3.0)).out
            continue
        talk.open()
        if tls:
            handshake(net, talk, f"site{number}.example")
            talk.send(UP, payloads.application_data(net.rng, 300)).wait(40)
            talk.send(DOWN, payloads.application_data(net.rng, 5000))
        else:
            talk.send(UP, payloads.request("/", agent=b"OurBot/1.0")).wait(40)
            talk.send(DOWN, payloads.response(200, net.octets(5000)))
        yield from talk.close().out


def mail_delivery(net: Net, *, servers: int = 80, seconds: float = 25) -> Iterator[Frame]:
    """Ours: a newsletter to 80 mail servers; one in ten does not answer, some refuse."""
    for number, ts in enumerate(net.poisson(0, seconds, servers / seconds)):
        talk = Talk(net, ts, net.host, net.client(8500 + number), 25, near=UP)
        if number % 10 == 3:
            yield from talk.unanswered((1.0, 3.0, 7.0)).out
        elif number % 20 == 7:
            yield from talk.refused().out
        else:
            talk.open().send(DOWN, b"220 mx.example ESMTP\r\n")
            for line in (
                b"EHLO us.example\r\n",
                b"MAIL FROM:<n@us.example>\r\n",
                b"RCPT TO:<a@b>\r\n",
            ):
                talk.send(UP, line).send(DOWN, b"250 OK\r\n")
            talk.send(UP, b"DATA\r\n").send(DOWN, b"354 go\r\n").send(UP, net.octets(4000))
            yield from talk.send(DOWN, b"250 queued\r\n").close().out


def ssh(
    net: Net, ts: int, client: Host, *, commands: int = 3, size: int = 2000, rtt_ms: float = 20
) -> list[Frame]:
    """A log-in with a key that works, and some work."""
    talk = Talk(net, ts, client, net.host, 22, rtt_ms=rtt_ms).open()
    key_exchange(net, talk)
    talk.send(UP, net.octets(500)).wait(5).send(DOWN, net.octets(28))
    talk.send(UP, net.octets(112)).send(DOWN, net.octets(500))
    for _ in range(commands):
        talk.send(UP, net.octets(120)).wait(net.rng.uniform(30, 600))
        talk.send(DOWN, net.octets(size)).settle()
    return talk.close().out


def key_exchange(net: Net, talk: Talk) -> Talk:
    """SSH up to the encrypted log-in, in the clear as on the wire."""
    talk.send(DOWN, b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u6\r\n")
    talk.send(UP, b"SSH-2.0-OpenSSH_9.9\r\n")
    talk.send(UP, b"\0\0\x05\xdc\x06\x14" + net.octets(1530)).send(
        DOWN, b"\0\0\x04\x34\x06\x14" + net.octets(1074)
    )
    talk.send(UP, b"\0\0\x04\xbc\x06\x1e" + net.octets(1202)).wait(6).send(DOWN, net.octets(1564))
    return talk.send(UP, net.octets(16)).send(UP, net.octets(44)).send(DOWN, net.octets(44))


def ansible(net: Net, *, hosts: int = 1, tasks: int = 40, every_s: float = 0.7) -> Iterator[Frame]:
    """A play against us: a session a task, each of a second or two and some kilobytes."""
    for task in range(tasks):
        for number in range(hosts):
            begin = net.at(0.5 + task * every_s + number * 0.05)
            yield from ssh(net, begin, net.client(45 + number), commands=5, size=3000)


def rsync(net: Net, *, rounds: int = 10, every_s: float = 2) -> Iterator[Frame]:
    """Backups over SSH, often."""
    for number in range(rounds):
        begin = net.at(0.5 + number * every_s)
        yield from ssh(net, begin, net.client(48), commands=8, size=9000)


def backup(net: Net, *, seconds: float = 8, megabits: float = 20) -> list[Frame]:
    """Our host pushes a large file away on one connection."""
    talk = Talk(net, net.at(0.2), net.host, net.client(49), 873, near=UP, rtt_ms=4).open()
    talk.send(DOWN, b"@RSYNCD: 31.0\n").send(UP, b"@RSYNCD: 31.0\n")
    while talk.now < net.at(seconds):
        talk.send(UP, net.octets(28_960)).wait(28_960 * 8 / megabits / 1e3)
    return talk.close().out


def interactive(net: Net, *, seconds: float = 30) -> list[Frame]:
    """Somebody types in a shell, and makes two typing errors in the password first."""
    client, out = net.client(47), []
    for again in range(2):
        out += failed_login(net, net.at(1 + again * 4), client)
    talk = Talk(net, net.at(10), client, net.host, 22, rtt_ms=30).open()
    key_exchange(net, talk)
    while talk.settle().wait(net.rng.uniform(80, 400)).now < net.at(seconds):
        talk.send(UP, net.octets(36)).send(DOWN, net.octets(36))
    return out + talk.close().out


def failed_login(net: Net, ts: int, client: Host, *, tries: int = 1) -> list[Frame]:
    """SSH with a wrong password (or `tries` of them), then the server hangs up."""
    talk = Talk(net, ts, client, net.host, 22, rtt_ms=12).open()
    key_exchange(net, talk)
    talk.send(UP, net.octets(68)).send(DOWN, net.octets(52))
    for _ in range(tries):
        talk.send(UP, net.octets(148)).wait(net.rng.uniform(60, 200)).send(DOWN, net.octets(52))
    return talk.close(DOWN).out
