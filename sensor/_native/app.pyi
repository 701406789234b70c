from enum import IntEnum

class AppProto(IntEnum):
    APP_UNKNOWN = 0
    APP_HTTP = 1
    APP_TLS = 2
    APP_HTTP2 = 3
    APP_GRPC = 4
    APP_WEBSOCKET = 5
    APP_DNS = 6
    APP_QUIC = 7
    APP_RTP = 8
    APP_SSH = 9
    APP_FTP = 10
    APP_SMTP = 11
    APP_NTP = 12
    APP_DHCP = 13
    APP_SNMP = 14
    APP_SIP = 15
    APP_MDNS = 16
    APP_LLMNR = 17
    APP_SSDP = 18
    APP_ICMP = 19
    APP_OTHER = 20
