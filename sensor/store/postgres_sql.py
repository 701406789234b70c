# ruff: noqa: S608 - names are ours
"""The central store in PostgreSQL's words (14 or newer): tables, partitions, maintenance, the view.

The specification's DDL with what it takes to run: the partition key is part of the primary key, a
default partition takes what has no partition of its own (old captures, hosts with a wrong clock),
counters are 64 bits wide, times have a zone, and percentiles come from merged histograms.

Partitions are made and dropped by functions of the database, with the rights of its owner: who
ships needs no more than to insert. Two functions, because refreshing the view takes long and
dropping a partition takes a lock.
"""

from collections.abc import Iterator

from sensor.store.central import AGENTS, EVENTS, HEALTH, METRICS, Field, Table, tables

TYPES = {
    "uuid": "UUID", "time": "TIMESTAMPTZ", "address": "INET", "json": "JSON", "tens": "BIGINT[]",
    "flag": "BOOLEAN", "integer": "BIGINT", "real": "DOUBLE PRECISION", "text": "TEXT",
    "slots": "BIGINT[]",
}  # fmt: skip
# Where the specification has NOT NULL or a default, besides the key.
STRICT = {METRICS: {"agent_id": "NOT NULL", "endpoint": "NOT NULL",
                    "created_at": "DEFAULT CURRENT_TIMESTAMP"},
          EVENTS: {"agent_id": "NOT NULL"},
          AGENTS: {"heard_at": "DEFAULT CURRENT_TIMESTAMP"},
          # Who has seen all of a snapshot's transactions goes on from there, and misses none.
          HEALTH: {"came_in": "DEFAULT pg_current_xact_id()::TEXT::BIGINT"}}  # fmt: skip
INDEXES = {
    METRICS: (
        "idx_network_agent ON {t}(agent_id, timestamp)",
        "idx_network_latency ON {t}(latency_p99_us DESC)",
        "idx_network_errors ON {t}(timeout_errors, connection_reset_errors)"
        " WHERE timeout_errors > 0 OR connection_reset_errors > 0",
    ),
    EVENTS: (
        "idx_security_events_agent ON {t}(agent_id, detected_at)",
        "idx_security_events_severity ON {t}(severity, event_type)",
        "idx_security_events_time ON {t}(detected_at)",
    ),
    HEALTH: ("idx_capture_health_came_in ON {t}(came_in)",),
}

BOOKS = """
CREATE TABLE IF NOT EXISTS sensor_schema (
    version INTEGER NOT NULL,
    upgraded_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE TABLE IF NOT EXISTS sensor_retention (
    table_name TEXT PRIMARY KEY,
    time_column TEXT NOT NULL,
    keep INTERVAL NOT NULL,
    part TEXT NOT NULL,
    kept_at TIMESTAMPTZ
);
COMMENT ON TABLE sensor_retention IS 'How long rows stay: change `keep` at will. part: what is dropped at a time; empty where rows are deleted';
"""  # noqa: E501

