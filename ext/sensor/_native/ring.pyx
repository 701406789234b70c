"""An interface's packets straight out of the kernel's ring (Linux AF_PACKET, TPACKET_V3).

See packet(7) and the kernel's Documentation/networking/packet_mmap.rst. Made from a descriptor that
`sensor.capture.live` has opened, so that privileges are needed there only.
"""
# Invariants: the block at `block` is ours (TP_STATUS_USER) while `left` > 0 or `used_up`; it is done
# with when the next batch begins, so that the packets of a batch stay where they are. Blocks done
# with are the last `finished - returned` before `block`: at most `keep_now`, and those after
# `released`. They go back to the kernel in order. No record reaches beyond its block: what does
# is counted and skipped.

from libc.errno cimport EINTR, errno
from libc.stdint cimport UINT64_MAX, int32_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memmove, memset, strerror
from sensor._native.source cimport (
    BATCH_MAX, RAW_GSO_TOLD, RAW_OUTGOING, PacketSource, RawPacket)

cdef extern from "poll.h" nogil:
    struct pollfd:
        int fd
        short events
        short revents
    int POLLIN, POLLERR
    int poll(pollfd* fds, unsigned long n, int timeout)

cdef extern from "sys/mman.h" nogil:
    void* mmap(void* at, size_t size, int protection, int flags, int fd, long offset)
    int munmap(void* at, size_t size)
    int PROT_READ, PROT_WRITE, MAP_SHARED
    void* MAP_FAILED

cdef extern from "sys/socket.h" nogil:
    int setsockopt(int fd, int level, int name, const void* value, unsigned int size)
    int getsockopt(int fd, int level, int name, void* value, unsigned int* size)
    int SOL_SOCKET, SO_ERROR

cdef extern from "arpa/inet.h" nogil:
    uint16_t htons(uint16_t port)

cdef extern from "linux/if_packet.h" nogil:
    int SOL_PACKET "263"
    int PACKET_VERSION, PACKET_RX_RING, PACKET_RESERVE, PACKET_STATISTICS, TPACKET_V3
    int PACKET_VNET_HDR
    int TP_STATUS_USER, TP_STATUS_KERNEL, TP_STATUS_VLAN_VALID, TP_STATUS_VLAN_TPID_VALID
    int PACKET_OUTGOING
    struct tpacket_req3:
        unsigned int tp_block_size
        unsigned int tp_block_nr
        unsigned int tp_frame_size
        unsigned int tp_frame_nr
        unsigned int tp_retire_blk_tov
    struct tpacket_stats_v3:
        unsigned int tp_packets
        unsigned int tp_drops
        unsigned int tp_freeze_q_cnt
    struct tpacket_hdr_variant1:
        uint32_t tp_vlan_tci
        uint16_t tp_vlan_tpid
    struct tpacket3_hdr:
        uint32_t tp_next_offset
        uint32_t tp_sec
        uint32_t tp_nsec
        uint32_t tp_snaplen
        uint32_t tp_len
        uint32_t tp_status
        uint16_t tp_mac
        tpacket_hdr_variant1 hv1
    struct tpacket_hdr_v1:
        uint32_t block_status
        uint32_t num_pkts
        uint32_t offset_to_first_pkt
        uint32_t blk_len
        uint64_t seq_num
    union tpacket_bd_header_u:
        tpacket_hdr_v1 bh1
    struct tpacket_block_desc:
        tpacket_bd_header_u hdr
    struct sockaddr_ll:
        int32_t sll_ifindex
        uint16_t sll_hatype
        uint8_t sll_pkttype

cdef extern from "linux/virtio_net.h" nogil:
    struct virtio_net_hdr:
        uint8_t gso_type
        uint16_t gso_size
    int VIRTIO_NET_HDR_GSO_NONE

cdef extern from *:
    """
    #define SENSOR_LOAD_ACQUIRE(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
    #define SENSOR_STORE_RELEASE(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
    #define SENSOR_TPACKET_ALIGN(n) TPACKET_ALIGN(n)
    """
    uint32_t SENSOR_LOAD_ACQUIRE(uint32_t* p) nogil
    void SENSOR_STORE_RELEASE(uint32_t* p, uint32_t v) nogil
    size_t SENSOR_TPACKET_ALIGN(size_t n) nogil

