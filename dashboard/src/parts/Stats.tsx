import type { ReactNode } from "react";

interface Stat {
  label: string;
  value: ReactNode;
  /** Colour of the series that it belongs to. */
  swatch?: string;
  isDashed?: boolean;
}

/** Labelled figures in a row. */
export function Stats({ of }: { of: readonly Stat[] }) {
  return (
    <dl className="stats">
      {of.map((stat) => (
        <div key={stat.label}>
          <dt>
            {stat.swatch && (
              <i
                className={`swatch ${stat.isDashed ? "dashed" : ""}`}
                style={{ background: stat.swatch, borderColor: stat.swatch }}
              />
            )}
            {stat.label}
          </dt>
          <dd>{stat.value}</dd>
        </div>
      ))}
    </dl>
  );
}
