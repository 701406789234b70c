import { useMemo } from "react";
import { Chart } from "../charts/Chart";
import { TOOLTIP, tip } from "../charts/tooltip";
import { bytes, clean, percent, text } from "../format";
import { Figure } from "../parts/Figure";
import { useColours, type Colour } from "../theme";

interface Props {
  /** Octets by leaf: a partition, every octet is in exactly one. */
  distribution: Readonly<Record<string, number>>;
}

const MOST = 8;
const NAMES: Record<string, string> = {
  http: "HTTP",
  https: "HTTPS",
  websocket: "WebSocket",
  grpc: "gRPC",
  quic: "QUIC",
  dns: "DNS",
  other_tcp: "Other TCP",
  other_udp: "Other UDP",
  icmp: "ICMP",
  arp: "ARP",
  other: "Other",
};
// A protocol keeps its colour, whatever its share.
const ORDER = ["https", "http", "quic", "dns", "websocket", "grpc", "other_tcp", "other_udp"];

export function ProtocolDistributionPie({ distribution }: Props) {
  const colours = useColours();
  const rows = useMemo(() => {
    const whole = Object.values(distribution).reduce((sum, octets) => sum + octets, 0);
    const all = Object.entries(distribution).filter(([, octets]) => octets > 0).sort((a, b) => b[1] - a[1]); // prettier-ignore
    const shown = all.length > MOST ? all.slice(0, MOST - 1) : all;
    const rest = all.slice(shown.length).reduce((sum, [, octets]) => sum + octets, 0);
    return [...shown, ...(rest ? ([["rest", rest]] as const) : [])].map(([leaf, octets]) => {
      const at = ORDER.indexOf(leaf);
      return {
        leaf,
        name: NAMES[leaf] ?? (leaf === "rest" ? "All others" : clean(leaf)),
        octets,
        share: whole ? octets / whole : null,
        colour: at < 0 ? colours.faint : colours[`leaf-${at + 1}` as Colour],
      };
    });
  }, [distribution, colours]);
  const option = useMemo(
    () => ({
      animation: false,
      tooltip: {
        ...TOOLTIP,
        trigger: "item",
        formatter: (at: unknown) => {
          const row = rows[(at as { dataIndex: number }).dataIndex];
          return row
            ? tip(row.name, [
                { label: "share", value: text(percent(row.share)), color: row.colour },
                { label: "traffic", value: text(bytes(row.octets)) },
              ])
            : "";
        },
      },
      series: [
        {
          type: "pie" as const,
          radius: ["62%", "92%"],
          label: { show: false },
          emphasis: { scale: true, scaleSize: 4 },
          itemStyle: { borderColor: colours.surface, borderWidth: 2 },
          data: rows.map((row) => ({ name: row.name, value: row.octets, itemStyle: { color: row.colour } })),
        },
      ],
    }),
    [rows, colours],
  );
  const whole = rows.reduce((sum, row) => sum + row.octets, 0);
  const said = rows.map((row) => `${row.name} ${text(percent(row.share))}`).join(", ");
  return (
    <div className="pie">
      <div className="pie-chart">
        <Chart option={option} className="square" label={`Protocols by traffic: ${said}`} />
        <div className="pie-centre" aria-hidden="true">
          <Figure value={whole} format={bytes} />
          <span>total</span>
        </div>
      </div>
      <table className="legend">
        <caption className="unseen">Traffic by protocol</caption>
        <thead className="unseen">
          <tr>
            <th scope="col">Protocol</th>
            <th scope="col">Share</th>
            <th scope="col">Traffic</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={row.leaf}>
              <th scope="row">
                <i className="swatch" style={{ background: row.colour }} />
                {row.name}
              </th>
              <td className="number">
                <Figure value={row.share} format={percent} name={`share.${row.leaf}`} />
              </td>
              <td className="number muted">
                <Figure value={row.octets} format={bytes} name={`bytes.${row.leaf}`} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