cdef enum:
    FRAME_SIZE = 2048          # only divides blocks here: V3 packs frames by their own length
    LOOK_MS = 20               # between two looks while poll() cannot tell
    VLAN_TAG = 4
    ROOM = 6                   # before a frame: a VLAN tag, and IP aligned behind a virtio_net_hdr
    MAC_PAIR = 12
    # ARPHRD_ of <linux/if_arp.h> and the LINKTYPE_ that its frames have
    HATYPE_ETHER = 1
    HATYPE_LOOPBACK = 772
    HATYPE_PPP = 512
    LINK_ETHERNET = 1
    LINK_RAW = 101
    LINK_PPP = 9


cdef inline uint16_t link_of(uint16_t hatype) noexcept nogil:
    # What has no link header of its own (tun, WireGuard, IP tunnels) begins with IP.
    if hatype == HATYPE_ETHER or hatype == HATYPE_LOOPBACK:
        return LINK_ETHERNET
    if hatype == HATYPE_PPP:
        return LINK_PPP
    return LINK_RAW


cdef inline uint8_t* put_vlan_back(uint8_t* frame, const tpacket3_hdr* h) noexcept nogil:
    # The kernel takes the outer tag out of the frame; PACKET_RESERVE left room to undo that.
    cdef uint16_t tpid = htons(0x8100)
    cdef uint16_t tci = htons(<uint16_t> h.hv1.tp_vlan_tci)
    if h.tp_status & TP_STATUS_VLAN_TPID_VALID:
        tpid = htons(h.hv1.tp_vlan_tpid)
    memmove(frame - VLAN_TAG, frame, MAC_PAIR)
    memcpy(frame - VLAN_TAG + MAC_PAIR, &tpid, 2)
    memcpy(frame - VLAN_TAG + MAC_PAIR + 2, &tci, 2)
    return frame - VLAN_TAG


