import type { Endpoint } from "../api";
import { bytes, clean, count, ms } from "../format";
import { DataTable } from "../parts/DataTable";
import { Figure } from "../parts/Figure";
import { useColours } from "../theme";

/** The busiest endpoints; their names come off the wire. */
export function EndpointTable({ endpoints }: { endpoints: readonly Endpoint[] }) {
  const colours = useColours();
  const most = Math.max(1, ...endpoints.map((one) => one.bytes));
  return (
    <DataTable
      caption="Endpoints, the busiest first"
      rows={endpoints}
      rowKey={(one) => one.endpoint}
      columns={[
        {
          name: "Endpoint",
          cell: (one) => (
            <bdi className="address" title={clean(one.endpoint, 255)}>
              {one.endpoint === "__other__" ? "all others" : clean(one.endpoint, 80)}
            </bdi>
          ),
          by: (one) => one.endpoint,
        },
        {
          name: "Traffic",
          isNumber: true,
          cell: (one) => (
            <span className="bar">
              <i style={{ width: `${(one.bytes / most) * 100}%`, background: colours.ingress }} />
              <Figure value={one.bytes} format={bytes} name="bytes" />
            </span>
          ),
          by: (one) => one.bytes,
        },
        ...(["p50_ms", "p95_ms", "p99_ms"] as const).map((name) => ({
          name: name.replace("_ms", ""),
          isNumber: true,
          cell: (one: Endpoint) => (
            <Figure value={one[name]} format={ms} name={name} reason="no round trip was measured" />
          ),
          by: (one: Endpoint) => one[name],
        })),
        {
          name: "Connections",
          isNumber: true,
          cell: (one) => <Figure value={one.connections} format={count} name="connections" />,
          by: (one) => one.connections,
        },
        {
          name: "Errors",
          isNumber: true,
          cell: (one) => <Figure value={one.errors} format={count} name="errors" />,
          by: (one) => one.errors,
        },
      ]}
    />
  );
}
