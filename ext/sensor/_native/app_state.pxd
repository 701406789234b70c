# The recogniser state of one connection: which protocol, its parser, the name it told us.
#
# Invariants: `u` holds the struct of Flow.app_proto and is all zero when a recogniser starts;
# name[0..name_len) is what name_source said (SNI wins over Host, the first Host stays).
from libc.stdint cimport uint8_t, uint32_t
from sensor._native.app_tls cimport Tls
from sensor._native.sink cimport NAME_MAX

cdef union AppParser:
    Tls tls

cdef struct App:
    AppParser u
    uint32_t next_free
    uint8_t segments               # payload segments looked at
    uint8_t name_source
    uint8_t name_len
    uint8_t name[NAME_MAX + 1]
