// The bare limit: what one core does with a capture when nothing but the analysis of packets is
// paid for. Read, decode, half-open table, flow table, RTT and an HDR histogram; no recognisers, no
// windows, no store, no Python. The yardstick of `make bench`.
//
//   limit FILE [RUNS]    prints one line of JSON: packets, flows, RTT samples, ns per packet of each run
//
// Classic pcap, Ethernet, little-endian, microseconds or nanoseconds; input is trusted to be a
// capture that make_captures.py made, apart from lengths, which are checked.
//
// The three things that make it fast: 1-MiB reads into one buffer (which stays in the cache), batches
// of 64 so that all of a batch's table lines are fetched while it is decoded, and a SYN that costs 16
// octets of a small table until it is answered.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum {
    READ = 1 << 20,
    RECORD_MAX = 1 << 18,
    BATCH = 64,
    FLOWS = 1 << 20,     // slots
    PROBES = 16,         // slots tried before the oldest of them is evicted
    HALF_OPEN = 1 << 16,
    HIST = 17408,        // 1 us .. 60 s, 3 significant digits
    FIN = 1, SYN = 2, RST = 4, ACK = 16,
};

typedef struct {
    uint64_t key[5];     // smaller endpoint first; ports and protocol in the last word
    uint64_t ts_ns;
    uint32_t hash, len, seq, ack, payload;
    uint8_t flags, proto, dir;
} Packet;

typedef struct {
    uint64_t bytes, sample_ns;       // when the timed segment passed; 0: none is timed
    uint32_t packets, next_seq, sample_end;
} Side;

typedef struct {
    uint64_t key[5];
    uint64_t last_ns;    // 0: free
    Side side[2];
} Flow;

typedef struct {
    uint64_t tag;        // of the key; 0: free
    uint64_t syn_ns;
} HalfOpen;

static Flow *flows;
static HalfOpen *half_open;
static uint32_t hist[HIST];
static uint64_t n_packets, n_flows, n_rtt, n_evicted, n_other;
static uint64_t secret[5];

static uint16_t be16(const uint8_t *p) { uint16_t v; memcpy(&v, p, 2); return __builtin_bswap16(v); }
static uint32_t be32(const uint8_t *p) { uint32_t v; memcpy(&v, p, 4); return __builtin_bswap32(v); }
static uint64_t be64(const uint8_t *p) { uint64_t v; memcpy(&v, p, 8); return __builtin_bswap64(v); }

static uint64_t mix(uint64_t a, uint64_t b) {
    unsigned __int128 r = (unsigned __int128)a * b;
    return (uint64_t)r ^ (uint64_t)(r >> 64);
}

static void record_rtt(uint64_t ns) {
    uint64_t us = (ns + 500) / 1000;
    if (us > 60000000) us = 60000000;
    uint32_t shift = (uint32_t)(63 - __builtin_clzll(us | 2047)) - 10;
    hist[((shift + 1) << 10) + (us >> shift) - 1024]++;
    n_rtt++;
}

