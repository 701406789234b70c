"""What users would take instead, as each is run on a capture file: those that are installed."""

import shutil
import sys
from importlib.util import find_spec
from typing import NamedTuple

DPKT = """
import dpkt, sys
flows = {}
for ts, frame in dpkt.pcap.Reader(open(sys.argv[1], "rb")):
    ip = dpkt.ethernet.Ethernet(frame).data
    if isinstance(ip, (dpkt.ip.IP, dpkt.ip6.IP6)):
        l4 = ip.data
        if isinstance(l4, (dpkt.tcp.TCP, dpkt.udp.UDP)):
            key = ip.src, ip.dst, l4.sport, l4.dport
            flows[key] = flows.get(key, 0) + len(frame)
"""
SCAPY = """
import sys
from scapy.utils import PcapReader
flows = {}
for frame in PcapReader(sys.argv[1]):
    if frame.haslayer("IP") and frame.haslayer("TCP"):
        key = frame["IP"].src, frame["IP"].dst, frame["TCP"].sport, frame["TCP"].dport
        flows[key] = flows.get(key, 0) + len(frame)
"""
NFSTREAM = """
import sys
from nfstream import NFStreamer
for flow in NFStreamer(source=sys.argv[1], n_meters=1):
    pass
"""


class Peer(NamedTuple):
    """`command`: {} is the capture, {folder} an empty folder. `slow`: gets the first packets only.
    `module`: Python's, which has to be there."""

    name: str
    does: str
    command: tuple[str, ...]
    slow: bool = False
    module: str = ""


PEERS = (
    Peer("capinfos -c", "counts packets", ("capinfos", "-c", "{}")),
    Peer("softflowd", "NetFlow records", (
        "softflowd", "-6", "-r", "{}", "-n", "127.0.0.1:9995", "-m", "5000000", "-d",
        "-p", "{folder}/pid", "-c", "none",
    )),
    Peer("nfpcapd", "NetFlow records", ("nfpcapd", "-r", "{}", "-w", "{folder}")),
    Peer("argus", "flow records", ("argus", "-r", "{}", "-w", "{folder}/out")),
    Peer("ndpiReader", "flows and DPI", ("ndpiReader", "-q", "-i", "{}")),
    Peer("tcptrace -r", "TCP with RTT", ("tcptrace", "-n", "-r", "-l", "{}"), slow=True),
    Peer("tshark", "TCP conversations", ("tshark", "-n", "-q", "-z", "conv,tcp", "-r", "{}"),
         slow=True),
    Peer("nfstream", "flows and DPI, one meter", (sys.executable, "-c", NFSTREAM, "{}"), slow=True,
         module="nfstream"),
    Peer("dpkt", "flows, Python loop", (sys.executable, "-c", DPKT, "{}"), slow=True,
         module="dpkt"),
    Peer("scapy", "flows, Python loop", (sys.executable, "-c", SCAPY, "{}"), slow=True,
         module="scapy"),
)  # fmt: skip


def installed() -> list[Peer]:
    return [
        peer
        for peer in PEERS
        if (find_spec(peer.module) if peer.module else shutil.which(peer.command[0])) is not None
    ]
