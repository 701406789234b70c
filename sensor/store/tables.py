# ruff: noqa: E501 - a column and its meaning are one line
"""The tables in SQLite's words, by the schema that brought them. The comments are the reference:
SQLite keeps them with the schema, `.schema` shows them and docs/schema.md is made from them.

What is observed is append-only and numbered by the one `seq` of the database; an event is one row
that gets a new number whenever it changes; `metrics_hourly`, `agents`, `detection_state` and the
topology are kept up to date.
A migration that has shipped is never edited: what changes comes as a further migration.
"""

APPLICATION_ID = 0x53454E53  # "SENS": tells whose database it is
CURRENT = 7  # user_version after the last migration

METRICS = """
CREATE TABLE network_performance_metrics ( -- What one agent had with one endpoint in one window; the specification's columns, then ours.
    id TEXT PRIMARY KEY, -- UUIDv5 of agent_id, boot_id and seq
    agent_id TEXT NOT NULL, -- UUID of the agent whose traffic it is
    endpoint TEXT NOT NULL, -- name:port/proto of the responder (SNI, else Host, else DNS answer, else address); __other__ adds up the rest
    timestamp INTEGER NOT NULL, -- start of the window, us since 1970 UTC, packet time
    latency_avg_us INTEGER, -- mean network latency; NULL without samples
    latency_p50_us INTEGER, -- median, read from latency_hist
    latency_p95_us INTEGER, -- 95th percentile, read from latency_hist
    latency_p99_us INTEGER, -- 99th percentile, read from latency_hist
    jitter_us INTEGER, -- mean of |RTT(i) - RTT(i-1)| within one flow and side; NULL when no flow has two samples
    packets_sent INTEGER, -- packets by the agent
    packets_received INTEGER, -- packets to the agent
    packets_lost INTEGER, -- TCP segments lost on the network, both directions; NULL where it cannot be known
    packets_retransmitted INTEGER, -- TCP segments sent again
    bytes_sent INTEGER, -- octets on the wire by the agent
    bytes_received INTEGER, -- octets on the wire to the agent
    bandwidth_usage_percent REAL, -- busier direction over the capacity of the link; NULL when that is not known
    connections_active INTEGER, -- distinct connections with a packet in the window
    connections_new INTEGER, -- connections begun
    connections_closed INTEGER, -- connections ended
    connections_failed INTEGER, -- refused, unanswered or unreachable
    timeout_errors INTEGER, -- connections without an answer, and stalled ones
    connection_reset_errors INTEGER, -- resets that ended an established connection
    dns_resolution_errors INTEGER, -- answers with an error other than NXDOMAIN, and queries without an answer
    ssl_handshake_errors INTEGER, -- fatal TLS alerts in clear, and hellos without an answer
    http_requests INTEGER, -- cleartext HTTP/1 requests
    https_requests INTEGER, -- turns of TLS application data: an estimate of requests, see https_requests_estimated
    websocket_frames INTEGER, -- cleartext WebSocket frames
    grpc_calls INTEGER, -- cleartext gRPC calls
    created_at INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)), -- when the row was made, us since 1970 UTC; a replay has the window's end
    seq INTEGER NOT NULL, -- number of the row in this database, ascending over all tables
    boot_id TEXT NOT NULL, -- run of the agent: agents.boot_id; with agent_id and seq the key for shipping
    network_id TEXT, -- the attachment: interface and local prefixes
    workspace_id TEXT, -- group of agents
    region TEXT, -- region of the endpoint's address; NULL for the agent's own services and __other__
    window_s INTEGER NOT NULL, -- length of the window in seconds
    quality TEXT NOT NULL CHECK (quality IN ('ok', 'degraded', 'blind')), -- ok, degraded (something was missed) or blind (too much was)
    role TEXT, -- originator, responder, internal or external: what the agent was towards the endpoint
    app TEXT, -- application protocol recognised
    name_source TEXT, -- where the endpoint's name is from: sni, host or dns; NULL when it is an address
    latency_hist BLOB, -- HDR histogram of network latency, V2, compressed, base64: HdrHistogram.decode() of any language; merge these, never percentiles
    latency_count INTEGER NOT NULL, -- samples in latency_hist
    latency_sum_us INTEGER, -- sum of the samples, for exact means
    latency_min_us INTEGER, -- shortest sample
    latency_max_us INTEGER, -- longest sample
    jitter_count INTEGER NOT NULL, -- differences that jitter_us is the mean of
    jitter_sum_us INTEGER, -- their sum
    packets_lost_upstream INTEGER, -- lost before the capture point
    packets_lost_downstream INTEGER, -- lost behind it
    spurious_retransmissions INTEGER, -- of packets_retransmitted, already acknowledged when sent again
    out_of_order INTEGER, -- TCP segments that came late but were not lost
    zero_windows INTEGER, -- times that a receiver closed its window
    capture_gaps INTEGER, -- ACKs for octets never captured: our loss, not the network's
    data_segments INTEGER, -- TCP segments with data
    acks INTEGER, -- TCP segments with an acknowledgement
    handshakes INTEGER, -- TCP handshakes seen whole
    connections_one_way INTEGER, -- TCP connections of which one direction only was seen
    http_responses INTEGER, -- cleartext HTTP/1 responses
    http_4xx INTEGER, -- of them with a status of 400 to 499
    http_5xx INTEGER, -- of them with a status of 500 to 599
    http2_requests INTEGER, -- cleartext HTTP/2 requests
    https_requests_estimated INTEGER NOT NULL, -- 1: https_requests is an estimate
    tls_client_hellos INTEGER, -- TLS ClientHellos
    tls_fatal_alerts INTEGER, -- fatal TLS alerts in clear
    dns_queries INTEGER, -- DNS queries
    dns_responses INTEGER, -- DNS responses
    dns_nxdomain INTEGER, -- of them NXDOMAIN: often normal
    dns_servfail INTEGER, -- of them SERVFAIL
    dns_unanswered INTEGER, -- DNS queries without an answer
    quic_connections INTEGER, -- QUIC connections
    rtp_packets INTEGER, -- RTP packets
    rtp_lost INTEGER -- RTP packets missing by sequence number
) STRICT;
CREATE INDEX idx_network_agent ON network_performance_metrics(agent_id, timestamp);
CREATE INDEX idx_network_latency ON network_performance_metrics(latency_p99_us DESC) WHERE latency_p99_us IS NOT NULL;
CREATE INDEX idx_network_errors ON network_performance_metrics(timeout_errors, connection_reset_errors) WHERE timeout_errors > 0 OR connection_reset_errors > 0;
CREATE UNIQUE INDEX idx_network_seq ON network_performance_metrics(seq);
"""

