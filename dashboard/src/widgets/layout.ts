/**
 * Where a topology's nodes are drawn: rings of hops around the busiest node, children beside their
 * parent. The same graph always looks the same, and nothing moves by itself.
 */
import type { TopologyEdge, TopologyNode } from "../api";

export interface Spot {
  x: number;
  y: number;
  /** Direction from the centre, radians. */
  angle: number;
  depth: number;
}

export function layout(nodes: readonly TopologyNode[], edges: readonly TopologyEdge[]): Map<string, Spot> {
  const near = new Map<string, string[]>(nodes.map((node) => [node.id, []]));
  for (const { source, target } of edges) {
    if (source === target) continue;
    if (near.has(source) && near.has(target)) {
      near.get(source)?.push(target);
      near.get(target)?.push(source);
    }
  }
  const degree = (id: string) => new Set(near.get(id)).size;
  const byDegree = nodes.map((node) => node.id).sort((a, b) => degree(b) - degree(a) || (a < b ? -1 : 1));
  const children = new Map<string, string[]>();
  const seen = new Set<string>();
  const roots: string[] = [];
  for (const root of byDegree) {
    if (seen.has(root)) continue;
    seen.add(root);
    roots.push(root);
    const queue = [root];
    for (let id = queue.shift(); id !== undefined; id = queue.shift()) {
      const mine = [...new Set(near.get(id))].filter((one) => !seen.has(one)).sort();
      for (const one of mine) seen.add(one);
      children.set(id, mine);
      queue.push(...mine);
    }
  }
  const leaves = new Map<string, number>();
  const count = (id: string): number => {
    const mine = children.get(id) ?? [];
    const sum = mine.reduce((total, one) => total + count(one), 0) || 1;
    leaves.set(id, sum);
    return sum;
  };
  const whole = roots.reduce((total, root) => total + count(root), 0);
  const spots = new Map<string, Spot>();
  const put = (id: string, from: number, to: number, depth: number): void => {
    const angle = (from + to) / 2;
    const radius = depth * 100;
    spots.set(id, { x: radius * Math.cos(angle), y: radius * Math.sin(angle), angle, depth });
    let at = from;
    for (const child of children.get(id) ?? []) {
      const share = ((to - from) * (leaves.get(child) ?? 1)) / (leaves.get(id) ?? 1);
      put(child, at, at + share, depth + 1);
      at += share;
    }
  };
  let at = -Math.PI / 2;
  for (const [index, root] of roots.entries()) {
    const share = (2 * Math.PI * (leaves.get(root) ?? 1)) / Math.max(1, whole);
    // Parts that are not connected to the first go around it.
    put(root, at, at + share, index === 0 ? 0 : 1);
    at += share;
  }
  return spots;
}
