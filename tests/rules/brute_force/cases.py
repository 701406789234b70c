"""Guessed passwords, and short sessions of people who know theirs."""

from tests.rules.case import Case, benign
from tests.traffic import logins, probes, services, web
from tests.traffic.net import Net

CLASSES = ("brute_force",)


def background(net: Net):
    return web.steady(net, seconds=25, rate=2)


def guesser(net: Net) -> bytes:
    return net.far(66)


CASES = [
    Case(
        "SSH, 4 connections/s of one source",
        lambda net: logins.ssh(net, net.paced(3, 20, 4), [net.client(66)]),
        background,
        CLASSES,
        source=guesser,
        within_s=20,
    ),
    Case(
        "SSH, one try a connection, 20/s",
        lambda net: logins.ssh(net, net.paced(3, 10, 20), [net.client(66)], tries=1),
        background,
        CLASSES,
        source=guesser,
        within_s=20,
    ),
    Case(
        "SSH, 60 sources, 5/s",
        lambda net: logins.ssh(net, net.paced(3, 20, 5), net.clients(60, 2000)),
        background,
        CLASSES,
        within_s=20,
    ),
    Case(
        "FTP, 3 tries a connection, 4/s",
        lambda net: logins.ftp(net, net.paced(3, 15, 4), net.client(66)),
        background,
        CLASSES,
        source=guesser,
        within_s=20,
    ),
    Case(
        "HTTP Basic, 60/s",
        lambda net: logins.http(net, net.paced(3, 10, 60), net.client(66)),
        background,
        CLASSES,
        also=("http_flood", "connection_flood"),
        source=guesser,
        within_s=20,
    ),
    Case(
        "RDP, 3/s",
        lambda net: logins.rdp(net, net.paced(3, 20, 3), net.client(66)),
        background,
        CLASSES,
        source=guesser,
        within_s=20,
    ),
    benign("ansible: 40 sessions of 3 s", services.ansible, quiet=True),
    benign("rsync every 2 s", services.rsync, quiet=True),
    benign("two typing errors, then a shell", services.interactive, quiet=True),
    benign("monitoring reads the SSH banner", probes.banners),
    benign("FTP transfers, a session each", logins.ftp_transfers, quiet=True),
    benign("every connection is refused once (Negotiate)", logins.challenged, quiet=True),
]
