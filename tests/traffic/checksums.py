"""Checksums, as scapy has them."""

from scapy.all import Ether, raw


def checksums_are_right(frame: bytes) -> None:
    """Scapy computes the checksums of an Ethernet frame again and finds the same."""
    packet = Ether(frame)
    layer = packet
    while layer:
        if "chksum" in layer.fields:
            layer.delfieldval("chksum")
        layer = layer.payload
    assert raw(packet) == frame
