import { useMemo } from "react";
import type { Agent, Figure as Value, Region } from "../api";
import { Chart } from "../charts/Chart";
import { TOOLTIP, tip } from "../charts/tooltip";
import { UNKNOWN, bytes, clean, ms, percent, text } from "../format";
import { DataTable } from "../parts/DataTable";
import { Figure } from "../parts/Figure";
import { useColours, type Colours } from "../theme";

interface Props {
  regions: readonly Region[];
  /** Lines from each region to the agent that is nearest to it. */
  showOptimalRoutes: boolean;
  agents: readonly Agent[];
}

const FAST_MS = 50; // the specification's goal for regional traffic
const SLOW_MS = 150;
const SMALLEST = 7;
const LARGEST = 26;

/** The median, or the mean where no histogram tells one. */
function typical(one: Region): Value {
  return one.p50_ms ?? one.avg_ms;
}

export function speed(p50: Value): "fast" | "medium" | "slow" | "unknown" {
  if (p50 === null) return "unknown";
  return p50 < FAST_MS ? "fast" : p50 < SLOW_MS ? "medium" : "slow";
}

function colourOf(p50: Value, colours: Colours): string {
  return { fast: colours.good, medium: colours.warn, slow: colours.bad, unknown: colours.faint }[
    speed(p50)
  ];
}

export function agentName(agents: readonly Agent[], id: string | null): string {
  if (id === null) return UNKNOWN;
  const found = agents.find((one) => one.agent_id === id);
  return found?.hostname ? clean(found.hostname, 60) : id.slice(0, 8);
}

type Placed = Region & { lat: number; lon: number };

export function placed(regions: readonly Region[]): Placed[] {
  return regions.filter((one): one is Placed => one.lat !== null && one.lon !== null);
}

/** Where the other ends are, how far in time, and which agent is nearest. */
export function GeographicLatencyMap({ regions, showOptimalRoutes, agents }: Props) {
  const colours = useColours();
  const option = useMemo(() => {
    const shown = placed(regions);
    const most = Math.max(1, ...shown.map((one) => one.bytes ?? 0));
    const place = new Map(shown.map((one) => [one.region, [one.lon, one.lat]]));
    const routes = shown.flatMap((one) => {
      const home = agents.find((agent) => agent.agent_id === one.best_agent_id)?.region;
      const from = home ? place.get(home) : undefined;
      return from && home !== one.region
        ? [{ coords: [from, [one.lon, one.lat]], lineStyle: { color: colourOf(typical(one), colours) } }]
        : [];
    });
    return {
      animation: false,
      geo: {
        map: "world",
        roam: false,
        silent: true,
        left: 4,
        right: 4,
        top: 4,
        bottom: 4,
        boundingCoords: [
          [-168, 78],
          [180, -56],
        ],
        itemStyle: { areaColor: colours.land, borderColor: colours.coast, borderWidth: 0.6 },
      },
      tooltip: {
        ...TOOLTIP,
        trigger: "item",
        formatter: (at: unknown) => {
          const { seriesType, dataIndex } = at as { seriesType: string; dataIndex: number };
          const one = shown[dataIndex];
          if (seriesType !== "scatter" || !one) return "";
          return tip(clean(one.name ?? one.region), [
            { label: "mean", value: text(ms(one.avg_ms)), color: colourOf(typical(one), colours) },
            { label: "p50", value: text(ms(one.p50_ms)) },
            { label: "p95", value: text(ms(one.p95_ms)) },
            { label: "traffic", value: text(bytes(one.bytes)) },
            { label: "errors", value: text(percent(one.error_rate)) },
            { label: "best agent", value: agentName(agents, one.best_agent_id) },
          ]);
        },
      },
      series: [
        ...(showOptimalRoutes
          ? [
              {
                type: "lines" as const,
                coordinateSystem: "geo" as const,
                silent: true,
                lineStyle: { width: 1.2, opacity: 0.55, curveness: 0.25 },
                data: routes,
              },
            ]
          : []),
        {
          type: "scatter" as const,
          coordinateSystem: "geo" as const,
          symbolSize: (_: unknown, at: { dataIndex: number }) =>
            SMALLEST + (LARGEST - SMALLEST) * Math.sqrt((shown[at.dataIndex]?.bytes ?? 0) / most),
          data: shown.map((one) => ({
            value: [one.lon, one.lat],
            itemStyle: {
              color: colourOf(typical(one), colours),
              opacity: 0.85,
              borderColor: colours.surface,
              borderWidth: 1,
            },
          })),
          emphasis: { scale: 1.15 },
        },
      ],
    };
  }, [regions, agents, showOptimalRoutes, colours]);
  const nowhere = regions.length - placed(regions).length;
  return (
    <div className="map">
      <Chart
        option={option}
        className="map-chart"
        label={`World map of ${placed(regions).length} regions by latency. The table has every region.`}
        prepare={async (library) => {
          const world = await import("virtual:world");
          library.registerMap("world", world.default as never);
        }}
      />
      <p className="keys">
        <span>
          <i className="dot" style={{ background: colours.good }} /> below {FAST_MS} ms
        </span>
        <span>
          <i className="dot" style={{ background: colours.warn }} /> below {SLOW_MS} ms
        </span>
        <span>
          <i className="dot" style={{ background: colours.bad }} /> slower
        </span>
        <span className="muted">
          median, else mean; size: traffic{showOptimalRoutes ? "; lines: from the nearest agent" : ""}
          {nowhere > 0 ? `; ${nowhere} without a place` : ""}
        </span>
      </p>
    </div>
  );
}

export function RegionTable({ regions, agents }: Pick<Props, "regions" | "agents">) {
  return (
    <DataTable
      caption="Regions"
      rows={regions}
      rowKey={(one) => one.region}
      columns={[
        { name: "Region", cell: (one) => clean(one.name ?? one.region), by: (one) => one.name ?? one.region },
        { name: "Mean", isNumber: true, cell: (one) => <Figure value={one.avg_ms} format={ms} name="avg_ms" />, by: (one) => one.avg_ms },
        { name: "p50", isNumber: true, cell: (one) => <Figure value={one.p50_ms} format={ms} name="p50_ms" />, by: (one) => one.p50_ms },
        { name: "p95", isNumber: true, cell: (one) => <Figure value={one.p95_ms} format={ms} name="p95_ms" />, by: (one) => one.p95_ms },
        { name: "Traffic", isNumber: true, cell: (one) => <Figure value={one.bytes} format={bytes} name="bytes" />, by: (one) => one.bytes },
        { name: "Errors", isNumber: true, cell: (one) => <Figure value={one.error_rate} format={percent} name="error_rate" />, by: (one) => one.error_rate },
        { name: "Best agent", cell: (one) => agentName(agents, one.best_agent_id), by: (one) => agentName(agents, one.best_agent_id) },
      ]}
    />
  );
}
