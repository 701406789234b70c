"""TLS handshakes of chosen versions."""

from collections.abc import Iterator

from tests.traffic import payloads
from tests.traffic.floods import Times
from tests.traffic.net import Frame, Net
from tests.traffic.talk import DOWN, UP, Talk

DOWNGRADE_TO_12 = b"DOWNGRD\x01"  # RFC 8446 section 4.1.3


def chosen(net: Net, times: Times, *, offered: int, sentinel: bool) -> Iterator[Frame]:
    """The client offers up to `offered`; the server chooses TLS 1.2 and may say it knows better."""
    mark = DOWNGRADE_TO_12 if sentinel else b""
    for number, ts in enumerate(times):
        talk = Talk(net, ts, net.client(300 + number), net.host, 443).open()
        talk.send(UP, payloads.client_hello(net.rng, newest=offered)).wait(1)
        talk.send(DOWN, payloads.server_hello(net.rng, 0x0303, sentinel=mark))
        talk.send(UP, payloads.client_finished(net.rng, 0x0303))
        talk.send(UP, payloads.application_data(net.rng, 200)).wait(2)
        talk.send(DOWN, payloads.application_data(net.rng, 900))
        yield from talk.close().out