cdef class Ring(PacketSource):
    """Packets of a packet socket, in batches of at most 512.

    fd: an AF_PACKET socket that is not bound yet (it stays the caller's). block_size: octets, a
    multiple of the page size; blocks: how many; retire_ms: how long a block may wait to be full.
    inherited: the socket has such a ring already; begin with the oldest packets in it. hold: keep
    blocks until release() says that what was in them is safe, as long as half of the ring is free.
    gso: ask how many packets offload joined in each frame (a kernel before 6.2 drops joined UDP then).

    OSError when the kernel refuses.
    """

    cdef int fd
    cdef uint8_t* memory
    cdef size_t size
    cdef uint32_t block_size
    cdef uint32_t blocks
    cdef uint32_t block              # the next, or the one we are in
    cdef uint32_t left               # packets in it that were not delivered
    cdef bint used_up                # it was delivered to its end, in the current batch
    cdef bint has_vnet_hdr           # each frame has one before it
    cdef uint64_t keep               # blocks that may wait for release()
    cdef uint64_t keep_now           # 0 while more come in between two release() than may wait
    cdef uint64_t returned           # blocks given back to the kernel
    cdef uint64_t released           # of `finished`, those that need not be kept
    cdef readonly uint64_t finished        # blocks done with
    cdef uint64_t inherited_blocks   # that were full when the ring was taken over
    cdef public uint64_t skip_before       # ns: packets of before this in them were counted already
    cdef readonly uint64_t skipped         # of them, those not handed out
    cdef tpacket3_hdr* next_packet
    cdef readonly uint64_t delivered       # packets handed out
    cdef readonly uint64_t wire_bytes      # of them, octets on the wire
    cdef readonly uint64_t doubled         # loopback: the outgoing copy, not handed out
    cdef readonly uint64_t malformed       # records that reach beyond their block
    cdef readonly uint64_t received        # kernel: packets that passed the filter, dropped or not
    cdef readonly uint64_t dropped         # kernel: no room in the ring
    cdef readonly uint64_t freezes         # kernel: times that the ring was full

    def __cinit__(self, int fd, *, uint32_t block_size=1 << 17, uint32_t blocks=256,
                  uint32_t retire_ms=100, bint inherited=False, bint hold=False,
                  bint gso=False):
        cdef int version = TPACKET_V3
        cdef int yes = 1
        cdef unsigned int size = sizeof(yes)
        cdef unsigned int reserve = ROOM
        cdef tpacket_req3 wanted
        self.fd = fd
        self.block_size = block_size
        self.blocks = blocks
        self.size = <size_t> block_size * blocks
        self.keep = self.keep_now = blocks // 2 if hold else 0
        self.released = 0 if hold else UINT64_MAX
        memset(&wanted, 0, sizeof(wanted))
        wanted.tp_block_size = block_size
        wanted.tp_block_nr = blocks
        wanted.tp_frame_size = FRAME_SIZE
        wanted.tp_frame_nr = <unsigned int> (self.size // FRAME_SIZE)
        wanted.tp_retire_blk_tov = retire_ms
        if not inherited:
            self.set(PACKET_VERSION, &version, sizeof(version))
            self.set(PACKET_RESERVE, &reserve, sizeof(reserve))
            if gso:
                self.set(PACKET_VNET_HDR, &yes, sizeof(yes))
            self.set(PACKET_RX_RING, &wanted, sizeof(wanted))
        if getsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &yes, &size):
            raise OSError(errno, strerror(errno).decode())
        self.has_vnet_hdr = yes != 0
        memory = mmap(NULL, self.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
        if memory == MAP_FAILED:
            raise OSError(errno, strerror(errno).decode())
        self.memory = <uint8_t*> memory
        if inherited:
            self.block = self.oldest()
            self.inherited_blocks = self.inherited_blocks + 1    # and the one being filled

    cdef uint32_t oldest(self) noexcept nogil:
        # The block to begin with: of those that are ours the one filled first, else the one that
        # the kernel is filling. It numbers blocks as it opens them.
        cdef uint32_t i, found = 0
        cdef uint64_t number, least = UINT64_MAX, most = 0
        for i in range(self.blocks):
            number = self.at_block(i).hdr.bh1.seq_num
            if self.is_ours(i):
                self.inherited_blocks = self.inherited_blocks + 1
                if number < least:
                    least = number
                    found = i
            elif least == UINT64_MAX and number > most:
                most = number
                found = i
        return found

    cdef int set(self, int name, const void* value, unsigned int size) except -1:
        if setsockopt(self.fd, SOL_PACKET, name, value, size):
            raise OSError(errno, strerror(errno).decode())
        return 0

    def __dealloc__(self):
        if self.memory != NULL:
            munmap(self.memory, self.size)

    def close(self) -> None:
        """Give the memory back; the socket is the caller's."""
        self.n = self.at = self.left = 0
        if self.memory != NULL:
            munmap(self.memory, self.size)
            self.memory = NULL

    def wait(self, int timeout_ms) -> bool:
        """Until there may be packets, or the time is over; True: ask next_batch().

        OSError: the interface went down (ENETDOWN) or away (ENODEV); told once.
        """
        cdef pollfd wanted
        cdef int error = 0
        cdef bint is_keeping
        cdef unsigned int size = sizeof(error)
        cdef int got, step_ms
        if self.memory == NULL:
            raise ValueError("the ring is closed")
        if self.at == self.n:
            self.done_with()
        if self.left or self.is_ours(self.block):
            return True
        wanted.fd = self.fd
        wanted.revents = 0
        with nogil:
            while True:
                # While blocks are kept POLLIN is true for them, so we look from time to time.
                is_keeping = self.finished != self.returned
                wanted.events = POLLERR if is_keeping else POLLERR | POLLIN
                step_ms = min(timeout_ms, LOOK_MS) if is_keeping else timeout_ms
                got = poll(&wanted, 1, step_ms)
                timeout_ms = timeout_ms - step_ms
                if got != 0 or timeout_ms <= 0 or self.is_ours(self.block):
                    break
        if got < 0 and errno != EINTR:
            raise OSError(errno, strerror(errno).decode())
        if got > 0 and wanted.revents & POLLERR:
            getsockopt(self.fd, SOL_SOCKET, SO_ERROR, &error, &size)
            if error:
                raise OSError(error, strerror(error).decode())
        if self.is_ours(self.block):
            return True
        if got > 0 and wanted.revents & POLLIN and self.finished == 0:
            self.block = self.oldest()     # an inherited ring that was full: the kernel is elsewhere
        return self.is_ours(self.block)

    def release(self, uint64_t finished) -> None:
        """What was in the first `finished` blocks is safe: they need not be kept."""
        if finished > self.released:
            self.keep_now = self.keep if finished - self.released <= self.keep else 0
            self.released = finished
        self.give_back()

    cdef inline void done_with(self) noexcept nogil:
        if self.used_up:
            self.block = (self.block + 1) % self.blocks
            self.finished = self.finished + 1
            self.used_up = False
            self.n = self.at = 0
            self.give_back()

    cdef inline void give_back(self) noexcept nogil:
        cdef uint32_t i
        if self.finished - self.returned > self.keep_now:
            self.keep_now = 0                # some are lost to a crash anyway: better room for more
        while self.returned < self.finished and (
                self.returned < self.released or self.keep_now == 0):
            i = <uint32_t> ((self.block + self.blocks - (self.finished - self.returned)) % self.blocks)
            SENSOR_STORE_RELEASE(&self.at_block(i).hdr.bh1.block_status, TP_STATUS_KERNEL)
            self.returned = self.returned + 1

    cdef inline tpacket_block_desc* at_block(self, uint32_t i) noexcept nogil:
        return <tpacket_block_desc*> (self.memory + <size_t> i * self.block_size)

    cdef inline bint is_ours(self, uint32_t i) noexcept nogil:
        return (SENSOR_LOAD_ACQUIRE(&self.at_block(i).hdr.bh1.block_status) & TP_STATUS_USER) != 0

    def next_batch(self) -> int:
        """Be done with the last batch's block when it is used up; fill the batch with what is there.

        0: nothing at present; wait().
        """
        cdef uint32_t n
        if self.memory == NULL:
            raise ValueError("the ring is closed")
        with nogil:
            n = self.fill()
        return n

    cdef uint32_t fill(self) noexcept nogil:
        cdef tpacket_block_desc* b
        self.n = self.at = 0
        while self.n == 0:
            self.done_with()
            if self.left == 0:
                if not self.is_ours(self.block):
                    return 0
                b = self.at_block(self.block)
                self.left = b.hdr.bh1.num_pkts
                self.next_packet = <tpacket3_hdr*> (<uint8_t*> b + b.hdr.bh1.offset_to_first_pkt)
            while self.left and self.n < BATCH_MAX:
                self.take()
            self.used_up = self.left == 0
        self.note()
        return self.n

    cdef inline void take(self) noexcept nogil:
        # The next packet of the block into the batch. (In-place operators would need the GIL in the
        # checked builds.)
        cdef tpacket3_hdr* h = self.next_packet
        cdef uint8_t* end = self.memory + <size_t> (self.block + 1) * self.block_size
        cdef uint8_t* frame
        cdef const sockaddr_ll* ll
        cdef const virtio_net_hdr* vnet
        cdef RawPacket* p = &self.packets[self.n]
        frame = <uint8_t*> h + h.tp_mac
        if <uint8_t*> h + SENSOR_TPACKET_ALIGN(sizeof(tpacket3_hdr)) + sizeof(sockaddr_ll) > end or (
                frame > end or h.tp_snaplen > <size_t> (end - frame)):
            self.malformed = self.malformed + self.left
            self.left = 0
            return
        ll = <const sockaddr_ll*> (<uint8_t*> h + SENSOR_TPACKET_ALIGN(sizeof(tpacket3_hdr)))
        self.left = self.left - 1
        self.next_packet = <tpacket3_hdr*> (<uint8_t*> h + h.tp_next_offset)
        if ll.sll_hatype == HATYPE_LOOPBACK and ll.sll_pkttype == PACKET_OUTGOING:
            self.doubled = self.doubled + 1                              # it comes in again at once
            return
        p.ts_ns = <uint64_t> h.tp_sec * 1_000_000_000 + h.tp_nsec
        if p.ts_ns < self.skip_before and self.finished < self.inherited_blocks:
            self.skipped = self.skipped + 1
            return
        p.caplen = h.tp_snaplen
        p.len = h.tp_len
        p.gso_size = 0
        p.flags = RAW_OUTGOING if ll.sll_pkttype == PACKET_OUTGOING else 0
        if self.has_vnet_hdr:                                # read before the tag is written over it
            vnet = <const virtio_net_hdr*> (frame - sizeof(virtio_net_hdr))
            p.flags = p.flags | RAW_GSO_TOLD
            if vnet.gso_type != VIRTIO_NET_HDR_GSO_NONE:
                p.gso_size = vnet.gso_size
        if h.tp_status & TP_STATUS_VLAN_VALID and h.tp_snaplen >= MAC_PAIR:
            frame = put_vlan_back(frame, h)
            p.caplen += VLAN_TAG
            p.len += VLAN_TAG
        p.data = frame
        p.link = link_of(ll.sll_hatype)
        p.interface = <uint16_t> ll.sll_ifindex
        self.delivered = self.delivered + 1
        self.wire_bytes = self.wire_bytes + p.len
        self.n = self.n + 1

    def statistics(self) -> tuple[int, int, int]:
        """(received, dropped, freezes) since the beginning, as the kernel counts them.

        `received` includes `dropped`; received - dropped is what the ring holds or held.
        """
        cdef tpacket_stats_v3 now
        cdef unsigned int size = sizeof(now)
        if getsockopt(self.fd, SOL_PACKET, PACKET_STATISTICS, &now, &size):
            raise OSError(errno, strerror(errno).decode())
        self.received += now.tp_packets
        self.dropped += now.tp_drops
        self.freezes += now.tp_freeze_q_cnt
        return self.received, self.dropped, self.freezes
