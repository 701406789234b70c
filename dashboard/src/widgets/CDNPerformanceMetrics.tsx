import type { Cdn, EdgeLocation, Figure as Value } from "../api";
import { clean, count, ms, percent, plain, text } from "../format";
import { DataTable } from "../parts/DataTable";
import { Figure } from "../parts/Figure";
import { useColours } from "../theme";

interface Props {
  hitRatio: Value;
  edgeLocations: readonly EdgeLocation[];
  provider: string | null;
  cache: Cdn["cache_performance"];
  offload: Cdn["origin_offload"];
  reason?: string | null;
}

const gigabytes = (value: Value) =>
  value === null ? plain(value) : { number: plain(value).number, unit: "GB" };
const share = (value: Value) => percent(value === null ? null : value / 100);

/** How much the edge answers by itself, and how fast each location is. */
export function CDNPerformanceMetrics(props: Props) {
  const { hitRatio, edgeLocations, provider, cache, offload, reason } = props;
  const colours = useColours();
  const why = reason ?? undefined;
  const parts = [
    { name: "hit", value: cache?.cache_hit_ratio ?? hitRatio, colour: colours.good },
    { name: "miss", value: cache?.cache_miss_ratio ?? null, colour: colours.warn },
    { name: "bypass", value: cache?.cache_bypass_ratio ?? null, colour: colours.faint },
  ];
  return (
    <div className="cdn">
      <div className="cdn-head">
        <div>
          <Figure className="big" value={hitRatio} format={percent} name="cache_hit_ratio" reason={why} />
          <span className="label">cache hit ratio</span>
        </div>
        <div>
          <Figure
            className="big"
            value={offload?.offload_percentage ?? null}
            format={share}
            name="offload_percentage"
            reason={why}
          />
          <span className="label">origin offload</span>
        </div>
        <div>
          <Figure
            className="big"
            value={offload?.requests_to_origin ?? null}
            format={count}
            name="requests_to_origin"
            reason={why}
          />
          <span className="label">requests to origin</span>
        </div>
        {provider && (
          <div>
            <span className="big words">{clean(provider, 40)}</span>
            <span className="label">provider</span>
          </div>
        )}
      </div>
      <div
        className="meter"
        role="img"
        aria-label={parts.map((one) => `${one.name} ${text(percent(one.value))}`).join(", ")}
      >
        {parts.map((one) => (
          <i key={one.name} style={{ flexGrow: one.value ?? 0, background: one.colour }} />
        ))}
      </div>
      <p className="keys">
        {parts.map((one) => (
          <span key={one.name}>
            <i className="dot" style={{ background: one.colour }} /> {one.name} {text(percent(one.value))}
          </span>
        ))}
      </p>
      {edgeLocations.length > 0 ? (
        <DataTable
          caption="Edge locations"
          rows={edgeLocations}
          rowKey={(one) => one.edge_location}
          columns={[
            { name: "Edge", cell: (one) => <bdi>{clean(one.edge_location, 40)}</bdi>, by: (one) => one.edge_location },
            { name: "Requests", isNumber: true, cell: (one) => <Figure value={one.requests_served} format={count} name="requests_served" />, by: (one) => one.requests_served },
            { name: "Mean time", isNumber: true, cell: (one) => <Figure value={one.avg_response_time_ms} format={ms} name="avg_response_time_ms" />, by: (one) => one.avg_response_time_ms },
            { name: "Errors", isNumber: true, cell: (one) => <Figure value={one.error_rate} format={percent} name="error_rate" />, by: (one) => one.error_rate },
            { name: "Served", isNumber: true, cell: (one) => <Figure value={one.bandwidth_served_gb} format={gigabytes} name="bandwidth_served_gb" />, by: (one) => one.bandwidth_served_gb },
          ]}
        />
      ) : (
        reason && <p className="foot">{clean(reason, 400)}</p>
      )}
    </div>
  );
}