HOURS = """
CREATE TABLE metrics_hourly ( -- The same added up by hour, latency merged exactly: kept 400 days, and what the views of latency read.
    agent_id TEXT NOT NULL, -- UUID of the agent
    boot_id TEXT NOT NULL, -- run of the agent
    endpoint TEXT NOT NULL, -- as in network_performance_metrics
    hour INTEGER NOT NULL, -- start of the hour, us since 1970 UTC, packet time
    windows INTEGER NOT NULL, -- windows added up
    latency_count INTEGER NOT NULL, -- samples of network latency
    latency_sum_us INTEGER NOT NULL, -- their sum
    latency_min_us INTEGER, -- shortest
    latency_p50_us INTEGER, -- percentiles of the merged histogram
    latency_p95_us INTEGER, -- likewise
    latency_p99_us INTEGER, -- likewise
    latency_max_us INTEGER, -- longest
    latency_slots TEXT NOT NULL, -- the merged histogram as JSON {largest us of the HDR slot: samples}: SQL adds these up over any period
    jitter_count INTEGER NOT NULL, -- RTT differences within one flow
    jitter_sum_us INTEGER NOT NULL, -- their sum
    packets_sent INTEGER NOT NULL, -- packets by the agent
    packets_received INTEGER NOT NULL, -- packets to the agent
    packets_lost INTEGER NOT NULL, -- TCP segments lost, in the windows where that is known
    data_segments INTEGER NOT NULL, -- TCP segments with data in these windows: lost / (lost + these) is the loss rate
    packets_retransmitted INTEGER NOT NULL, -- TCP segments sent again
    bytes_sent INTEGER NOT NULL, -- octets on the wire by the agent
    bytes_received INTEGER NOT NULL, -- octets on the wire to the agent
    connections_new INTEGER NOT NULL, -- connections begun
    connections_closed INTEGER NOT NULL, -- connections ended
    connections_failed INTEGER NOT NULL, -- connections that came to nothing
    timeout_errors INTEGER NOT NULL, -- without an answer, or stalled
    connection_reset_errors INTEGER NOT NULL, -- ended by a reset
    dns_resolution_errors INTEGER NOT NULL, -- DNS errors
    ssl_handshake_errors INTEGER NOT NULL, -- TLS handshakes that failed
    PRIMARY KEY (agent_id, endpoint, hour, boot_id)
) STRICT, WITHOUT ROWID;
"""

