import type { Health } from "../api";
import { count, percent, words } from "../format";
import { Figure } from "../parts/Figure";
import { Icon } from "../parts/Icon";

interface Props {
  health: Health;
  quality: string | null;
  /** Share of the period in which packets were seen, 0..1. */
  coverage: number;
}

const VERDICTS: Record<string, string> = {
  ok: "Every window is whole",
  degraded: "Some windows miss packets: counts are lower bounds",
  blind: "Half of the windows miss too much: loss is not known",
};
const MAIN = ["received", "dropped", "interface_dropped"];
const ALWAYS = [...MAIN, "windows", "degraded_windows", "blind_windows", "quality", "window_s", "degraded", "blind"]; // prettier-ignore

/** How much of the traffic the sensor itself has seen. */
export function CaptureHealth({ health, quality, coverage }: Props) {
  const losses = Object.entries(health).filter(
    (entry): entry is [string, number] =>
      !ALWAYS.includes(entry[0]) && typeof entry[1] === "number" && entry[1] > 0,
  );
  const { received = null, dropped = null } = health;
  const lost = received !== null && dropped !== null && received + dropped > 0 ? dropped / (received + dropped) : null; // prettier-ignore
  return (
    <div className="health">
      <p className="verdict" data-quality={quality ?? "unknown"}>
        <Icon name={quality === "ok" ? "ok" : "alert"} />
        {VERDICTS[quality ?? ""] ?? "No window in this period"}
      </p>
      <dl className="pairs">
        <div>
          <dt>Packets received</dt>
          <dd>
            <Figure value={received} format={count} name="received" />
          </dd>
        </div>
        <div>
          <dt>Dropped by the kernel</dt>
          <dd>
            <Figure value={dropped} format={count} name="dropped" reason="a capture file does not say" />
            {lost !== null && lost > 0 && (
              <>
                {" "}
                (<Figure value={lost} format={percent} />)
              </>
            )}
          </dd>
        </div>
        <div>
          <dt>Dropped by the interface</dt>
          <dd>
            <Figure
              value={health.interface_dropped}
              format={count}
              name="interface_dropped"
              reason="a capture file does not say"
            />
          </dd>
        </div>
        <div>
          <dt>Period observed</dt>
          <dd>
            <Figure value={coverage} format={percent} name="coverage" />
          </dd>
        </div>
        <div>
          <dt>Windows degraded</dt>
          <dd>
            <Figure value={health.degraded_windows} format={count} name="degraded_windows" />
            {" of "}
            <Figure value={health.windows} format={count} name="windows" />
          </dd>
        </div>
        <div>
          <dt>Windows blind</dt>
          <dd>
            <Figure value={health.blind_windows} format={count} name="blind_windows" />
          </dd>
        </div>
        {losses.map(([name, value]) => (
          <div key={name}>
            <dt>{words(name)}</dt>
            <dd>
              <Figure value={value} format={count} name={name} />
            </dd>
          </div>
        ))}
      </dl>
    </div>
  );
}
