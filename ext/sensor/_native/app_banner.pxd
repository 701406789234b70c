# Protocols known by their first octets alone: which one is this, if any?
#
# Invariants: reads p[0..n) only, keeps nothing. A port is never enough: it only decides between
# two protocols whose first octets are the same, or adds to a weak signature.
from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memcmp
from sensor._native.app cimport AppProto, APP_UNKNOWN, APP_SSH, APP_FTP, APP_SMTP, APP_NTP, \
    APP_DHCP, APP_SNMP, APP_SIP, APP_SSDP
from sensor._native.span cimport sensor_be32

cdef enum:
    BANNER_LINE = 256              # how far into a greeting a hint is looked for
    DHCP_COOKIE = 0x63825363       # RFC 2131 3
    DHCP_COOKIE_AT = 236


cdef inline bint banner_starts(const uint8_t* p, uint32_t n, const char* word,
                               uint32_t word_n) noexcept nogil:
    return n >= word_n and memcmp(p, word, word_n) == 0


cdef inline bint banner_says(const uint8_t* p, uint32_t n, const char* upper,
                             uint32_t word_n) noexcept nogil:
    # Does the first line hold this word, in any case?
    cdef uint32_t i, k
    if n > BANNER_LINE:
        n = BANNER_LINE
    i = 0
    while i + word_n <= n and p[i] != 10:
        k = 0
        while k < word_n and (p[i + k] & 0xdf) == <uint8_t> upper[k]:
            k += 1
        if k == word_n:
            return True
        i += 1
    return False


cdef inline bint banner_sip(const uint8_t* p, uint32_t n) noexcept nogil:
    # RFC 3261 7: a status line, or a method and "... SIP/2.0" at the end of the first line.
    cdef uint32_t i
    if banner_starts(p, n, b"SIP/2.0 ", 8):
        return True
    if not (banner_starts(p, n, b"INVITE ", 7) or banner_starts(p, n, b"REGISTER ", 9)
            or banner_starts(p, n, b"OPTIONS ", 8) or banner_starts(p, n, b"ACK ", 4)
            or banner_starts(p, n, b"BYE ", 4) or banner_starts(p, n, b"CANCEL ", 7)
            or banner_starts(p, n, b"SUBSCRIBE ", 10) or banner_starts(p, n, b"NOTIFY ", 7)
            or banner_starts(p, n, b"MESSAGE ", 8) or banner_starts(p, n, b"PUBLISH ", 8)
            or banner_starts(p, n, b"INFO ", 5) or banner_starts(p, n, b"PRACK ", 6)
            or banner_starts(p, n, b"UPDATE ", 7) or banner_starts(p, n, b"REFER ", 6)):
        return False
    for i in range(n):
        if p[i] == 10:             # "SIP/2.0" and CR LF, or LF alone
            if i and p[i - 1] == 13:
                i -= 1
            return i >= 8 and memcmp(p + i - 8, b" SIP/2.0", 8) == 0
    return False


cdef inline AppProto banner_tcp(const uint8_t* p, uint32_t n, bint from_orig,
                                uint16_t port) noexcept nogil:
    # The first octets of one direction of a connection; `port` is the responder's.
    if banner_starts(p, n, b"SSH-", 4):
        return APP_SSH
    if n >= 4 and not from_orig and banner_starts(p, n, b"220", 3) and (p[3] == 32 or p[3] == 45):
        if banner_says(p, n, b"FTP", 3):
            return APP_FTP
        if banner_says(p, n, b"SMTP", 4):      # ESMTP too
            return APP_SMTP
        if port == 21:
            return APP_FTP
        if port == 25 or port == 587:
            return APP_SMTP
        return APP_UNKNOWN
    if banner_sip(p, n):
        return APP_SIP
    return APP_UNKNOWN


cdef inline bint banner_snmp(const uint8_t* p, uint32_t n) noexcept nogil:
    # RFC 1157, 3416, 3412: SEQUENCE { INTEGER version 0, 1 or 3, ...
    cdef uint32_t at = 2
    if n < 7 or p[0] != 0x30:
        return False
    if p[1] & 0x80:
        at += p[1] & 0x7f
        if p[1] == 0x80 or at > 6:
            return False           # indefinite, or a length of more than four octets
    if n < at + 3:
        return False
    return p[at] == 2 and p[at + 1] == 1 and (p[at + 2] <= 1 or p[at + 2] == 3)


cdef inline bint banner_ntp(const uint8_t* p, uint32_t n) noexcept nogil:
    # RFC 5905: 48 octets, with a MAC or extensions more. Mode 6 and 7 (control, private) carry no
    # timestamps and may be short.
    cdef uint32_t version, mode
    if n < 8:
        return False
    version = (p[0] >> 3) & 7
    mode = p[0] & 7
    if version < 1 or version > 4 or mode == 0:
        return False
    if mode >= 6:
        return version >= 2
    return n >= 48 and n % 4 == 0 and p[1] <= 16


cdef inline AppProto banner_udp(const uint8_t* p, uint32_t n, bint from_orig,
                                uint16_t port, uint16_t other_port) noexcept nogil:
    # A datagram; the ports in any order. DNS, mDNS, LLMNR, QUIC and RTP have their own files.
    if n == 0:
        return APP_UNKNOWN
    if port == 123 or other_port == 123:
        return APP_NTP if banner_ntp(p, n) else APP_UNKNOWN
    if n >= DHCP_COOKIE_AT + 4 and (p[0] == 1 or p[0] == 2) \
            and sensor_be32(p + DHCP_COOKIE_AT) == DHCP_COOKIE \
            and (67 <= port <= 68 or 67 <= other_port <= 68):
        return APP_DHCP
    if (161 <= port <= 162 or 161 <= other_port <= 162) and banner_snmp(p, n):
        return APP_SNMP
    if port == 1900 or other_port == 1900:
        if banner_starts(p, n, b"M-SEARCH * HTTP/1.1", 19) \
                or banner_starts(p, n, b"NOTIFY * HTTP/1.1", 17) \
                or banner_starts(p, n, b"HTTP/1.1 200", 12):
            return APP_SSDP
    elif banner_starts(p, n, b"M-SEARCH * HTTP/1.1", 19) \
            or banner_starts(p, n, b"NOTIFY * HTTP/1.1", 17):
        return APP_SSDP            # asked or announced on another port
    if banner_sip(p, n):
        return APP_SIP
    return APP_UNKNOWN