FUNCTIONS = """
CREATE OR REPLACE FUNCTION sensor_partition(parent TEXT, at TIMESTAMPTZ) RETURNS VOID
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    rule sensor_retention;
    low TIMESTAMPTZ;
    high TIMESTAMPTZ;
    child TEXT;
BEGIN
    SELECT * INTO rule FROM sensor_retention WHERE table_name = parent AND part <> '';
    IF rule IS NULL OR at < now() - rule.keep OR at > now() + INTERVAL '3 days' THEN
        RETURN;  -- the default partition takes it: hostile clocks make no partitions
    END IF;
    low := date_trunc(rule.part, at);
    high := low + ('1 ' || rule.part)::INTERVAL;
    child := parent || to_char(low, CASE rule.part WHEN 'day' THEN '"_d"YYYYMMDD' ELSE '"_m"YYYYMM' END);
    IF to_regclass(quote_ident(child)) IS NOT NULL THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('sensor_partition'));  -- one at a time, no deadlocks
    IF to_regclass(quote_ident(child)) IS NOT NULL THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', child, parent);
    -- What came before there was a partition moves into it, or it could not be attached.
    EXECUTE format(
        'WITH moved AS (DELETE FROM %I WHERE %I >= $1 AND %I < $2 RETURNING *) INSERT INTO %I SELECT * FROM moved',
        parent || '_default', rule.time_column, rule.time_column, child) USING low, high;
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', parent, child, low, high);
END $$;

CREATE OR REPLACE FUNCTION sensor_maintain() RETURNS TABLE (table_name TEXT, done TEXT)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp SET timezone = 'UTC'
SET lock_timeout = '5s' AS $$
#variable_conflict use_column
DECLARE
    rule sensor_retention;
    child RECORD;
    gone BIGINT;
    replayed TEXT;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('sensor_maintain')) THEN
        RETURN;  -- somebody else is at it
    END IF;
    FOR rule IN SELECT * FROM sensor_retention ORDER BY table_name LOOP
        -- An old capture was shipped to be kept.
        replayed := CASE WHEN rule.table_name = 'cdn_requests' OR NOT EXISTS (
                SELECT FROM pg_attribute WHERE attrelid = quote_ident(rule.table_name)::REGCLASS AND attname = 'boot_id')
            THEN 'agent_id IN (SELECT agent_id FROM agents WHERE source = ''replay'')'
            ELSE '(agent_id, boot_id) IN (SELECT agent_id, boot_id FROM agents WHERE source = ''replay'')' END;
        IF rule.part <> '' THEN
            FOR step IN 0..2 LOOP
                PERFORM sensor_partition(rule.table_name, now() + step * ('1 ' || rule.part)::INTERVAL);
            END LOOP;
            FOR child IN
                SELECT c.relname AS name, (regexp_match(
                    pg_get_expr(c.relpartbound, c.oid), $r$TO \\('([^']+)'\\)$r$))[1]::TIMESTAMPTZ AS high
                FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                WHERE i.inhparent = quote_ident(rule.table_name)::REGCLASS
                ORDER BY 1
            LOOP
                CONTINUE WHEN child.high IS NULL OR child.high > now() - rule.keep;
                BEGIN  -- a lock that cannot be had leaves this one for the next time
                    EXECUTE format('ALTER TABLE %I DETACH PARTITION %I', rule.table_name, child.name);
                    EXECUTE format('INSERT INTO %I SELECT * FROM %I WHERE %s', rule.table_name, child.name, replayed);
                    EXECUTE format('DROP TABLE %I', child.name);
                    RETURN QUERY SELECT rule.table_name, 'dropped ' || child.name;
                EXCEPTION WHEN lock_not_available THEN
                    RETURN QUERY SELECT rule.table_name, 'busy: ' || child.name;
                END;
            END LOOP;
        END IF;
        EXECUTE format('DELETE FROM %I WHERE %I < now() - $1 AND NOT %s', rule.table_name
            || CASE WHEN rule.part <> '' THEN '_default' ELSE '' END, rule.time_column, replayed)
            USING rule.keep;
        GET DIAGNOSTICS gone = ROW_COUNT;
        IF gone > 0 THEN
            RETURN QUERY SELECT rule.table_name, 'deleted ' || gone || ' rows';
        END IF;
        -- Windows shorter than a minute repeat what a longer one counts again: two days of them do.
        IF EXISTS (SELECT FROM pg_attribute WHERE attrelid = quote_ident(rule.table_name)::REGCLASS
                   AND attname = 'window_s') THEN
            EXECUTE format('DELETE FROM %I t USING agents a WHERE t.%I < now() - INTERVAL ''2 days''
                AND t.window_s < 60 AND t.window_s < a.window_s AND a.source = ''live''
                AND a.agent_id = t.agent_id AND a.boot_id = t.boot_id', rule.table_name, rule.time_column);
            GET DIAGNOSTICS gone = ROW_COUNT;
            IF gone > 0 THEN
                RETURN QUERY SELECT rule.table_name, 'deleted ' || gone || ' short windows';
            END IF;
        END IF;
        UPDATE sensor_retention SET kept_at = now() WHERE table_name = rule.table_name;
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION sensor_refresh() RETURNS VOID
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp AS $$
BEGIN
    IF pg_try_advisory_xact_lock(hashtext('sensor_refresh')) THEN
        REFRESH MATERIALIZED VIEW CONCURRENTLY latency_optimization_opportunities;
    END IF;
END $$;
"""  # noqa: E501

