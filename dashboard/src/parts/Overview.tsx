import type { ReactNode } from "react";
import type { Performance, Threats, WindowMessage } from "../api";
import { LATENCY_LIMIT_MS, LOSS_LIMIT } from "../alerts";
import { UNKNOWN, count, mbps, ms, percent, perSecond, plain, text } from "../format";
import type { Resource } from "../store";
import { useColours } from "../theme";
import { Figure, reasonOf } from "./Figure";
import { Spark } from "./Spark";

interface Props {
  performance: Resource<Performance>;
  threats: Resource<Threats>;
  window: WindowMessage | null;
}

type Level = "good" | "warn" | "bad" | "none";

function above(value: number | null, warn: number, bad: number): Level {
  return value === null ? "none" : value > bad ? "bad" : value > warn ? "warn" : "good";
}

/** The six figures that are looked at first. */
export function Overview({ performance, threats, window }: Props) {
  const colours = useColours();
  const { data } = performance;
  const latency = data?.latency_metrics;
  const bandwidth = data?.bandwidth_metrics;
  const connections = data?.connection_metrics;
  const series = data?.series;
  const now = window?.metrics;
  const open = threats.data?.threats.filter((one) => one.status === "open").length;
  const why = (path: string) => reasonOf(data?.reasons, path);
  return (
    <ul className={`overview ${performance.isOld ? "is-old" : ""}`} aria-label="Overview">
      <Tile
        label="Latency p99"
        href="#latency"
        level={above(latency?.p99_latency_ms ?? null, 200, LATENCY_LIMIT_MS)}
        resource={performance}
        figure={
          <Figure
            value={latency?.p99_latency_ms}
            format={ms}
            name="tile.p99_latency_ms"
            reason={why("latency_metrics.p99_latency_ms")}
          />
        }
        note={
          <>
            median <Figure value={latency?.p50_latency_ms} format={ms} />
          </>
        }
        now={now ? text(ms(now.latency_metrics.p99_latency_ms)) : null}
        spark={series && <Spark values={series.p99_ms} color={colours.p99} />}
      />
      <Tile
        label="Packet loss"
        href="#latency"
        level={above(latency?.packet_loss_rate ?? null, LOSS_LIMIT / 10, LOSS_LIMIT)}
        resource={performance}
        figure={
          <Figure
            value={latency?.packet_loss_rate}
            format={percent}
            name="tile.packet_loss_rate"
            reason={why("latency_metrics.packet_loss_rate")}
          />
        }
        note={why("latency_metrics.packet_loss_rate") ?? "of TCP segments"}
        now={now ? text(percent(now.latency_metrics.packet_loss_rate)) : null}
        spark={series && <Spark values={series.packet_loss_rate} color={colours.bad} />}
      />
      <Tile
        label="Throughput"
        href="#bandwidth"
        level="none"
        resource={performance}
        figure={
          <Figure
            value={
              bandwidth?.ingress_mbps == null || bandwidth.egress_mbps === null
                ? null
                : bandwidth.ingress_mbps + bandwidth.egress_mbps
            }
            format={mbps}
            name="tile.throughput_mbps"
            reason={why("bandwidth_metrics.ingress_mbps")}
          />
        }
        note={
          <>
            <Figure value={bandwidth?.ingress_mbps} format={mbps} /> in ·{" "}
            <Figure value={bandwidth?.egress_mbps} format={mbps} /> out
          </>
        }
        now={
          now?.bandwidth_metrics.ingress_mbps != null && now.bandwidth_metrics.egress_mbps !== null
            ? text(mbps(now.bandwidth_metrics.ingress_mbps + now.bandwidth_metrics.egress_mbps))
            : null
        }
        spark={
          series && (
            <Spark
              values={series.ingress_mbps.map((value, at) => {
                const other = series.egress_mbps[at] ?? null;
                return value === null || other === null ? null : value + other;
              })}
              color={colours.ingress}
            />
          )
        }
      />
      <Tile
        label="Connections"
        href="#connections"
        level="none"
        resource={performance}
        figure={
          <Figure
            value={connections?.active_connections}
            format={count}
            name="tile.active_connections"
            reason={why("connection_metrics.active_connections")}
          />
        }
        note={
          <>
            peak · <Figure value={connections?.new_connections_per_sec} format={perSecond} /> new
          </>
        }
        now={now ? text(count(now.connection_metrics.active_connections)) : null}
        spark={series && <Spark values={series.active_connections} color={colours.p50} />}
      />
      <Tile
        label="Risk"
        href="#threats"
        level={above(threats.data?.risk_score ?? null, 0, 50)}
        resource={threats}
        figure={
          <>
            <Figure value={threats.data?.risk_score} format={plain} name="tile.risk_score" />
            <span className="unit">&nbsp;/ 100</span>
          </>
        }
        note={
          threats.data
            ? `${threats.data.total} ${threats.data.total === 1 ? "threat" : "threats"} · ${open ?? 0} open`
            : ""
        }
        now={null}
        spark={
          <span className="risk" aria-hidden="true">
            <i style={{ width: `${threats.data?.risk_score ?? 0}%` }} />
          </span>
        }
      />
      <Tile
        label="Capture"
        href="#health"
        level={data?.quality === "ok" ? "good" : data?.quality === "degraded" ? "warn" : data?.quality ? "bad" : "none"}
        resource={performance}
        figure={<span className="words">{data ? (data.quality ?? "no data") : UNKNOWN}</span>}
        note={
          data && (
            <>
              <Figure value={data.coverage} format={percent} name="tile.coverage" /> of the period seen
            </>
          )
        }
        now={null}
        spark={null}
      />
    </ul>
  );
}

interface TileProps {
  label: string;
  href: string;
  level: Level;
  resource: Resource<unknown>;
  figure: ReactNode;
  note: ReactNode;
  /** The newest window's figure. */
  now: string | null;
  spark: ReactNode;
}

const LEVELS: Record<Level, string> = { good: "good", warn: "worth a look", bad: "bad", none: "" };

function Tile({ label, href, level, resource, figure, note, now, spark }: TileProps) {
  const isLoading = resource.data === null && resource.error === null;
  return (
    <li>
      <a href={href} className="tile" data-level={level} aria-busy={isLoading}>
        <span className="tile-label">
          {label}
          {level !== "none" && (
            <>
              <i className="light" />
              <span className="unseen">({LEVELS[level]})</span>
            </>
          )}
          {now !== null && <span className="tile-now">now {now}</span>}
        </span>
        <span className="tile-figure">{isLoading ? <span className="skeleton line" /> : figure}</span>
        <span className="tile-note">{isLoading ? "\u00a0" : note}</span>
        {spark}
      </a>
    </li>
  );
}
