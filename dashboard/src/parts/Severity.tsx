import type { Text } from "../api";
import { clean } from "../format";

const SHAPES: Record<string, string> = {
  critical: "M6 0l6 6-6 6-6-6z",
  high: "M6 0l6 11H0z",
  medium: "M1 1h10v10H1z",
  low: "M6 .5a5.5 5.5 0 110 11 5.5 5.5 0 010-11z",
  info: "M6 2.5a3.5 3.5 0 110 7 3.5 3.5 0 010-7z",
};

/** A word, a colour and a shape: none of them alone has to be seen. */
export function Severity({ of }: { of: Text }) {
  const known = of !== null && of in SHAPES ? of : "info";
  return (
    <span className="severity" data-severity={known}>
      <svg viewBox="0 0 12 12" aria-hidden="true">
        <path d={SHAPES[known]} />
      </svg>
      {clean(of ?? "unknown", 20)}
    </span>
  );
}