// 1: a TCP or UDP packet is in `d`.
static int decode(const uint8_t *p, uint32_t caplen, Packet *d) {
    const uint8_t *end = p + caplen, *ip = p + 14, *l4;
    if (caplen < 34) return 0;
    uint32_t type = be16(p + 12), total;
    for (int tags = 0; (type == 0x8100 || type == 0x88a8) && tags < 2; tags++) {
        if (end - ip < 4) return 0;
        type = be16(ip + 2);
        ip += 4;
    }
    uint64_t a0 = 0, a1, b0 = 0, b1;
    if (type == 0x0800) {
        if (end - ip < 20) return 0;
        uint32_t head = (ip[0] & 15) * 4u;
        total = be16(ip + 2);
        if (head < 20 || total < head || (be16(ip + 6) & 0x1fff)) return 0;
        d->proto = ip[9];
        a1 = 0xffff00000000ull | be32(ip + 12);
        b1 = 0xffff00000000ull | be32(ip + 16);
        l4 = ip + head;
        total -= head;
    } else if (type == 0x86dd) {
        if (end - ip < 40) return 0;
        d->proto = ip[6];
        a0 = be64(ip + 8), a1 = be64(ip + 16), b0 = be64(ip + 24), b1 = be64(ip + 32);
        l4 = ip + 40;
        total = be16(ip + 4);
    } else {
        return 0;
    }
    if (d->proto == 6) {
        if (end - l4 < 20) return 0;
        uint32_t head = (l4[12] >> 4) * 4u;
        if (head < 20 || head > total) return 0;
        d->seq = be32(l4 + 4), d->ack = be32(l4 + 8), d->flags = l4[13];
        d->payload = total - head;
    } else if (d->proto == 17) {
        if (end - l4 < 8 || total < 8) return 0;
        d->flags = 0, d->payload = total - 8;
    } else {
        return 0;
    }
    uint64_t from = be16(l4), to = be16(l4 + 2);
    int swap = a0 != b0 ? a0 > b0 : a1 != b1 ? a1 > b1 : from > to;
    d->dir = (uint8_t)swap;
    d->key[0] = swap ? b0 : a0, d->key[1] = swap ? b1 : a1;
    d->key[2] = swap ? a0 : b0, d->key[3] = swap ? a1 : b1;
    d->key[4] = (swap ? to << 48 | from << 32 : from << 48 | to << 32) | d->proto;
    uint64_t h = mix(d->key[0] ^ secret[0], d->key[1] ^ secret[1]);
    h ^= mix(d->key[2] ^ secret[2], d->key[3] ^ secret[3]);
    h = mix(h ^ d->key[4], secret[4]);
    d->hash = (uint32_t)(h ^ h >> 32);
    return 1;
}

static HalfOpen *half_open_of(const Packet *d, uint64_t *tag) {
    *tag = mix(d->key[1] ^ d->key[4], d->key[3] ^ secret[0]) | 1;
    return &half_open[d->hash % HALF_OPEN];
}

static Flow *find(const Packet *d, int create) {
    Flow *oldest = NULL;
    for (uint32_t i = 0; i < PROBES; i++) {
        Flow *f = &flows[(d->hash + i) % FLOWS];
        if (!f->last_ns) {
            oldest = f;
            break;
        }
        if (!memcmp(f->key, d->key, sizeof f->key)) return f;
        if (!oldest || f->last_ns < oldest->last_ns) oldest = f;
    }
    if (!create) return NULL;
    n_evicted += oldest->last_ns != 0;
    memset(oldest, 0, sizeof *oldest);
    memcpy(oldest->key, d->key, sizeof oldest->key);
    n_flows++;
    return oldest;
}

static void update(const Packet *d) {
    uint64_t syn_ns = 0;
    if (d->proto == 6 && (d->flags & (SYN | ACK | RST)) == SYN) {
        uint64_t tag;
        HalfOpen *h = half_open_of(d, &tag);
        if (h->tag != tag) *h = (HalfOpen){tag, d->ts_ns};   // a repeated SYN keeps the first time
        return;
    }
    if (d->proto == 6 && (d->flags & (SYN | ACK)) == (SYN | ACK)) {
        uint64_t tag;
        HalfOpen *h = half_open_of(d, &tag);
        if (h->tag == tag) syn_ns = h->syn_ns, h->tag = 0;
    }
    Flow *f = find(d, 1);
    Side *me = &f->side[d->dir], *peer = &f->side[!d->dir];
    f->last_ns = d->ts_ns;
    me->bytes += d->len;
    me->packets++;
    if (d->proto != 6) return;
    if (syn_ns) record_rtt(d->ts_ns - syn_ns);
    if ((d->flags & ACK) && peer->sample_ns && (int32_t)(d->ack - peer->sample_end) >= 0) {
        if (d->ack == peer->sample_end) record_rtt(d->ts_ns - peer->sample_ns);
        peer->sample_ns = 0;
    }
    uint32_t end = d->seq + d->payload + !!(d->flags & (SYN | FIN));
    if (end == d->seq) return;
    if (me->next_seq && (int32_t)(d->seq - me->next_seq) < 0) {
        me->sample_ns = 0;                                   // sent again: Karn
    } else if (!me->sample_ns) {
        me->sample_ns = d->ts_ns, me->sample_end = end;
    }
    if (!me->next_seq || (int32_t)(end - me->next_seq) > 0) me->next_seq = end;
}

