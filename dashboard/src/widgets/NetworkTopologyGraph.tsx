import { useMemo } from "react";
import type { TopologyEdge, TopologyNode } from "../api";
import { Chart } from "../charts/Chart";
import { TOOLTIP, tip } from "../charts/tooltip";
import { UNKNOWN, bytes, clean, count, ms, percent, text, words } from "../format";
import { DataTable } from "../parts/DataTable";
import { Figure } from "../parts/Figure";
import { useColours, type Colours } from "../theme";
import { layout, tier } from "./layout";

interface Props {
  nodes: readonly TopologyNode[];
  edges: readonly TopologyEdge[];
  highlightCriticalPaths: boolean;
}

const MOST_IN_COLUMN = 26;
const LONGEST = 22;
const SHAPES: Record<string, string> = {
  gateway: "diamond",
  router: "diamond",
  switch: "rect",
  service: "roundRect",
};

function evidenceOf(of: readonly string[]): string {
  return of.map((one) => clean(one, 40)).join(", ") || UNKNOWN;
}

/** The busiest nodes, and those that others depend on; the rest is in the table. */
export function drawn(nodes: readonly TopologyNode[], edges: readonly TopologyEdge[]) {
  const traffic = new Map<string, number>();
  for (const edge of edges)
    for (const id of [edge.source, edge.target])
      traffic.set(id, (traffic.get(id) ?? 0) + (edge.bytes ?? 0));
  const weight = (node: TopologyNode) => (node.is_spof ? 1e18 : 0) + (traffic.get(node.id) ?? 0);
  const room = new Map<number, number>();
  const shown = [...nodes]
    .sort((a, b) => weight(b) - weight(a))
    .filter((node) => {
      const column = tier(node);
      const taken = room.get(column) ?? 0;
      room.set(column, taken + 1);
      return taken < MOST_IN_COLUMN;
    });
  const ids = new Set(shown.map((node) => node.id));
  const between = edges.filter(({ source, target }) => source !== target && ids.has(source) && ids.has(target)); // prettier-ignore
  return { shown, links: joined(between), traffic };
}

/** One line for a pair of nodes: the same octets are seen as a step of a path and as a service. */
function joined(edges: readonly TopologyEdge[]): TopologyEdge[] {
  const pairs = new Map<string, TopologyEdge>();
  for (const edge of edges) {
    const key = [edge.source, edge.target].sort().join(" ");
    const other = pairs.get(key);
    if (!other) {
      pairs.set(key, edge);
      continue;
    }
    const most = (name: "bytes" | "connections" | "errors" | "confidence") =>
      other[name] === null ? edge[name] : Math.max(other[name], edge[name] ?? 0);
    pairs.set(key, {
      ...other,
      kind: [...new Set([other.kind, edge.kind])].join(", "),
      bytes: most("bytes"),
      connections: most("connections"),
      errors: most("errors"),
      confidence: most("confidence"),
      latency_avg_ms: other.latency_avg_ms ?? edge.latency_avg_ms,
      evidence: [...new Set([...other.evidence, ...edge.evidence])],
      is_critical: other.is_critical || edge.is_critical,
    });
  }
  return [...pairs.values()];
}

function nameOf(node: TopologyNode): string {
  return clean(node.name ?? node.ip ?? node.mac ?? node.id, 40);
}

function short(name: string): string {
  return name.length > LONGEST ? `${name.slice(0, LONGEST - 1)}…` : name;
}

function colourOf(node: TopologyNode, colours: Colours): string {
  if (node.is_spof) return colours.bad;
  return node.role === "gateway" || node.role === "router" || node.role === "switch"
    ? colours.p95
    : node.role === "service"
      ? colours.p99
      : colours.p50;
}