EVENTS = """
CREATE TABLE network_security_events ( -- What the rules found; the specification's columns, then ours.
    id TEXT PRIMARY KEY, -- UUID of the event
    agent_id TEXT NOT NULL, -- UUID of the agent
    event_type TEXT, -- port_scan, dos_attack, intrusion_attempt, ...
    severity TEXT, -- low, medium, high or critical
    source_ip TEXT, -- where it comes from; NULL when there are many
    destination_ip TEXT, -- whom it is against
    source_port INTEGER, -- NULL when there are many
    destination_port INTEGER, -- NULL when there are many
    protocol TEXT, -- tcp, udp, icmp, ...
    packets_count INTEGER, -- packets that took part
    bytes_transferred INTEGER, -- octets that took part
    duration_ms INTEGER, -- from the first packet of it to the last
    detection_method TEXT, -- threshold, baseline, sketch, ...
    confidence_score REAL, -- 0..1
    false_positive_probability REAL, -- 0..1, measured on a corpus; NULL when it was not
    action_taken TEXT, -- what was really done: none, unless the operator asked for more
    blocked INTEGER, -- 1 only when it was really blocked
    detected_at INTEGER NOT NULL, -- us since 1970 UTC, packet time
    resolved_at INTEGER, -- end of it; NULL while it goes on
    seq INTEGER NOT NULL, -- number of the row in this database
    boot_id TEXT NOT NULL, -- run of the agent
    attack_class TEXT, -- id of the class: syn_flood, ...
    rule_id TEXT, -- the rule that fired
    title TEXT, -- one line for people
    status TEXT, -- open, updated or resolved
    started_at INTEGER, -- first packet of it, us since 1970 UTC
    updated_at INTEGER, -- newest packet of it
    evidence TEXT CHECK (evidence IS NULL OR json_valid(evidence)), -- JSON: the measurements that made the rule fire
    mitigation TEXT -- what to do about it
) STRICT;
CREATE INDEX idx_security_events_agent ON network_security_events(agent_id, detected_at);
CREATE INDEX idx_security_events_severity ON network_security_events(severity, event_type);
CREATE UNIQUE INDEX idx_security_events_seq ON network_security_events(seq);
"""

CONNECTIONS = """
CREATE TABLE connections ( -- One row per finished connection, as Zeek's conn.log has it, and more.
    seq INTEGER PRIMARY KEY, -- number of the row in this database
    agent_id TEXT NOT NULL, -- UUID of the agent
    boot_id TEXT NOT NULL, -- run of the agent
    community_id TEXT NOT NULL, -- Community ID version 1, seed 0: the same in Zeek, Suricata, Arkime, ...
    started_at INTEGER NOT NULL, -- first packet, us since 1970 UTC
    ended_at INTEGER NOT NULL, -- last packet
    duration_us INTEGER NOT NULL, -- between the two
    protocol TEXT NOT NULL, -- tcp, udp, icmp, icmp6, sctp or ip<number>
    orig_ip TEXT NOT NULL, -- originator: who sent the first packet, or proved to be the client
    orig_port INTEGER NOT NULL, -- its port; ICMP: the type
    resp_ip TEXT NOT NULL, -- responder
    resp_port INTEGER NOT NULL, -- its port; ICMP: the type of the answer, or the code
    service TEXT, -- http, ssl, dns, quic, ssh, ...: recognised by content; NULL when it was not
    endpoint TEXT NOT NULL, -- name:port/proto of the responder
    conn_state TEXT NOT NULL, -- Zeek's: S0 no answer, SF normal, REJ refused, RSTO/RSTR aborted, OTH picked up midstream, ...
    history TEXT NOT NULL, -- Zeek's letters, capitals by the originator: S SYN, h SYN-ACK, A ACK, D data, F FIN, R RST, T retransmission, ^ turned, ...
    end_reason TEXT, -- IPFIX: idle_timeout, active_timeout, end_detected, forced_end, lack_of_resources
    orig_packets INTEGER NOT NULL, -- packets by the originator
    orig_bytes INTEGER NOT NULL, -- payload octets by the originator (TCP: by sequence numbers)
    resp_packets INTEGER NOT NULL, -- packets by the responder
    resp_bytes INTEGER NOT NULL, -- payload octets by the responder
    handshake_us INTEGER, -- SYN to the ACK that completes the handshake; NULL when not seen whole
    rtt_min_us INTEGER, -- shortest network round trip; NULL without samples
    retransmissions INTEGER NOT NULL, -- segments sent again
    orig_wire_bytes INTEGER NOT NULL, -- octets on the wire by the originator
    resp_wire_bytes INTEGER NOT NULL, -- octets on the wire by the responder
    missed_bytes INTEGER NOT NULL, -- payload that was acknowledged but never captured
    lost_upstream INTEGER NOT NULL, -- segments lost before the capture point
    lost_downstream INTEGER NOT NULL, -- segments lost behind it
    out_of_order INTEGER NOT NULL, -- segments that came late but were not lost
    zero_windows INTEGER NOT NULL, -- times that a receiver closed its window
    handshake_responder_us INTEGER, -- SYN to SYN-ACK: capture point to responder and back
    handshake_originator_us INTEGER, -- SYN-ACK to ACK: capture point to originator and back
    server_name TEXT, -- SNI or Host that the connection itself carried
    name_source TEXT, -- where the endpoint's name is from: sni, host or dns
    vlan INTEGER, -- outermost VLAN id
    local_orig INTEGER, -- 1: the originator is local; NULL when the local side is not known
    local_resp INTEGER, -- 1: the responder is local
    midstream INTEGER NOT NULL, -- 1: its beginning was not captured
    tunnelled INTEGER NOT NULL, -- 1: inside a tunnel
    fragmented INTEGER NOT NULL, -- 1: has IP fragments
    truncated INTEGER NOT NULL, -- 1: the capture cut its packets
    offloaded INTEGER NOT NULL -- 1: has super-segments made by the network card's offload
) STRICT;
CREATE INDEX idx_connections_agent ON connections(agent_id, ended_at);
CREATE INDEX idx_connections_failed ON connections(conn_state, endpoint) WHERE conn_state IN ('S0', 'REJ', 'RSTOS0', 'SH');
"""

