/** Natural Earth's countries (npm world-atlas) as GeoJSON for the map, made when the page is built. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { Feature, MultiPolygon, Polygon, Position } from "geojson";
import { feature } from "topojson-client";
import type { GeometryCollection, Topology } from "topojson-specification";
import type { Plugin } from "vite";

const NAME = "virtual:world";
const ANTARCTICA = "010";

type Countries = Topology<{ countries: GeometryCollection<{ name: string }> }>;

/**
 * A ring cut where it crosses the antimeridian (|Δlon| > 180), each part on its own side of it.
 * Without the cut a map draws a streak from edge to edge.
 */
export function splitRing(ring: Position[]): Position[][] {
  const parts: Position[][] = [];
  let part: Position[] = [];
  for (const [at, point] of ring.entries()) {
    const before = ring[at - 1];
    if (before && Math.abs(lon(point) - lon(before)) > 180) {
      const side = lon(before) > 0 ? 180 : -180;
      const crossing = latitudeAtEdge(before, point);
      part.push([side, crossing]);
      parts.push(part);
      part = [[-side, crossing]];
    }
    part.push(point);
  }
  const first = parts[0];
  if (first) first.unshift(...part);
  else parts.push(part);
  return parts.filter((one) => one.length > 2).map(closed);
}

function lon(point: Position): number {
  return point[0] ?? 0;
}

function lat(point: Position): number {
  return point[1] ?? 0;
}

function latitudeAtEdge(from: Position, to: Position): number {
  const span = 360 - Math.abs(lon(to) - lon(from));
  const share = span ? (180 - Math.abs(lon(from))) / span : 0;
  return lat(from) + share * (lat(to) - lat(from));
}

function closed(ring: Position[]): Position[] {
  const first = ring[0];
  const last = ring.at(-1);
  const isClosed = first && last && lon(first) === lon(last) && lat(first) === lat(last);
  return first && !isClosed ? [...ring, first] : ring;
}

function rounded(ring: Position[]): Position[] {
  return ring.map((point) => [Math.round(lon(point) * 10) / 10, Math.round(lat(point) * 10) / 10]);
}

/** All land in one feature: the map shows coasts and borders, and names no country. */
export function world(): Feature<MultiPolygon>[] {
  const path = createRequire(import.meta.url).resolve("world-atlas/countries-110m.json");
  const topology = JSON.parse(readFileSync(path, "utf8")) as Countries;
  return feature(topology, topology.objects.countries)
    .features.filter((one) => one.id !== ANTARCTICA)
    .map((one) => ({
      type: "Feature",
      properties: { name: String(one.id ?? one.properties.name) },
      geometry: { type: "MultiPolygon", coordinates: polygons(one.geometry as Polygon) },
    }));
}

/** Holes are left out: at this scale only Lesotho is one, and it is drawn on top. */
function polygons(geometry: Polygon | MultiPolygon): Position[][][] {
  const all = geometry.type === "Polygon" ? [geometry.coordinates] : geometry.coordinates;
  return all.flatMap((one) => splitRing(one[0] ?? []).map((ring) => [rounded(ring)]));
}

export function worldPlugin(): Plugin {
  return {
    name: "world",
    resolveId: (id) => (id === NAME ? `\0${NAME}` : null),
    load: (id) =>
      id === `\0${NAME}`
        ? `export default ${JSON.stringify({ type: "FeatureCollection", features: world() })};`
        : null,
  };
}
