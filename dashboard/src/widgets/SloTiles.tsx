import type { Objective } from "../api";
import { clean, count, ms, percent, words, type Format } from "../format";
import { Figure } from "../parts/Figure";
import { Icon } from "../parts/Icon";

function formatOf(objective: Objective): Format {
  if (objective.unit === "ms") return ms;
  return objective.unit === "fraction" || objective.unit == null ? percent : count;
}

/** Each objective: where it stands, where it should, and whether that is met. */
export function SloTiles({ objectives }: { objectives: readonly Objective[] }) {
  return (
    <ul className="slo">
      {objectives.map((one) => {
        const state = one.met === null ? "unknown" : one.met ? "met" : "missed";
        const format = formatOf(one);
        return (
          <li key={one.name} data-state={state}>
            <span className="slo-mark">
              <Icon name={state === "met" ? "ok" : state === "missed" ? "close" : "empty"} />
            </span>
            <span className="slo-name">{words(one.name)}</span>
            <span className="slo-figures">
              <Figure
                className="big"
                value={one.value}
                format={format}
                name={`slo.${one.name}`}
                reason={one.reason ?? undefined}
              />
              <span className="muted">
                {" / "}
                <Figure value={one.target} format={format} />
              </span>
            </span>
            <span className="slo-state">
              {state === "unknown" ? clean(one.reason ?? "not known", 120) : state}
            </span>
          </li>
        );
      })}
    </ul>
  );
}
