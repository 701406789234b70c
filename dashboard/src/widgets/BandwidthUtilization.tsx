import { useMemo } from "react";
import type { Bandwidth, Figure as Value, Reasons, Series } from "../api";
import { Chart } from "../charts/Chart";
import {
  GRID, isAlone, markArea, points, timeAxis, valueAxis, type Mark, type Span,
} from "../charts/time"; // prettier-ignore
import { TOOLTIP, tip } from "../charts/tooltip";
import { clean, mbps, percent, text, time } from "../format";
import { DataTable } from "../parts/DataTable";
import { Figure, reasonOf } from "../parts/Figure";
import { Stats } from "../parts/Stats";
import { useColours } from "../theme";

interface Props {
  ingress: Value;
  egress: Value;
  /** Of the link, Mbit/s; null when it is not known: then no line is drawn. */
  capacity: Value;
  utilization: Value;
  series: Series;
  span: Span | null;
  usage?: Bandwidth["usage_patterns"] | undefined;
  reasons?: Reasons | undefined;
  marks?: readonly Mark[];
}

/** Traffic in (up) and out (down) against the link's capacity. */
export function BandwidthUtilization(props: Props) {
  const { ingress, egress, capacity, utilization, series, span, usage, reasons, marks = [] } = props;
  const colours = useColours();
  const option = useMemo(() => {
    const { bucket, step_s: step } = series;
    const sides = [
      { name: "in", values: series.ingress_mbps, sign: 1, color: colours.ingress },
      { name: "out", values: series.egress_mbps, sign: -1, color: colours.egress },
    ].map(({ name, values, sign, color }) => ({
      name,
      type: "line" as const,
      data: points(bucket, step, values.map((value) => (value === null ? null : value * sign))),
      symbol: "circle",
      symbolSize: (_: unknown, at: { dataIndex: number }) =>
        isAlone(values, at.dataIndex) ? 5 : 0,
      showAllSymbol: true,
      color,
      lineStyle: { width: 1.6 },
      areaStyle: { color, opacity: 0.24 },
      emphasis: { disabled: true },
      markLine: {
        silent: true,
        symbol: "none",
        animation: false,
        lineStyle: { color: colours.bad, type: [5, 4], width: 1 },
        label: {
          formatter: sign > 0 ? "capacity" : "",
          color: colours.bad,
          fontSize: 10,
          position: "insideEndTop",
        },
        data: [
          ...(capacity === null ? [] : [{ yAxis: capacity * sign }]),
          ...(sign > 0
            ? [{ yAxis: 0, lineStyle: { color: colours.faint, type: "solid" }, label: { show: false } }]
            : []),
        ],
      },
      ...(sign > 0 && { markArea: markArea(marks, colours) }),
    }));
    const label = (value: number) => text(mbps(Math.abs(value)));
    const reach = (most: number) => (capacity === null ? most : Math.max(most, capacity * 1.05));
    return {
      animation: false,
      grid: GRID,
      xAxis: { ...timeAxis(colours, span), axisLine: { show: false } },
      yAxis: {
        ...valueAxis(colours, label),
        ...(capacity !== null && {
          max: (value: { max: number }) => reach(value.max),
          min: (value: { min: number }) => -reach(-value.min),
        }),
      },
      tooltip: {
        ...TOOLTIP,
        trigger: "axis",
        formatter: (at: unknown) => {
          const first = (at as { dataIndex: number }[])[0]?.dataIndex ?? 0;
          const start = bucket[first] ?? 0;
          const now = marks.filter((mark) => mark.from < start + step * 1000 && mark.to >= start);
          const peak = series.peak_ingress_mbps[first] ?? null;
          return tip(
            `${time(start)} – ${time(start + step * 1000, "clock")}`,
            [
              { label: "in", value: text(mbps(series.ingress_mbps[first] ?? null)), color: colours.ingress },
              { label: "out", value: text(mbps(series.egress_mbps[first] ?? null)), color: colours.egress },
              ...(peak === null ? [] : [{ label: "busiest second in", value: text(mbps(peak)) }]),
            ],
            now.map((mark) => clean(mark.title)).join(" · ") || undefined,
          );
        },
      },
      series: sides,
    };
  }, [series, span, capacity, marks, colours]);
  const why = (name: string) => reasonOf(reasons, `bandwidth_metrics.${name}`);
  return (
    <>
      <Stats
        of={[
          {
            label: "in",
            swatch: colours.ingress,
            value: <Figure value={ingress} format={mbps} name="ingress_mbps" reason={why("ingress_mbps")} />,
          },
          {
            label: "out",
            swatch: colours.egress,
            value: <Figure value={egress} format={mbps} name="egress_mbps" reason={why("egress_mbps")} />,
          },
          {
            label: "utilization",
            value: (
              <Figure
                value={utilization}
                format={percent}
                name="bandwidth_utilization"
                reason={why("bandwidth_utilization")}
              />
            ),
          },
          ...(usage
            ? [
                {
                  label: "busiest second",
                  value: <Figure value={usage.peak_bandwidth_mbps} format={mbps} name="peak_bandwidth_mbps" />,
                },
                {
                  label: "busiest minute",
                  value: (
                    <Figure
                      value={usage.sustained_throughput_mbps}
                      format={mbps}
                      name="sustained_throughput_mbps"
                    />
                  ),
                },
              ]
            : []),
        ]}
      />
      <Chart
        option={option}
        group="time"
        label={`Bandwidth over time: ${text(mbps(ingress))} in and ${text(mbps(egress))} out on average. The table has every step.`}
      />
    </>
  );
}

export function BandwidthTable({ series }: { series: Series }) {
  const rows = series.bucket
    .map((at, index) => ({ at, index }))
    .filter(({ index }) => series.ingress_mbps[index] != null || series.egress_mbps[index] != null);
  return (
    <DataTable
      caption="Bandwidth by step"
      rows={rows.toReversed()}
      rowKey={(row) => row.at}
      columns={[
        { name: "From", cell: (row) => time(row.at), by: (row) => row.at },
        ...(
          [
            ["In", "ingress_mbps"],
            ["Out", "egress_mbps"],
            ["Busiest second in", "peak_ingress_mbps"],
          ] as const
        ).map(([label, name]) => ({
          name: label,
          isNumber: true,
          cell: (row: { index: number }) => (
            <Figure value={series[name][row.index]} format={mbps} name={name} />
          ),
          by: (row: { index: number }) => series[name][row.index] ?? null,
        })),
      ]}
    />
  );
}
