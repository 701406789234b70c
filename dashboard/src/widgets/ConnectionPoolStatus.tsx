import { useMemo } from "react";
import type { Connections, Figure as Value, Series } from "../api";
import { Chart } from "../charts/Chart";
import { GRID, points, timeAxis, valueAxis, type Span } from "../charts/time";
import { TOOLTIP, tip } from "../charts/tooltip";
import { count, ms, percent, text, time } from "../format";
import { DataTable } from "../parts/DataTable";
import { Figure, reasonOf } from "../parts/Figure";
import { useColours } from "../theme";

interface Props {
  active: Value;
  idle: Value;
  failed: Value;
  /** What the three are of. */
  basis?: string | undefined;
  lifecycle: Connections["connection_lifecycle"];
  reasons: Connections["reasons"];
  series?: Series | undefined;
  span: Span | null;
}

const SERIES = [
  ["new", "new_connections", "ingress"],
  ["failed", "failed_connections", "bad"],
] as const;

/** Connections that work, wait and failed, and how they come and go. */
export function ConnectionPoolStatus(props: Props) {
  const { active, idle, failed, basis, lifecycle, reasons, series, span } = props;
  const colours = useColours();
  const open = active === null || idle === null ? null : active + idle;
  const option = useMemo(() => {
    if (!series) return null;
    const { bucket, step_s: step } = series;
    return {
      animation: false,
      grid: { ...GRID, top: 8 },
      xAxis: timeAxis(colours, span),
      yAxis: { ...valueAxis(colours, (value) => text(count(value))), splitNumber: 2, minInterval: 1 },
      tooltip: {
        ...TOOLTIP,
        trigger: "axis",
        formatter: (at: unknown) => {
          const first = (at as { dataIndex: number }[])[0]?.dataIndex ?? 0;
          const start = bucket[first] ?? 0;
          return tip(`${time(start)} – ${time(start + step * 1000, "clock")}`, [
            ...SERIES.map(([label, name, colour]) => ({
              label,
              value: text(count(series[name][first] ?? null)),
              color: colours[colour],
            })),
            { label: "closed", value: text(count(series.closed_connections[first] ?? null)) },
            { label: "open", value: text(count(series.active_connections[first] ?? null)) },
          ]);
        },
      },
      series: SERIES.map(([label, name, colour]) => ({
        name: label,
        type: "bar" as const,
        barGap: "-100%",
        barMaxWidth: 14,
        data: points(bucket, step, series[name]),
        color: colours[colour],
        itemStyle: { borderRadius: [2, 2, 0, 0] },
        emphasis: { disabled: true },
      })),
    };
  }, [series, span, colours]);
  const why = (name: string) => reasonOf(reasons, `connection_lifecycle.${name}`);
  return (
    <div className="pool">
      <div className="pool-three">
        <div>
          <Figure className="big" value={active} format={count} name="active" reason={why("active")} />
          <span className="label">
            <i className="swatch" style={{ background: colours.good }} />
            active
          </span>
        </div>
        <div>
          <Figure className="big" value={idle} format={count} name="idle" reason={why("idle")} />
          <span className="label">
            <i className="swatch" style={{ background: colours.faint }} />
            idle
          </span>
        </div>
        <div>
          <Figure className="big" value={failed} format={count} name="failed" reason={why("failed")} />
          <span className="label">
            <i className="swatch" style={{ background: colours.bad }} />
            failed
          </span>
        </div>
      </div>
      <div
        className="meter"
        role="img"
        aria-label={
          open ? `${text(percent((active ?? 0) / open))} of the open connections are active` : "not known"
        }
      >
        {open !== null && open > 0 && (
          <>
            <i style={{ flexGrow: active ?? 0, background: colours.good }} />
            <i style={{ flexGrow: idle ?? 0, background: colours.faint }} />
          </>
        )}
      </div>
      <dl className="pairs">
        <div>
          <dt>Churn</dt>
          <dd>
            <Figure value={lifecycle.churn_rate} format={percent} name="churn_rate" reason={why("churn_rate")} />
          </dd>
        </div>
        <div>
          <dt>Reuse</dt>
          <dd>
            <Figure value={lifecycle.reuse_rate} format={percent} name="reuse_rate" reason={why("reuse_rate")} />
          </dd>
        </div>
        <div>
          <dt>Mean duration</dt>
          <dd>
            <Figure
              value={lifecycle.avg_connection_duration_ms}
              format={ms}
              name="avg_connection_duration_ms"
              reason={why("avg_connection_duration_ms")}
            />
          </dd>
        </div>
        <div>
          <dt>Mean set-up</dt>
          <dd>
            <Figure
              value={lifecycle.connection_establishment_time_ms}
              format={ms}
              name="connection_establishment_time_ms"
              reason={why("connection_establishment_time_ms")}
            />
          </dd>
        </div>
      </dl>
      {option && (
        <>
          <p className="chart-title">
            <span>
              <i className="swatch" style={{ background: colours.ingress }} /> new
            </span>
            <span>
              <i className="swatch" style={{ background: colours.bad }} /> failed
            </span>
            <span className="muted">per step</span>
          </p>
          <Chart
            option={option}
            className="short"
            group="time"
            label="New and failed connections over time. The table has every step."
          />
        </>
      )}
      {basis && <p className="foot">Active and idle are {basis}.</p>}
    </div>
  );
}

export function ConnectionTable({ series }: { series: Series }) {
  const rows = series.bucket
    .map((at, index) => ({ at, index }))
    .filter(({ index }) => series.new_connections[index] != null);
  return (
    <DataTable
      caption="Connections by step"
      rows={rows.toReversed()}
      rowKey={(row) => row.at}
      columns={[
        { name: "From", cell: (row) => time(row.at), by: (row) => row.at },
        ...(["active", "new", "closed", "failed"] as const).map((name) => ({
          name: name === "active" ? "open" : name,
          isNumber: true,
          cell: (row: { index: number }) => (
            <Figure value={series[`${name}_connections`][row.index]} format={count} name={name} />
          ),
          by: (row: { index: number }) => series[`${name}_connections`][row.index] ?? null,
        })),
      ]}
    />
  );
}
