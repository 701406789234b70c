/**
 * Where a topology's nodes are drawn: columns from the outside to the services, each in an order
 * that keeps lines short. The same graph always looks the same, and nothing moves by itself.
 */
import type { TopologyEdge, TopologyNode } from "../api";

export interface Spot {
  x: number;
  y: number;
  /** Where its label has room. */
  side: "left" | "right" | "top";
}

const SWEEPS = 4;
const EXTERNAL = "external";

/** Outside, forwarders, switches, hosts of ours, services. */
export function tier(node: TopologyNode): number {
  if (node.role === "service") return 4;
  if (node.role === "switch") return 2;
  if (node.role === "gateway" || node.role === "router") return 1;
  return node.segment === EXTERNAL ? 0 : 3;
}

/** In units of the box: both coordinates from 0 to 1. */
export function layout(
  nodes: readonly TopologyNode[],
  edges: readonly TopologyEdge[],
): Map<string, Spot> {
  const near = new Map<string, string[]>(nodes.map((node) => [node.id, []]));
  for (const { source, target } of edges) {
    if (source === target || !near.has(source) || !near.has(target)) continue;
    near.get(source)?.push(target);
    near.get(target)?.push(source);
  }
  const columns = [0, 1, 2, 3, 4]
    .map((at) => nodes.filter((node) => tier(node) === at).map((node) => node.id))
    .filter((column) => column.length > 0);
  const height = new Map<string, number>();
  const spread = (column: string[]) => {
    for (const [at, id] of column.entries()) height.set(id, (at + 0.5) / column.length);
  };
  columns.forEach(spread);
  // Barycentre: each node goes to the mean height of those that it is connected to.
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    for (const column of sweep % 2 ? columns.toReversed() : columns) {
      const wanted = new Map(
        column.map((id) => {
          const others = near.get(id) ?? [];
          const sum = others.reduce((total, other) => total + (height.get(other) ?? 0.5), 0);
          return [id, others.length ? sum / others.length : 0.5];
        }),
      );
      column.sort((a, b) => (wanted.get(a) ?? 0) - (wanted.get(b) ?? 0) || (a < b ? -1 : 1));
      spread(column);
    }
  }
  const last = columns.length - 1;
  return new Map(
    columns.flatMap((column, index) =>
      column.map((id) => [
        id,
        {
          x: last ? index / last : 0.5,
          y: height.get(id) ?? 0.5,
          side: index === 0 ? "left" : index === last ? "right" : "top",
        },
      ]),
    ),
  );
}
