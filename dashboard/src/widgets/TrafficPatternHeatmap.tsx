import { Fragment, useMemo } from "react";
import type { Figure as Value, Heatmap } from "../api";
import { mbps, text, ZONE } from "../format";

interface Props {
  patterns: Heatmap;
  timeGranularity: "hourly";
}

const HOURS = 24;
const WEEK = 7 * HOURS;
const DAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const LEVELS = 9;

/**
 * The week's cells moved by whole hours from UTC to the viewer's zone; null when the zone's offset
 * has minutes, which cells of an hour cannot show.
 */
export function inZone(mbpsUtc: readonly (readonly Value[])[], offsetMinutes: number): Value[][] | null {
  if (offsetMinutes % 60 !== 0) return null;
  const flat = mbpsUtc.flat();
  const shift = offsetMinutes / 60;
  return DAYS.map((_, day) =>
    Array.from({ length: HOURS }, (_, hour) => {
      const at = (((day * HOURS + hour - shift) % WEEK) + WEEK) % WEEK;
      return flat[at] ?? null;
    }),
  );
}

/** Mean traffic by weekday and hour, the quiet and the busy ones of a week. */
export function TrafficPatternHeatmap({ patterns }: Props) {
  const offset = -new Date().getTimezoneOffset();
  const isUtc = (patterns.timezone ?? "UTC") === "UTC";
  const moved = useMemo(
    () => (isUtc ? inZone(patterns.mbps, offset) : null),
    [patterns, isUtc, offset],
  );
  const cells = moved ?? patterns.mbps;
  const zone = moved ? ZONE : (patterns.timezone ?? "UTC");
  const most = Math.max(0, ...cells.flat().map((value) => value ?? 0));
  const level = (value: Value) =>
    value === null ? "none" : most > 0 ? Math.round((value / most) * (LEVELS - 1)) : 0;
  const days = moved ? DAYS : patterns.days;
  return (
    <div className="heat">
      <div className="table-box" tabIndex={0} role="region" aria-label="Traffic by weekday and hour">
        <table>
          <caption className="unseen">Mean traffic by weekday and hour of day, {zone}</caption>
          <thead>
            <tr>
              <td />
              {Array.from({ length: HOURS }, (_, hour) => (
                <th key={hour} scope="col" className={hour % 3 ? "minor" : ""}>
                  {String(hour).padStart(2, "0")}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {cells.map((row, day) => (
              <tr key={days[day] ?? day}>
                <th scope="row">{days[day]}</th>
                {row.map((value, hour) => (
                  <td
                    key={hour}
                    data-level={level(value)}
                    data-tip={`${days[day] ?? ""} ${String(hour).padStart(2, "0")}:00 · ${text(mbps(value))}`}
                  >
                    <data className="unseen" value={value === null ? "" : String(value)}>
                      {text(mbps(value))}
                    </data>
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <p className="heat-scale">
        <span>0</span>
        {Array.from({ length: LEVELS }, (_, at) => (
          <Fragment key={at}>
            <i data-level={at} />
          </Fragment>
        ))}
        <span>{text(mbps(most))}</span>
        <span className="muted zone">{zone}</span>
      </p>
    </div>
  );
}