TRAFFIC = """
CREATE TABLE bandwidth_seconds ( -- One agent and one second with traffic, octets on the wire; add up rows of the same second.
    seq INTEGER PRIMARY KEY, -- number of the row in this database
    agent_id TEXT NOT NULL, -- UUID of the agent
    boot_id TEXT NOT NULL, -- run of the agent
    timestamp INTEGER NOT NULL, -- start of the second, us since 1970 UTC, packet time
    bytes_in INTEGER NOT NULL, -- to the local side
    bytes_out INTEGER NOT NULL, -- from the local side
    bytes_other INTEGER NOT NULL, -- both or neither side local, or no local side known
    packets_in INTEGER NOT NULL, -- packets to the local side
    packets_out INTEGER NOT NULL, -- packets from the local side
    packets_other INTEGER NOT NULL, -- other packets
    bins_in TEXT NOT NULL, -- JSON array of ten: octets of each 100 ms
    bins_out TEXT NOT NULL, -- likewise
    bins_other TEXT NOT NULL -- likewise
) STRICT;
CREATE INDEX idx_bandwidth_agent ON bandwidth_seconds(agent_id, timestamp);

CREATE TABLE protocol_mix ( -- One agent, window and protocol; the leaves are a partition: they add up to all traffic.
    seq INTEGER PRIMARY KEY, -- number of the row in this database
    agent_id TEXT NOT NULL, -- UUID of the agent
    boot_id TEXT NOT NULL, -- run of the agent
    timestamp INTEGER NOT NULL, -- start of the window, us since 1970 UTC
    window_s INTEGER NOT NULL, -- its length in seconds
    leaf TEXT NOT NULL, -- http, https, websocket, grpc, quic, dns, other_tcp, other_udp, icmp or other
    bytes INTEGER NOT NULL, -- octets on the wire
    packets INTEGER NOT NULL, -- packets
    connections INTEGER NOT NULL -- connections begun
) STRICT;
CREATE INDEX idx_protocol_mix_agent ON protocol_mix(agent_id, timestamp);

CREATE TABLE latency_histograms ( -- One agent, window and kind of latency, all endpoints together.
    seq INTEGER PRIMARY KEY, -- number of the row in this database
    agent_id TEXT NOT NULL, -- UUID of the agent
    boot_id TEXT NOT NULL, -- run of the agent
    timestamp INTEGER NOT NULL, -- start of the window, us since 1970 UTC
    window_s INTEGER NOT NULL, -- its length in seconds
    kind TEXT NOT NULL, -- tcp_handshake, tcp_rtt, dns_response, http_response, ...
    count INTEGER NOT NULL, -- samples
    min_us INTEGER, -- shortest
    mean_us REAL, -- exact mean
    p50_us INTEGER, -- percentiles of this window
    p95_us INTEGER, -- likewise
    p99_us INTEGER, -- likewise
    max_us INTEGER, -- longest
    histogram BLOB NOT NULL -- HDR histogram, 3 digits, V2, compressed, base64: merge these, never percentiles
) STRICT;
CREATE INDEX idx_latency_histograms_agent ON latency_histograms(agent_id, timestamp);

CREATE TABLE regional_metrics ( -- One agent, window and region of the remote side.
    seq INTEGER PRIMARY KEY, -- number of the row in this database
    agent_id TEXT NOT NULL, -- UUID of the agent
    boot_id TEXT NOT NULL, -- run of the agent
    timestamp INTEGER NOT NULL, -- start of the window, us since 1970 UTC
    window_s INTEGER NOT NULL, -- its length in seconds
    region TEXT NOT NULL, -- ISO 3166-1 code of the registration, private or unknown
    bytes INTEGER NOT NULL, -- octets on the wire, both directions
    packets INTEGER NOT NULL, -- packets
    connections INTEGER NOT NULL, -- connections begun
    errors INTEGER NOT NULL, -- of them failed
    latency_avg_us INTEGER, -- mean network latency; NULL without samples
    latency_count INTEGER NOT NULL -- samples
) STRICT;
CREATE INDEX idx_regional_metrics_agent ON regional_metrics(agent_id, timestamp);

CREATE TABLE capture_health ( -- How much of one window's traffic was really seen.
    seq INTEGER PRIMARY KEY, -- number of the row in this database
    agent_id TEXT NOT NULL, -- UUID of the agent
    boot_id TEXT NOT NULL, -- run of the agent
    timestamp INTEGER NOT NULL, -- start of the window, us since 1970 UTC
    window_s INTEGER NOT NULL, -- its length in seconds
    quality TEXT NOT NULL CHECK (quality IN ('ok', 'degraded', 'blind')), -- the flag of every row of the window
    received INTEGER NOT NULL, -- packets that reached us
    dropped INTEGER, -- packets the kernel dropped because we were slow; NULL for a savefile, which cannot know
    interface_dropped INTEGER, -- packets the interface or its driver dropped; NULL when not known
    truncated INTEGER NOT NULL, -- packets that the capture ends within the headers of
    malformed INTEGER NOT NULL, -- packets that contradict themselves
    unsupported INTEGER NOT NULL, -- packets in a format we do not know
    flows_evicted INTEGER NOT NULL, -- connections ended early for want of room
    flows_refused INTEGER NOT NULL, -- connections not followed for want of room
    half_open_evicted INTEGER NOT NULL, -- attempts forgotten for want of room
    endpoints_folded INTEGER NOT NULL, -- connections counted under __other__ for want of room
    rows_lost INTEGER NOT NULL, -- connections that ended without a row
    ack_gap_ratio REAL, -- ACKs for octets never captured, of all ACKs; NULL without ACKs
    anomalies TEXT NOT NULL CHECK (json_valid(anomalies)) -- JSON {name: count} of decode anomalies
) STRICT;
CREATE INDEX idx_capture_health_agent ON capture_health(agent_id, timestamp);
"""

