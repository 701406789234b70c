import type { Figure } from "../api";

const WIDTH = 120;
const HEIGHT = 28;

/** A line without axes, beside the figure that it is the story of. Gaps stay gaps. */
export function Spark({ values, color }: { values: readonly Figure[]; color: string }) {
  const most = Math.max(0, ...values.map((value) => value ?? 0));
  if (values.length < 2 || most === 0) return <svg className="spark" aria-hidden="true" />;
  let line = "";
  let isDown = false;
  for (const [at, value] of values.entries()) {
    if (value === null) {
      isDown = false;
      continue;
    }
    const x = ((at / (values.length - 1)) * WIDTH).toFixed(1);
    const y = (HEIGHT - 2 - (value / most) * (HEIGHT - 4)).toFixed(1);
    line += `${isDown ? "L" : "M"}${x} ${y}`;
    isDown = true;
  }
  return (
    <svg className="spark" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
      <path d={line} stroke={color} />
    </svg>
  );
}