# The newest 24 hours of each agent. A p99 over 100 ms makes an hour one of high latency.
VIEW = """
CREATE MATERIALIZED VIEW IF NOT EXISTS latency_optimization_opportunities AS
WITH newest AS (
    SELECT agent_id, hour
    FROM (SELECT DISTINCT agent_id FROM agents) AS known CROSS JOIN LATERAL (
        SELECT hour FROM metrics_hourly AS h WHERE h.agent_id = known.agent_id
        ORDER BY hour DESC LIMIT 1) AS last
),
hours AS (
    SELECT h.* FROM metrics_hourly AS h JOIN newest AS n ON n.agent_id = h.agent_id
    AND h.hour > n.hour - INTERVAL '24 hours'
),
ranked AS (
    SELECT agent_id, endpoint, us, sum(n) OVER upward AS upto, sum(n) OVER whole AS samples
    FROM (SELECT agent_id, endpoint, us, sum(n) AS n
          FROM hours, unnest(slot_us, slot_n) AS slot(us, n) GROUP BY agent_id, endpoint, us) AS slots
    WINDOW upward AS (PARTITION BY agent_id, endpoint ORDER BY us),
           whole AS (PARTITION BY agent_id, endpoint)
),
percentiles AS (
    SELECT agent_id, endpoint, min(us) FILTER (WHERE upto * 100 >= samples * 50) AS p50,
           min(us) FILTER (WHERE upto * 100 >= samples * 95) AS p95,
           min(us) FILTER (WHERE upto * 100 >= samples * 99) AS p99
    FROM ranked GROUP BY agent_id, endpoint
),
sums AS (
    SELECT agent_id, endpoint, max(latency_p99_us) AS worst,
           sum(jitter_sum_us)::FLOAT / 1000 / nullif(sum(jitter_count), 0)::FLOAT AS avg_jitter_ms,
           min(latency_min_us) AS shortest, max(latency_max_us) AS longest,
           count(DISTINCT hour) FILTER (WHERE latency_p99_us > 100000) AS high_latency_hours
    FROM hours WHERE latency_count > 0 GROUP BY agent_id, endpoint
),
latency_analysis AS (
    SELECT agent_id, endpoint, greatest(least(p50, longest), shortest) / 1000.0::FLOAT AS avg_p50_ms,
           greatest(least(p95, longest), shortest) / 1000.0::FLOAT AS avg_p95_ms,
           greatest(least(p99, longest), shortest) / 1000.0::FLOAT AS avg_p99_ms,
           worst / 1000.0::FLOAT AS max_p99_ms, avg_jitter_ms, high_latency_hours
    FROM percentiles JOIN sums USING (agent_id, endpoint)
),
geographic_latency AS (
    SELECT m.agent_id, m.endpoint, m.region,
           sum(m.latency_sum_us)::FLOAT / 1000 / sum(m.latency_count)::FLOAT AS latency_ms
    FROM network_performance_metrics AS m JOIN newest AS n ON n.agent_id = m.agent_id
    AND m.timestamp >= n.hour - INTERVAL '23 hours'
    WHERE m.region IS NOT NULL AND m.latency_count > 0 GROUP BY m.agent_id, m.endpoint, m.region
)
SELECT la.agent_id, la.endpoint, la.avg_p50_ms, la.avg_p95_ms, la.avg_p99_ms, la.max_p99_ms,
       la.avg_jitter_ms,
       CASE WHEN la.avg_p99_ms > 500 THEN 'critical_latency'
            WHEN la.avg_p99_ms > 200 THEN 'high_latency'
            WHEN la.avg_p99_ms > 100 THEN 'moderate_latency'
            ELSE 'acceptable' END AS latency_status,
       CASE WHEN la.avg_jitter_ms IS NULL THEN NULL
            WHEN la.avg_jitter_ms > 50 THEN 'high_jitter'
            WHEN la.avg_jitter_ms > 20 THEN 'moderate_jitter'
            ELSE 'low_jitter' END AS jitter_status,
       coalesce(gl.regions, ARRAY[]::JSON[]) AS regional_latencies,
       CASE WHEN la.avg_p99_ms > 200 THEN ARRAY['Add CDN', 'Optimize routing', 'Consider edge deployment']
            WHEN la.avg_jitter_ms > 50 THEN ARRAY['Implement QoS', 'Use dedicated bandwidth', 'Traffic shaping']
            ELSE ARRAY['Monitor continuously'] END AS optimization_recommendations,
       la.high_latency_hours
FROM latency_analysis AS la LEFT JOIN (
    SELECT agent_id, endpoint, array_agg(json_build_object('region', region, 'latency_ms', latency_ms)
                                         ORDER BY latency_ms DESC) AS regions
    FROM geographic_latency GROUP BY agent_id, endpoint) AS gl USING (agent_id, endpoint);
CREATE UNIQUE INDEX IF NOT EXISTS idx_latency_opportunities
    ON latency_optimization_opportunities(agent_id, endpoint);
"""  # noqa: E501


def quoted(name: str) -> str:
    """An identifier; ours have no quote in them."""
    return f'"{name}"'


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def column(table: Table, one: Field) -> str:
    extra = STRICT.get(table.name, {}).get(one.name, "")
    return f"{quoted(one.name)} {TYPES[one.kind]} {extra}".rstrip()


def create_table(table: Table) -> Iterator[str]:
    """The table, its default partition, its indexes, and what it is for."""
    name = quoted(table.name)
    lines = [column(table, one) for one in table.fields]
    lines.append(f"PRIMARY KEY ({', '.join(map(quoted, table.key))})")
    part = f" PARTITION BY RANGE ({quoted(table.time)})" if table.part else ""
    yield f"CREATE TABLE IF NOT EXISTS {name} (\n    " + ",\n    ".join(lines) + f"\n){part}"
    if table.part:
        default = quoted(f"{table.name}_default")
        yield f"CREATE TABLE IF NOT EXISTS {default} PARTITION OF {name} DEFAULT"
    for index in INDEXES.get(table.name, ()):
        yield f"CREATE INDEX IF NOT EXISTS {index.format(t=name)}"
    yield f"COMMENT ON TABLE {name} IS {literal(table.meaning)}"
    for one in table.fields:
        yield f"COMMENT ON COLUMN {name}.{quoted(one.name)} IS {literal(one.meaning)}"
    if table.days:
        yield (
            "INSERT INTO sensor_retention (table_name, time_column, keep, part) VALUES"
            f" ({literal(table.name)}, {literal(table.time)}, INTERVAL '{table.days} days',"
            f" {literal(table.part)}) ON CONFLICT DO NOTHING"
        )


def schema(name: str = "public") -> Iterator[str]:
    """Statements that make a whole store, or what is missing of it."""
    yield BOOKS
    for table in tables().values():
        yield from create_table(table)
    yield FUNCTIONS.replace("{schema}", quoted(name))
    yield VIEW
