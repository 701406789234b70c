"""LLDP and CDP frames, by scapy."""

import socket

from scapy.contrib import cdp as cisco
from scapy.contrib import lldp
from scapy.layers.l2 import LLC, SNAP, Dot3, Ether
from scapy.packet import Packet

LLDP_GROUP, CDP_GROUP, MAC = "01:80:c2:00:00:0e", "01:00:0c:cc:cc:cc", "02:00:00:00:bb:01"


def lldp_switch(name: str, address: str) -> Packet:
    return (
        Ether(dst=LLDP_GROUP, src=MAC, type=0x88CC)
        / lldp.LLDPDUChassisID(subtype=7, id=b"chassis")
        / lldp.LLDPDUPortID(subtype=5, id=b"ge-0/0/1")
        / lldp.LLDPDUTimeToLive(ttl=120)
        / lldp.LLDPDUSystemName(system_name=name.encode())
        / lldp.LLDPDUSystemCapabilities(
            mac_bridge_available=1, router_available=1, mac_bridge_enabled=1
        )
        / lldp.LLDPDUManagementAddress(
            management_address_subtype=1,
            management_address=socket.inet_aton(address),
            interface_numbering_subtype=2,
            interface_number=1,
        )
        / lldp.LLDPDUEndOfLLDPDU()
    )


def lldp_by_mac(mac: bytes, name: str) -> Packet:
    return (
        Ether(dst=LLDP_GROUP, src=MAC, type=0x88CC)
        / lldp.LLDPDUChassisID(subtype=4, id=mac.hex(":"))
        / lldp.LLDPDUPortID(subtype=3, id=MAC)
        / lldp.LLDPDUTimeToLive(ttl=120)
        / lldp.LLDPDUSystemName(system_name=name.encode())
        / lldp.LLDPDUSystemCapabilities(router_available=1, router_enabled=1)
        / lldp.LLDPDUEndOfLLDPDU()
    )


def cdp(name: str, address: str) -> Packet:
    return (
        Dot3(dst=CDP_GROUP, src=MAC)
        / LLC(dsap=0xAA, ssap=0xAA, ctrl=3)
        / SNAP(OUI=0x00000C, code=0x2000)
        / cisco.CDPv2_HDR(
            msg=[
                cisco.CDPMsgDeviceID(val=name.encode()),
                cisco.CDPMsgAddr(naddr=1, addr=[cisco.CDPAddrRecordIPv4(addr=address)]),
                cisco.CDPMsgCapabilities(cap=0x01 | 0x08),
            ]
        )
    )
