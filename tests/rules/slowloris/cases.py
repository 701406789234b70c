"""Requests that never end, and connections that are idle for good reasons."""

from tests.rules.case import Case, benign
from tests.traffic import slow, web
from tests.traffic.net import Net

CLASSES = ("slowloris",)


def background(net: Net):
    return web.steady(net, seconds=40, rate=2)


def one(net: Net):
    return [net.client(66)]


CASES = [
    Case(
        "200 headers from one source",
        lambda net: slow.headers(net, one(net)),
        background,
        CLASSES,
        source=lambda net: net.far(66),
        within_s=20,
    ),
    Case(
        "240 headers from 240 sources",
        lambda net: slow.headers(net, net.clients(240, 2000), count=240),
        background,
        CLASSES,
        spoofed=True,
        within_s=20,
    ),
    Case(
        "headers over TLS",
        lambda net: slow.headers(net, one(net), tls=True),
        background,
        CLASSES,
        also=("tls_flood", "connection_flood"),  # 50 handshakes a second, to begin with
        within_s=20,
    ),
    Case(
        "TLS connections that say nothing",
        lambda net: slow.silent(net, one(net)),
        background,
        (*CLASSES, "connection_flood"),
        within_s=20,
    ),
    Case(
        "TLS connections with a third of a ClientHello",
        lambda net: slow.silent(net, one(net), hello=True),
        background,
        CLASSES,
        also=("tls_flood", "connection_flood"),
        within_s=20,
    ),
    benign("idle WebSockets", web.websockets, quiet=True),
    benign("idle WebSockets over TLS", lambda net: web.websockets(net, tls=True), quiet=True),
    benign("server-sent events and long polls", web.event_streams, quiet=True),
    benign(
        "idle keep-alive pools, 200", lambda net: web.idle_pool(net, connections=200), quiet=True
    ),
    benign("browser preconnects, 120", lambda net: web.preconnects(net, browsers=120), quiet=True),
]
