"""Nodes and links that one window tells of, merged into those that the database knows.

Bounded: MOST_NODES and MOST_LINKS of one agent; those not seen for longest go first. What went, and
what found no room before it came here, is counted in `store_counters` as `topology_evicted`.
"""

import sqlite3

from sensor.model.rows import TopologyLinkRow, TopologyNodeRow, WindowRows

MOST_NODES = 10_000
MOST_LINKS = 20_000
MOST_EVIDENCE = 16
SLACK = 1.1  # over the bound before anything is deleted, so that not every window has to

# The newer evidence first, so that it stays when there is too much.
EVIDENCE = f"""(
    SELECT json_group_array(value) FROM (
        SELECT value FROM (
            SELECT value, 0 AS age FROM json_each(excluded.evidence)
            UNION ALL
            SELECT value, 1 FROM json_each(evidence)
        ) GROUP BY value ORDER BY min(age), value LIMIT {MOST_EVIDENCE}
    )
)"""  # noqa: S608 - a number of ours
SEEN = """
    confidence = max(coalesce(confidence, 0), coalesce(excluded.confidence, 0)),
    first_seen = min(first_seen, excluded.first_seen),
    last_seen = max(last_seen, excluded.last_seen)"""
RANKED = "host service switch router gateway"  # the later one says more


def inserting(table: str, columns: tuple[str, ...]) -> str:
    marks = ", ".join("?" * len(columns))
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608 - names are ours


NODE = f"""
    {inserting("topology_nodes", TopologyNodeRow._fields)}
    ON CONFLICT (agent_id, node) DO UPDATE SET
        ip = coalesce(excluded.ip, ip), mac = coalesce(excluded.mac, mac),
        name = coalesce(excluded.name, name), vlan = coalesce(excluded.vlan, vlan),
        role = CASE WHEN instr('{RANKED}', coalesce(excluded.role, '-'))
            > instr('{RANKED}', coalesce(role, '-')) THEN excluded.role ELSE role END,
        hops = coalesce(min(hops, excluded.hops), hops, excluded.hops),
        evidence = {EVIDENCE}, {SEEN}
"""
LINK = f"""
    {inserting("topology_links", TopologyLinkRow._fields)}
    ON CONFLICT (agent_id, source, target, kind) DO UPDATE SET
        latency_avg_us = CASE
            WHEN latency_avg_us IS NULL THEN excluded.latency_avg_us
            WHEN excluded.latency_avg_us IS NULL THEN latency_avg_us
            ELSE (latency_avg_us * max(connections, 1)
                  + excluded.latency_avg_us * max(excluded.connections, 1))
                 / (max(connections, 1) + max(excluded.connections, 1)) END,
        bytes = bytes + excluded.bytes, packets = packets + excluded.packets,
        connections = connections + excluded.connections, errors = errors + excluded.errors,
        evidence = {EVIDENCE}, {SEEN}
"""
KEYS = {"topology_nodes": "agent_id, node", "topology_links": "agent_id, source, target, kind"}
COUNT = """
    INSERT INTO store_counters VALUES ('topology_evicted', ?)
    ON CONFLICT (name) DO UPDATE SET value = value + excluded.value
"""


def write_topology(db: sqlite3.Connection, window: WindowRows) -> None:
    """Within the window's transaction."""
    db.executemany(NODE, window.nodes)
    db.executemany(LINK, window.links)
    gone = window.topology_dropped
    for table, rows, most in (
        ("topology_nodes", window.nodes, MOST_NODES),
        ("topology_links", window.links, MOST_LINKS),
    ):
        if rows:
            gone += bound(db, table, window.agent.agent_id, most)
    if gone:
        db.execute(COUNT, (gone,))


def bound(db: sqlite3.Connection, table: str, agent_id: str, most: int) -> int:
    """How many rows of this agent went."""
    (held,) = db.execute(f"SELECT count(*) FROM {table} WHERE agent_id = ?", (agent_id,)).fetchone()  # noqa: S608
    if held <= most * SLACK:
        return 0
    key = KEYS[table]
    return db.execute(
        f"DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} WHERE agent_id = ?"  # noqa: S608
        " ORDER BY last_seen, first_seen DESC LIMIT ?)",
        (agent_id, held - most),
    ).rowcount
