"""What the native floor's numbers for applications and names mean."""

# Zeek's service names where it has one, by AppProto (app.pxd).
SERVICES = (
    None, "http", "ssl", "http2", "grpc", "websocket", "dns", "quic", "rtp", "ssh", "ftp", "smtp",
    "ntp", "dhcp", "snmp", "sip", "mdns", "llmnr", "ssdp", None, None,
)  # fmt: skip
APP_DNS = 6
NAME_SOURCES = (None, "dns", "host", "sni")  # NameSource (sink.pxd)
NAME_DNS = 1
NAME_SNI = 3
ROLES = ("external", "originator", "responder", "internal")  # what the agent was (dtypes.ENDPOINT)
RESPONDER = 2