static void consume(int fd) {
    static uint8_t buffer[RECORD_MAX + READ];
    static Packet batch[BATCH];
    uint8_t *at = buffer, *end = buffer;
    int n = 0, nano = 0, head = 1;
    for (;;) {
        uint32_t caplen = 0;
        if (end - at >= 16) memcpy(&caplen, at + 8, 4);
        if (head || end - at < 16 || end - at < 16 + (int64_t)caplen) {
            if (caplen > RECORD_MAX - 16) return;
            memmove(buffer, at, (size_t)(end - at));
            end = buffer + (end - at);
            at = buffer;
            ssize_t got = read(fd, end, READ);
            if (got <= 0) break;
            end += got;
            if (head) {
                uint32_t magic;
                if (got < 24) return;
                memcpy(&magic, at, 4);
                nano = magic == 0xa1b23c4d;
                at += 24, head = 0;
            }
            continue;
        }
        uint32_t sec, sub;
        Packet *d = &batch[n];
        memcpy(&sec, at, 4), memcpy(&sub, at + 4, 4), memcpy(&d->len, at + 12, 4);
        d->ts_ns = sec * 1000000000ull + (nano ? sub : sub * 1000ull);
        n_packets++;
        if (decode(at + 16, caplen, d)) {
            const char *line = (const char *)&flows[d->hash % FLOWS];
            __builtin_prefetch(line, 1);
            __builtin_prefetch(line + 64, 1);
            n++;
        } else {
            n_other++;
        }
        at += 16 + caplen;
        if (n == BATCH) {
            for (int i = 0; i < n; i++) update(&batch[i]);
            n = 0;
        }
    }
    for (int i = 0; i < n; i++) update(&batch[i]);
}

static void *zeroed(size_t size) {
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) exit(1);
#ifdef MADV_HUGEPAGE
    madvise(p, size, MADV_HUGEPAGE);
#endif
    return p;
}

int main(int argc, char **argv) {
    if (argc < 2) return 2;
    int runs = argc > 2 ? atoi(argv[2]) : 1, fd = open(argv[1], O_RDONLY);
    if (fd < 0) return perror(argv[1]), 66;
    for (int i = 0; i < 5; i++) secret[i] = 0x9e3779b97f4a7c15ull * (uint64_t)(2 * i + 3);
    flows = zeroed(sizeof(Flow) * FLOWS);
    half_open = zeroed(sizeof(HalfOpen) * HALF_OPEN);
    printf("{\"ns_per_packet\": [");
    for (int run = 0; run < runs; run++) {
        memset(flows, 0, sizeof(Flow) * FLOWS);              // also touches every page
        memset(half_open, 0, sizeof(HalfOpen) * HALF_OPEN);
        n_packets = n_flows = n_rtt = n_evicted = n_other = 0;
        lseek(fd, 0, SEEK_SET);
        struct timespec a, b;
        clock_gettime(CLOCK_MONOTONIC, &a);
        consume(fd);
        clock_gettime(CLOCK_MONOTONIC, &b);
        double ns = (double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec);
        printf("%s%.2f", run ? ", " : "", n_packets ? ns / (double)n_packets : 0.0);
    }
    printf("], \"packets\": %llu, \"flows\": %llu, \"rtt_samples\": %llu, \"evicted\": %llu, "
           "\"other\": %llu}\n",
           (unsigned long long)n_packets, (unsigned long long)n_flows, (unsigned long long)n_rtt,
           (unsigned long long)n_evicted, (unsigned long long)n_other);
    return 0;
}
