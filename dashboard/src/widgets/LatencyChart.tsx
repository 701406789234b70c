import { useMemo } from "react";
import type { LatencyMetrics, Reasons, Series } from "../api";
import { Chart } from "../charts/Chart";
import {
  GRID, isAlone, markArea, points, timeAxis, valueAxis, type Mark, type Span,
} from "../charts/time"; // prettier-ignore
import { TOOLTIP, tip } from "../charts/tooltip";
import { clean, ms, text, time } from "../format";
import { DataTable } from "../parts/DataTable";
import { Figure, reasonOf } from "../parts/Figure";
import { Stats } from "../parts/Stats";
import { useColours } from "../theme";

export type Percentile = 50 | 95 | 99;

interface Props {
  metrics: LatencyMetrics;
  series: Series;
  span: Span | null;
  percentiles: readonly Percentile[];
  showJitter: boolean;
  reasons?: Reasons;
  marks?: readonly Mark[];
  /** A step was chosen: its start, ms. */
  onStep?: (at: number) => void;
}

const LIMIT_MS = 500;
const NAMES = { 50: "p50_ms", 95: "p95_ms", 99: "p99_ms" } as const;
const FIGURES = {
  50: "p50_latency_ms",
  95: "p95_latency_ms",
  99: "p99_latency_ms",
} as const;

/** Percentiles over time, the jitter as a band around the median; gaps where nothing was measured. */
export function LatencyChart(props: Props) {
  const { metrics, series, span, percentiles, showJitter, reasons, marks = [], onStep } = props;
  const colours = useColours();
  const option = useMemo(() => {
    const { bucket, step_s: step } = series;
    const lines = percentiles.map((percentile) => {
      const values = series[NAMES[percentile]];
      return {
        name: `p${percentile}`,
        type: "line" as const,
        data: points(bucket, step, values),
        symbol: "circle",
        symbolSize: (_: unknown, at: { dataIndex: number }) =>
          isAlone(values, at.dataIndex) ? 5 : 0,
        showAllSymbol: true,
        lineStyle: { width: percentile === 99 ? 2 : 1.6 },
        color: colours[`p${percentile}`],
        emphasis: { disabled: true },
        z: percentile,
      };
    });
    const edge = (sign: number) =>
      points(
        bucket,
        step,
        series.p50_ms.map((median, at) => {
          const jitter = series.jitter_ms[at] ?? null;
          if (median === null || jitter === null) return null;
          const low = Math.max(0, median - jitter);
          return sign < 0 ? low : median + jitter - low;
        }),
      );
    const band = [-1, 1].map((sign) => ({
      name: sign < 0 ? "band from" : "band",
      type: "line" as const,
      stack: "jitter",
      data: edge(sign),
      symbol: "none",
      lineStyle: { width: 0 },
      ...(sign > 0 && { areaStyle: { color: colours.p50, opacity: 0.22 } }),
      emphasis: { disabled: true },
      silent: true,
      z: 1,
    }));
    const worst = Math.max(0, ...series.p99_ms.map((value) => value ?? 0));
    const [last] = lines.slice(-1);
    if (last) {
      Object.assign(last, {
        markArea: markArea(marks, colours),
        ...(worst > LIMIT_MS * 0.6 && {
          markLine: {
            silent: true,
            symbol: "none",
            animation: false,
            lineStyle: { color: colours.bad, type: [4, 4], width: 1 },
            label: { formatter: "alert at 500 ms", color: colours.bad, fontSize: 10, position: "insideEndTop" },
            data: [{ yAxis: LIMIT_MS }],
          },
        }),
      });
    }
    return {
      animation: false,
      grid: GRID,
      xAxis: timeAxis(colours, span),
      yAxis: { ...valueAxis(colours, (value) => text(ms(value))), min: 0 },
      tooltip: {
        ...TOOLTIP,
        trigger: "axis",
        formatter: (at: unknown) => {
          const first = (at as { dataIndex: number }[])[0]?.dataIndex ?? 0;
          const row = (name: string, value: number | null | undefined, color?: string) => ({
            label: name,
            value: text(ms(value ?? null)),
            ...(color && { color }),
          });
          const start = bucket[first] ?? 0;
          const now = marks.filter((mark) => mark.from < start + step * 1000 && mark.to >= start);
          return tip(
            `${time(start)} – ${time(start + step * 1000, "clock")}`,
            [
              ...percentiles
                .toReversed()
                .map((p) => row(`p${p}`, series[NAMES[p]][first], colours[`p${p}`])),
              row("jitter", series.jitter_ms[first]),
            ],
            now.map((mark) => clean(mark.title)).join(" · ") || undefined,
          );
        },
      },
      series: [...(showJitter ? band : []), ...lines],
    };
  }, [series, span, percentiles, showJitter, marks, colours]);

  return (
    <>
      <Stats
        of={[
          ...percentiles.map((p) => ({
            label: `p${p}`,
            swatch: colours[`p${p}`],
            value: (
              <Figure
                value={metrics[FIGURES[p]]}
                format={ms}
                name={FIGURES[p]}
                reason={reasonOf(reasons, `latency_metrics.${FIGURES[p]}`)}
              />
            ),
          })),
          {
            label: "mean",
            value: (
              <Figure
                value={metrics.avg_latency_ms}
                format={ms}
                name="avg_latency_ms"
                reason={reasonOf(reasons, "latency_metrics.avg_latency_ms")}
              />
            ),
          },
          {
            label: "jitter",
            value: (
              <Figure
                value={metrics.jitter_ms}
                format={ms}
                name="jitter_ms"
                reason={reasonOf(reasons, "latency_metrics.jitter_ms")}
              />
            ),
          },
        ]}
      />
      <Chart
        option={option}
        group="time"
        className={onStep ? "is-clickable" : ""}
        label={`Latency over time: median ${text(ms(metrics.p50_latency_ms))}, 99th percentile ${text(ms(metrics.p99_latency_ms))} over the period. The table has every step.`}
        onPoint={(x) => {
          const at = series.bucket.findLast((start) => start <= x);
          if (at !== undefined && x < at + series.step_s * 1000) onStep?.(at);
        }}
      />
    </>
  );
}

export function LatencyTable({ series }: { series: Series }) {
  const rows = series.bucket
    .map((at, index) => ({ at, index }))
    .filter(({ index }) => series.p50_ms[index] != null);
  return (
    <DataTable
      caption="Latency by step"
      rows={rows.toReversed()}
      rowKey={(row) => row.at}
      columns={[
        { name: "From", cell: (row) => time(row.at), by: (row) => row.at },
        ...(["p50_ms", "p95_ms", "p99_ms", "jitter_ms"] as const).map((name) => ({
          name: name.replace("_ms", ""),
          isNumber: true,
          cell: (row: { index: number }) => (
            <Figure value={series[name][row.index]} format={ms} name={name} />
          ),
          by: (row: { index: number }) => series[name][row.index] ?? null,
        })),
      ]}
    />
  );
}
