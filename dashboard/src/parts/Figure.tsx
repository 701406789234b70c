import type { Figure as Value, Reasons } from "../api";
import { UNKNOWN, type Format } from "../format";

interface Props {
  value: Value | undefined;
  format: Format;
  /** The API's name of the figure. */
  name?: string;
  /** Why it is not known. */
  reason?: string | undefined;
  className?: string;
}

/** A figure with its unit; the exact number is in the element's value. */
export function Figure({ value = null, format, name, reason, className }: Props) {
  const shown = format(value);
  const why = value === null ? (reason ?? "not known for this period") : undefined;
  return (
    <data
      className={`figure ${className ?? ""}`}
      value={value === null ? "" : String(value)}
      data-name={name}
      title={why}
    >
      {shown.number}
      {shown.number === UNKNOWN && <span className="unseen"> ({why})</span>}
      {shown.unit && (
        <span className="unit">
          {shown.unit.startsWith("/") ? "" : "\u00a0"}
          {shown.unit}
        </span>
      )}
    </data>
  );
}

/** By the figure's path, or by that of the group it is in. */
export function reasonOf(reasons: Reasons | undefined, path: string): string | undefined {
  return reasons?.[path] ?? reasons?.[path.split(".")[0] ?? ""];
}
