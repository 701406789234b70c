"""First-octets identification against messages made by scapy and by hand."""

import random

import pytest
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.ntp import NTP
from scapy.layers.snmp import SNMP, SNMPget, SNMPvarbind

from sensor._native.app import AppProto
from sensor._native.doors_dns import banner_tcp, banner_udp

NONE = AppProto.APP_UNKNOWN
INVITE = b"INVITE sip:bob@example.org SIP/2.0\r\nVia: SIP/2.0/UDP a\r\n\r\n"


@pytest.mark.parametrize(
    ("greeting", "from_orig", "port", "want"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n", False, 2222, AppProto.APP_SSH),
        (b"SSH-2.0-Go\r\n", True, 22, AppProto.APP_SSH),
        (b"220 (vsFTPd 3.0.5)\r\n", False, 2121, AppProto.APP_FTP),
        (b"220-Welcome\r\n220 x\r\n", False, 21, AppProto.APP_FTP),
        (b"220 mx.example.org ESMTP Postfix\r\n", False, 2525, AppProto.APP_SMTP),
        (b"220 mail smtp ready\r\n", False, 25, AppProto.APP_SMTP),
        (b"220 mail.example.org\r\n", False, 25, AppProto.APP_SMTP),
        (b"220 who am I\r\n", False, 9999, NONE),
        (b"220 after the first line\r\nESMTP", False, 9999, NONE),
        (b"2200 ESMTP\r\n", False, 25, NONE),
        (b"220 ESMTP\r\n", True, 25, NONE),
        (INVITE, True, 5060, AppProto.APP_SIP),
        (b"OPTIONS * HTTP/1.1\r\n\r\n", True, 80, NONE),
        (b"NOTIFY /x HTTP/1.1\r\n\r\n", True, 80, NONE),
    ],
)
def test_tcp(greeting: bytes, from_orig: bool, port: int, want: int) -> None:
    assert banner_tcp(greeting, from_orig, port) == want


def ntp(mode: int, version: int = 4) -> bytes:
    times = dict.fromkeys(("ref", "orig", "recv", "sent"), 0)  # not now: tests have fixed names
    return bytes(NTP(version=version, mode=mode, stratum=2, **times))


UDP = [
    (ntp(3), 123, AppProto.APP_NTP),
    (ntp(4, 3), 123, AppProto.APP_NTP),
    (b"\x17\x00\x03\x2a" + bytes(4), 123, AppProto.APP_NTP),  # monlist: version 2, mode 7
    (ntp(3)[:47], 123, NONE),
    (ntp(0), 123, NONE),
    (ntp(3), 9123, NONE),
    (bytes(BOOTP(op=1) / DHCP(options=[("message-type", 1), "end"])), 67, AppProto.APP_DHCP),
    (bytes(BOOTP(op=2) / DHCP(options=[("message-type", 2), "end"])), 68, AppProto.APP_DHCP),
    (bytes(BOOTP(op=1, options=b"xxxx")), 67, NONE),
    (bytes(SNMP(PDU=SNMPget(varbindlist=[SNMPvarbind(oid="1.3.6.1")]))), 161, AppProto.APP_SNMP),
    (bytes(SNMP(version=0, community=b"c" * 200)), 162, AppProto.APP_SNMP),  # long form length
    (bytes.fromhex("30820040020103"), 161, AppProto.APP_SNMP),
    (bytes.fromhex("30800201010403"), 161, NONE),
    (bytes(SNMP()), 9161, NONE),
    (INVITE, 5060, AppProto.APP_SIP),
    (b"SIP/2.0 200 OK\r\n\r\n", 40001, AppProto.APP_SIP),
    (b"REGISTER sip:x SIP/2.0\n", 5062, AppProto.APP_SIP),
    (b"INVITE sip:x SIP/3.0\r\n", 5060, NONE),
    (b"INVITE SIP/2.0", 5060, NONE),
    (b"M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\n\r\n", 1900, AppProto.APP_SSDP),
    (b"NOTIFY * HTTP/1.1\r\n", 1900, AppProto.APP_SSDP),
    (b"HTTP/1.1 200 OK\r\nST: upnp:rootdevice\r\n", 1900, AppProto.APP_SSDP),
    (b"HTTP/1.1 200 OK\r\n", 8000, NONE),
    (b"", 123, NONE),
]


@pytest.mark.parametrize(("payload", "port", "want"), UDP)
def test_udp(payload: bytes, port: int, want: int) -> None:
    assert banner_udp(payload, port) == want
    assert banner_udp(payload, 40000, port) == want


def test_random_and_truncated_octets_say_nothing() -> None:
    rng = random.Random(2026)
    for _ in range(30_000):
        payload = rng.randbytes(rng.randrange(0, 300))
        assert banner_udp(payload, 4000) == NONE
        assert banner_tcp(payload, False, 4000) == NONE
        banner_udp(payload, rng.choice([123, 67, 161, 1900]))
    for payload, port, want in UDP:
        for n in range(len(payload)):
            assert banner_udp(payload[:n], port) in (want, NONE)
