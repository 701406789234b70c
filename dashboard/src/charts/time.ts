/** What charts over time have in common. */
import type { XAXisComponentOption, YAXisComponentOption } from "echarts";
import { moment, time } from "../format";
import type { Colours } from "../theme";
import type { Figure, SecurityEvent, Text } from "../api";

/** The same left edge in every chart over time: what is above one another happened together. */
export const GRID = { left: 70, right: 14, top: 14, bottom: 22 };
const DAY_MS = 86_400_000;

export interface Span {
  since: number;
  until: number;
}

export function spanOf(from: { since: Text; until: Text }): Span | null {
  const since = moment(from.since);
  const until = moment(from.until);
  return since === null || until === null ? null : { since, until };
}

export function timeAxis(colours: Colours, span: Span | null): XAXisComponentOption {
  const isVeryLong = span !== null && span.until - span.since > 8 * DAY_MS;
  return {
    type: "time",
    ...(span && { min: span.since, max: span.until }),
    axisLine: { lineStyle: { color: colours.line } },
    axisTick: { show: false },
    splitLine: { show: false },
    axisLabel: {
      color: colours.muted,
      fontSize: 11,
      hideOverlap: true,
      showMinLabel: false,
      showMaxLabel: false,
      formatter: (at: number) => {
        const isDay = isVeryLong || time(at, "clock") === "00:00";
        return time(at, isDay ? "day" : "clock");
      },
    },
    axisPointer: {
      type: "line",
      lineStyle: { color: colours.faint, type: "solid", width: 1 },
      label: { show: false },
    },
  };
}

export function valueAxis(colours: Colours, label: (value: number) => string): YAXisComponentOption {
  return {
    type: "value",
    splitNumber: 4,
    axisLine: { show: false },
    axisTick: { show: false },
    splitLine: { lineStyle: { color: colours.line, width: 1 } },
    axisLabel: { color: colours.muted, fontSize: 11, formatter: label },
  };
}

export type Point = [number, Figure];

/** A step is drawn at its middle: its figure is of the whole of it. */
export function points(buckets: readonly number[], stepS: number, values: readonly Figure[]): Point[] {
  const half = stepS * 500;
  return buckets.map((at, index) => [at + half, values[index] ?? null]);
}

/** Points without a neighbour, which a line alone would not show. */
export function isAlone(values: readonly Figure[], at: number): boolean {
  return values[at] != null && values[at - 1] == null && values[at + 1] == null;
}

export interface Mark {
  from: number;
  to: number;
  severity: string;
  title: string;
}

const MOST_MARKS = 40;

/** Events as bands on a chart over time. */
export function marksOf(events: readonly SecurityEvent[], span: Span | null): Mark[] {
  if (!span) return [];
  const made: Mark[] = [];
  for (const event of events) {
    const detected = moment(event.detected_at);
    if (detected === null) continue;
    const from = Math.max(span.since, detected);
    const to = Math.min(span.until, moment(event.resolved_at) ?? span.until);
    if (to >= from)
      made.push({ from, to, severity: event.severity ?? "info", title: event.title ?? "" });
  }
  return made.slice(0, MOST_MARKS);
}

export function markArea(marks: readonly Mark[], colours: Colours) {
  const colour = (severity: string) =>
    severity in colours ? colours[severity as "high"] : colours.info;
  return {
    silent: true,
    data: marks.map((mark) => [
      {
        xAxis: mark.from,
        itemStyle: {
          color: colour(mark.severity),
          opacity: 0.1,
          borderColor: colour(mark.severity),
          borderWidth: 1,
          borderType: "dashed" as const,
        },
      },
      { xAxis: mark.to },
    ]),
  };
}