PLACES = """
CREATE TABLE agents ( -- One row per run of an agent: a boot of the daemon, or a replay.
    agent_id TEXT NOT NULL, -- UUID of the agent
    boot_id TEXT NOT NULL, -- UUID of the run
    source TEXT NOT NULL CHECK (source IN ('live', 'replay')), -- live or replay
    workspace_id TEXT, -- group of agents
    network_id TEXT, -- the attachment: interface and local prefixes
    region TEXT, -- region of the local side
    hostname TEXT, -- name of the host; NULL for a replay
    version TEXT NOT NULL, -- of the sensor
    local_prefixes TEXT NOT NULL CHECK (json_valid(local_prefixes)), -- JSON array of the CIDRs that are the agent's own
    local_source TEXT NOT NULL, -- given, learned_host, private_ranges or unknown
    first_packet INTEGER, -- us since 1970 UTC; NULL without packets
    last_packet INTEGER, -- newest packet so far: what retention counts from
    PRIMARY KEY (agent_id, boot_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE geographic_regions ( -- The operator's own regions; the longest prefix wins.
    ip_range TEXT PRIMARY KEY, -- CIDR
    region TEXT NOT NULL, -- its name
    first_address BLOB NOT NULL, -- 16 octets, IPv4 as ::ffff:a.b.c.d: these sort
    last_address BLOB NOT NULL, -- likewise
    prefix_length INTEGER NOT NULL -- of 128
) STRICT;
CREATE INDEX idx_geographic_regions_first ON geographic_regions(first_address, prefix_length DESC);

CREATE TABLE topology_nodes ( -- Who is there, by the evidence of the packets.
    agent_id TEXT NOT NULL, -- UUID of the agent that saw it
    node TEXT NOT NULL, -- stable name: address, MAC or both
    ip TEXT, -- address
    mac TEXT, -- hardware address
    name TEXT, -- observed name
    role TEXT, -- host, router, gateway, switch or service
    vlan INTEGER, -- VLAN it was seen in
    hops INTEGER, -- least number of hops by TTL
    evidence TEXT NOT NULL CHECK (json_valid(evidence)), -- JSON array: how we know
    confidence REAL, -- 0..1
    first_seen INTEGER NOT NULL, -- us since 1970 UTC, packet time
    last_seen INTEGER NOT NULL, -- likewise
    PRIMARY KEY (agent_id, node)
) STRICT, WITHOUT ROWID;

CREATE TABLE topology_links ( -- Who is joined to whom, by the evidence of the packets.
    agent_id TEXT NOT NULL, -- UUID of the agent that saw it
    source TEXT NOT NULL, -- topology_nodes.node
    target TEXT NOT NULL, -- topology_nodes.node
    kind TEXT NOT NULL, -- l2, l3 or service
    bytes INTEGER NOT NULL DEFAULT 0, -- octets on the wire
    packets INTEGER NOT NULL DEFAULT 0, -- packets
    connections INTEGER NOT NULL DEFAULT 0, -- connections begun
    errors INTEGER NOT NULL DEFAULT 0, -- of them failed
    latency_avg_us INTEGER, -- mean network latency
    evidence TEXT NOT NULL CHECK (json_valid(evidence)), -- JSON array: how we know
    confidence REAL, -- 0..1
    first_seen INTEGER NOT NULL, -- us since 1970 UTC, packet time
    last_seen INTEGER NOT NULL, -- likewise
    PRIMARY KEY (agent_id, source, target, kind)
) STRICT, WITHOUT ROWID;

CREATE TABLE cdn_requests ( -- Requests read from the logs of a CDN; packets alone do not tell hits.
    seq INTEGER PRIMARY KEY, -- number of the row in this database
    agent_id TEXT NOT NULL, -- UUID of the agent it was given to
    timestamp INTEGER NOT NULL, -- of the request, us since 1970 UTC
    provider TEXT NOT NULL, -- cloudflare, cloudfront, fastly, ...
    edge_location TEXT, -- point of presence
    region TEXT, -- region of the client
    host TEXT, -- name asked for
    status INTEGER, -- HTTP status
    cache_status TEXT, -- hit, miss, bypass or unknown
    cache_detail TEXT, -- the provider's own word
    origin_shield INTEGER, -- 1: a shield had it; NULL when the log does not say
    bytes INTEGER, -- sent to the client
    origin_bytes INTEGER, -- fetched from the origin
    response_us INTEGER, -- time to answer
    first_byte_us INTEGER -- time to the first octet
) STRICT;
CREATE INDEX idx_cdn_requests_agent ON cdn_requests(agent_id, timestamp);

CREATE TABLE shipping_cursors ( -- How far each destination has acknowledged.
    destination TEXT NOT NULL, -- name or URL without credentials
    table_name TEXT NOT NULL, -- which table
    acknowledged_seq INTEGER NOT NULL, -- all rows up to this one arrived
    updated_at INTEGER NOT NULL, -- us since 1970 UTC, wall clock
    last_error TEXT, -- newest failure, one line
    PRIMARY KEY (destination, table_name)
) STRICT, WITHOUT ROWID;

CREATE TABLE store_counters ( -- What the store remembers about itself.
    name TEXT PRIMARY KEY, -- next_seq; rows_expired (by age); rows_evicted (by size)
    value INTEGER NOT NULL -- the count
) STRICT, WITHOUT ROWID;
"""

