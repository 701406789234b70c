import type { Figure as Value, Heatmap } from "../api";
import { mbps, text } from "../format";

interface Props {
  patterns: Heatmap;
  timeGranularity: "hourly";
}

const HOURS = 24;
const LEVELS = 9;

/** Mean traffic by weekday and hour, the quiet and the busy ones of a week. */
export function TrafficPatternHeatmap({ patterns }: Props) {
  const cells = patterns.mbps;
  const zone = patterns.timezone ?? "UTC";
  const most = Math.max(0, ...cells.flat().map((value) => value ?? 0));
  const level = (value: Value) =>
    value === null ? "none" : most > 0 ? Math.round((value / most) * (LEVELS - 1)) : 0;
  const { days } = patterns;
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
          <i key={at} data-level={at} />
        ))}
        <span>{text(mbps(most))}</span>
        <span className="muted zone">{zone}</span>
      </p>
    </div>
  );
}
