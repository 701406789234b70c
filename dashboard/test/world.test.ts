import { expect, test } from "vitest";
import { splitRing, world } from "../world";

test("no line of the map goes from edge to edge", () => {
  let rings = 0;
  for (const country of world()) {
    for (const polygon of country.geometry.coordinates) {
      for (const ring of polygon) {
        rings += 1;
        expect(ring[0]).toEqual(ring.at(-1));
        for (const [at, point] of ring.entries()) {
          const before = ring[at - 1];
          if (before) expect(Math.abs((point[0] ?? 0) - (before[0] ?? 0))).toBeLessThanOrEqual(180);
        }
      }
    }
  }
  expect(rings).toBeGreaterThan(250);
});

test("a ring over the antimeridian becomes one part on each side", () => {
  const parts = splitRing([
    [170, 0],
    [-170, 0],
    [-170, 10],
    [170, 10],
    [170, 0],
  ]);
  expect(parts).toHaveLength(2);
  const sides = parts.map((part) => new Set(part.map((point) => Math.sign(point[0] ?? 0))));
  expect(sides).toEqual([new Set([1]), new Set([-1])]);
});