SCHEMA_1 = METRICS + HOURS + EVENTS + CONNECTIONS + TRAFFIC + PLACES

# ---- schema 2: an event's one row changes until it is resolved; detection survives a restart

EVENTS_2 = """
CREATE TABLE network_security_events ( -- What the rules found, one row per event, kept up to date until it is resolved; the specification's columns, then ours.
    id TEXT PRIMARY KEY, -- UUIDv5 of the agent, the rule, its key and started_at: replaying again gives the same
    agent_id TEXT NOT NULL, -- UUID of the agent
    event_type TEXT, -- dos_attack, port_scan, intrusion_attempt, spoofing, data_exfiltration, ...
    severity TEXT, -- info, low, medium, high or critical: the harm, not how sure it is
    source_ip TEXT, -- where most of it comes from; NULL when no source has half of it, or they are forged
    destination_ip TEXT, -- whom it is against
    source_port INTEGER, -- NULL when there are many
    destination_port INTEGER, -- NULL when there are many
    protocol TEXT, -- tcp, udp, icmp, ...
    packets_count INTEGER, -- packets that took part
    bytes_transferred INTEGER, -- octets that took part
    duration_ms INTEGER, -- from started_at to the end of the newest window with a hit
    detection_method TEXT, -- nb_tail, cusum, trw, threshold, ...; joined by + when several agree
    confidence_score REAL, -- 0..1: how probably it is this attack
    false_positive_probability REAL, -- 0..1: the rule's own rate on benign traffic, events per key and window (upper end of the 95 % interval); NULL when it was not measured
    action_taken TEXT, -- what was really done: none, unless the operator asked for more
    blocked INTEGER, -- 1 only when it was really blocked
    detected_at INTEGER NOT NULL, -- end of the window that made it an event, us since 1970 UTC, packet time
    resolved_at INTEGER, -- end of the last window with a hit; NULL while it goes on
    seq INTEGER NOT NULL, -- number in this database, a new one whenever the row changes: who reads on from the last number sees every change
    boot_id TEXT NOT NULL, -- run of the agent that wrote it last
    attack_class TEXT, -- id of the class: syn_flood, ...
    rule_id TEXT, -- the rule that fired
    title TEXT, -- one line for people
    status TEXT, -- open or resolved
    started_at INTEGER, -- start of the first window with a hit, us since 1970 UTC
    updated_at INTEGER, -- end of the newest window in which it went on
    evidence TEXT CHECK (evidence IS NULL OR json_valid(evidence)), -- JSON: the measurements that made the rule fire
    mitigation TEXT -- what to do about it
) STRICT;
CREATE INDEX idx_security_events_agent ON network_security_events(agent_id, detected_at);
CREATE INDEX idx_security_events_severity ON network_security_events(severity, event_type);
CREATE INDEX idx_security_events_time ON network_security_events(detected_at);
CREATE UNIQUE INDEX idx_security_events_seq ON network_security_events(seq);
"""