/** Who is connected to whom, and how sure that is: solid lines were seen, dashed ones concluded. */
export function NetworkTopologyGraph({ nodes, edges, highlightCriticalPaths }: Props) {
  const colours = useColours();
  const { shown, links, traffic } = useMemo(() => drawn(nodes, edges), [nodes, edges]);
  const option = useMemo(() => {
    const spots = layout(shown, links);
    const most = Math.max(1, ...links.map((edge) => edge.bytes ?? 0));
    const axis = { type: "value" as const, min: 0, max: 1, show: false };
    return {
      animation: false,
      grid: { left: 132, right: 132, top: 4, bottom: 4 },
      xAxis: axis,
      yAxis: { ...axis, inverse: true },
      tooltip: {
        ...TOOLTIP,
        trigger: "item",
        formatter: (at: unknown) => {
          const { dataType, dataIndex } = at as { dataType: string; dataIndex: number };
          if (dataType === "edge") {
            const edge = links[dataIndex];
            return edge ? edgeTip(edge, shown) : "";
          }
          const node = shown[dataIndex];
          return node
            ? tip(
                nameOf(node),
                [
                  { label: "role", value: words(node.role ?? "host"), color: colourOf(node, colours) },
                  ...(node.ip ? [{ label: "address", value: clean(node.ip, 60) }] : []),
                  ...(node.mac ? [{ label: "MAC", value: clean(node.mac, 30) }] : []),
                  { label: "hops", value: text(count(node.hops)) },
                  { label: "traffic", value: text(bytes(traffic.get(node.id) ?? null)) },
                  { label: "evidence", value: evidenceOf(node.evidence) },
                ],
                node.is_spof ? "single point of failure in what was observed" : undefined,
              )
            : "";
        },
      },
      series: [
        {
          type: "graph" as const,
          coordinateSystem: "cartesian2d" as const,
          data: shown.map((node) => {
            const spot = spots.get(node.id) ?? { x: 0, y: 0, side: "top" as const };
            return {
              id: node.id,
              value: [spot.x, spot.y],
              symbol: SHAPES[node.role ?? ""] ?? "circle",
              symbolSize: node.is_spof ? 16 : 9,
              itemStyle: {
                color: colourOf(node, colours),
                borderColor: node.is_spof ? colours.text : colours.surface,
                borderWidth: node.is_spof ? 2 : 1,
              },
              label: {
                show: true,
                formatter: () => short(nameOf(node)),
                color: colours.muted,
                fontSize: 10,
                position: spot.side,
              },
            };
          }),
          links: links.map((edge) => ({
            source: edge.source,
            target: edge.target,
            lineStyle: {
              color: highlightCriticalPaths && edge.is_critical ? colours.bad : colours.faint,
              width: 0.6 + 3.4 * Math.sqrt((edge.bytes ?? 0) / most),
              opacity: 0.2 + 0.4 * (edge.confidence ?? 0.5),
              type: (edge.confidence ?? 0) >= 0.8 ? ("solid" as const) : ("dashed" as const),
              curveness: 0,
            },
          })),
          labelLayout: { hideOverlap: true },
          emphasis: { focus: "adjacency" as const, label: { show: true } },
        },
      ],
    };
  }, [shown, links, traffic, highlightCriticalPaths, colours]);
  const spof = nodes.filter((node) => node.is_spof);
  return (
    <div className="map">
      <Chart
        option={option}
        className="map-chart"
        label={`Topology of ${nodes.length} nodes and ${edges.length} links, ${spof.length} single points of failure. The table has every link.`}
      />
      <p className="keys">
        <span>
          <i className="dot" style={{ background: colours.p50 }} /> host
        </span>
        <span>
          <i className="dot" style={{ background: colours.p95 }} /> network
        </span>
        <span>
          <i className="dot" style={{ background: colours.p99 }} /> service
        </span>
        <span>
          <i className="dot" style={{ background: colours.bad }} /> single point of failure
        </span>
        <span>
          <i className="dash" /> concluded
        </span>
        {shown.length < nodes.length && (
          <span className="muted">
            the busiest {shown.length} of {nodes.length} nodes
          </span>
        )}
      </p>
    </div>
  );
}

function edgeTip(edge: TopologyEdge, nodes: readonly TopologyNode[]): HTMLElement {
  const name = (id: string) => {
    const node = nodes.find((one) => one.id === id);
    return node ? nameOf(node) : clean(id, 40);
  };
  return tip(
    `${name(edge.source)} – ${name(edge.target)}`,
    [
      { label: "kind", value: words(edge.kind ?? UNKNOWN) },
      { label: "traffic", value: text(bytes(edge.bytes)) },
      { label: "connections", value: text(count(edge.connections)) },
      { label: "errors", value: text(count(edge.errors)) },
      { label: "mean latency", value: text(ms(edge.latency_avg_ms)) },
      { label: "evidence", value: evidenceOf(edge.evidence) },
      { label: "confidence", value: text(percent(edge.confidence)) },
    ],
    edge.is_critical ? "critical path" : undefined,
  );
}

export function TopologyTable({ nodes, edges }: Pick<Props, "nodes" | "edges">) {
  const names = new Map(nodes.map((node) => [node.id, nameOf(node) + (node.is_spof ? " ●" : "")]));
  const name = (id: string) => names.get(id) ?? clean(id, 40);
  return (
    <DataTable
      caption="Links; ● marks single points of failure"
      rows={edges}
      rowKey={(_, at) => at}
      columns={[
        { name: "From", cell: (edge) => <bdi>{name(edge.source)}</bdi>, by: (edge) => name(edge.source) },
        { name: "To", cell: (edge) => <bdi>{name(edge.target)}</bdi>, by: (edge) => name(edge.target) },
        { name: "Kind", cell: (edge) => words(edge.kind ?? UNKNOWN), by: (edge) => edge.kind },
        { name: "Traffic", isNumber: true, cell: (edge) => <Figure value={edge.bytes} format={bytes} name="bytes" />, by: (edge) => edge.bytes },
        { name: "Latency", isNumber: true, cell: (edge) => <Figure value={edge.latency_avg_ms} format={ms} name="latency_avg_ms" />, by: (edge) => edge.latency_avg_ms },
        { name: "Errors", isNumber: true, cell: (edge) => <Figure value={edge.errors} format={count} name="errors" />, by: (edge) => edge.errors },
        { name: "Evidence", cell: (edge) => evidenceOf(edge.evidence) },
        { name: "Critical", cell: (edge) => (edge.is_critical ? "yes" : ""), by: (edge) => Number(edge.is_critical) },
      ]}
    />
  );
}