DETECTION = """
CREATE TABLE detection_state ( -- What detection knows of an agent: baselines and open events, so that a restart neither learns anew nor learns an attack.
    agent_id TEXT PRIMARY KEY, -- UUID of the agent
    saved_at INTEGER NOT NULL, -- us since 1970 UTC, packet time
    state TEXT NOT NULL CHECK (json_valid(state)) -- JSON, at most 4 MiB
) STRICT;
"""

# ---- schema 3: shipping: a retry is the batch that it was, and what was never shipped is named

SHIPPING_3 = """
CREATE TABLE shipping_cursors ( -- How far each destination has acknowledged.
    destination TEXT NOT NULL, -- URL without credentials
    table_name TEXT NOT NULL, -- which table
    acknowledged_seq INTEGER NOT NULL, -- all rows up to this one arrived; metrics_hourly: the hours of the windows up to this one
    pending_seq INTEGER, -- last row of the batch that is on its way, so that a retry is the same batch; NULL when none is
    rows INTEGER NOT NULL DEFAULT 0, -- rows that arrived so far
    updated_at INTEGER NOT NULL, -- us since 1970 UTC, wall clock
    last_error TEXT, -- newest failure, one line; NULL once it is over
    PRIMARY KEY (destination, table_name)
) STRICT, WITHOUT ROWID;

CREATE TABLE shipping_gaps ( -- Rows that a destination will never get: deleted before it had them, or refused by it.
    destination TEXT NOT NULL, -- as in shipping_cursors
    table_name TEXT NOT NULL, -- which table
    agent_id TEXT NOT NULL, -- UUID of the agent
    boot_id TEXT NOT NULL, -- run of the agent
    reason TEXT NOT NULL CHECK (reason IN ('age', 'size', 'refused')), -- too old, no room for them, or the destination could not take them
    first_seq INTEGER NOT NULL, -- number of the first of them
    last_seq INTEGER NOT NULL, -- number of the last of them
    rows INTEGER NOT NULL, -- how many between the two
    noted_at INTEGER NOT NULL, -- us since 1970 UTC, wall clock
    detail TEXT, -- the destination's words, one line
    PRIMARY KEY (destination, table_name, agent_id, boot_id, reason)
) STRICT, WITHOUT ROWID;
"""

# ---- schema 4: what a running daemon can miss

HEALTH_4 = """
CREATE TABLE capture_health ( -- How much of one window's traffic was really seen.
    seq INTEGER PRIMARY KEY, -- number of the row in this database
    agent_id TEXT NOT NULL, -- UUID of the agent
    boot_id TEXT NOT NULL, -- run of the agent
    timestamp INTEGER NOT NULL, -- start of the window, us since 1970 UTC
    window_s INTEGER NOT NULL, -- its length in seconds
    quality TEXT NOT NULL CHECK (quality IN ('ok', 'degraded', 'blind')), -- the flag of every row of the window
    received INTEGER NOT NULL, -- packets that reached us
    dropped INTEGER, -- packets the kernel dropped because we were slow; NULL for a savefile, which cannot know
    interface_dropped INTEGER, -- packets the interface or its driver dropped; NULL when not known
    truncated INTEGER NOT NULL, -- packets that the capture ends within the headers of
    malformed INTEGER NOT NULL, -- packets that contradict themselves
    unsupported INTEGER NOT NULL, -- packets in a format we do not know
    flows_evicted INTEGER NOT NULL, -- connections ended early for want of room
    flows_refused INTEGER NOT NULL, -- connections not followed for want of room
    half_open_evicted INTEGER NOT NULL, -- attempts forgotten for want of room
    endpoints_folded INTEGER NOT NULL, -- connections counted under __other__ for want of room
    rows_lost INTEGER NOT NULL, -- connections that ended without a row
    ack_gap_ratio REAL, -- ACKs for octets never captured, of all ACKs; NULL without ACKs
    anomalies TEXT NOT NULL CHECK (json_valid(anomalies)), -- JSON {name: count} of decode anomalies
    ring_freezes INTEGER, -- times that the kernel's ring was full; NULL for a savefile
    interface_gaps INTEGER, -- times that an interface was down or away; NULL for a savefile
    gap_ms INTEGER, -- how long nobody looked: interfaces away, or no daemon before this window; NULL for a savefile
    windows_lost INTEGER, -- windows before this one that could not be written or computed; NULL for a savefile
    batches_lost INTEGER, -- batches of connections and seconds of detection given up for want of time; NULL for a savefile
    clock_step_ms INTEGER -- by how much the wall clock was set since the last window, 0 when it was not; NULL for a savefile
) STRICT;
CREATE INDEX idx_capture_health_agent ON capture_health(agent_id, timestamp);
"""

# ---- schema 5: who ships may not be allowed to write here, so the writer says what it deleted

SHIPPING_5 = """
CREATE TABLE shipping_cursors ( -- How far each destination has acknowledged; in a file of its own where who ships may not write here.
    destination TEXT NOT NULL, -- URL without credentials
    table_name TEXT NOT NULL, -- which table
    acknowledged_seq INTEGER NOT NULL, -- all rows up to this one arrived; metrics_hourly: the hours of the windows up to this one; deleted_ranges: its id
    pending_seq INTEGER, -- last row of the batch that is on its way, so that a retry is the same batch; NULL when none is
    rows INTEGER NOT NULL DEFAULT 0, -- rows that arrived so far
    updated_at INTEGER NOT NULL, -- us since 1970 UTC, wall clock
    last_error TEXT, -- newest failure, one line; NULL once it is over
    PRIMARY KEY (destination, table_name)
) STRICT, WITHOUT ROWID;

CREATE TABLE shipping_gaps ( -- Rows that a destination will never get: deleted before it had them, or refused by it.
    destination TEXT NOT NULL, -- as in shipping_cursors
    table_name TEXT NOT NULL, -- which table
    agent_id TEXT NOT NULL, -- UUID of the agent
    boot_id TEXT NOT NULL, -- run of the agent; empty for cdn_requests
    reason TEXT NOT NULL CHECK (reason IN ('age', 'size', 'refused')), -- too old, no room for them, or the destination could not take them
    first_seq INTEGER NOT NULL, -- number of the first of them
    last_seq INTEGER NOT NULL, -- number of the last of them
    rows INTEGER, -- how many between the two; NULL when some of them had arrived
    noted_at INTEGER NOT NULL, -- us since 1970 UTC, wall clock
    detail TEXT, -- the destination's words, one line
    PRIMARY KEY (destination, table_name, agent_id, boot_id, reason)
) STRICT, WITHOUT ROWID;
"""

DELETED_5 = """
CREATE TABLE deleted_ranges ( -- What retention deleted of the numbered tables; the newest 20,000 ranges.
    id INTEGER PRIMARY KEY AUTOINCREMENT, -- ascending
    table_name TEXT NOT NULL, -- which table
    agent_id TEXT NOT NULL, -- UUID of the agent
    boot_id TEXT NOT NULL, -- run of the agent; empty for cdn_requests
    reason TEXT NOT NULL, -- age or size
    first_seq INTEGER NOT NULL, -- number of the first row
    last_seq INTEGER NOT NULL, -- number of the last row
    rows INTEGER NOT NULL, -- how many between the two
    deleted_at INTEGER NOT NULL -- us since 1970 UTC, wall clock
) STRICT;
"""

# ---- schema 6: hours are asked for by time

HOURS_6 = "CREATE INDEX idx_metrics_hourly_hour ON metrics_hourly(agent_id, hour);"

# ---- schema 7: what caches say in clear; in comments that ALTER keeps

CACHES_7 = """
ALTER TABLE network_performance_metrics ADD COLUMN cache_hits INTEGER /* of http_responses, those that the nearest cache says it had */;
ALTER TABLE network_performance_metrics ADD COLUMN cache_misses INTEGER /* of http_responses, those that it had to ask for */;
ALTER TABLE network_performance_metrics ADD COLUMN cache_bypasses INTEGER /* of http_responses, those that it was not asked for or never keeps */;
"""
