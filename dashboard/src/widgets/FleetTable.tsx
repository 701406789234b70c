import type { FleetAgent, Text } from "../api";
import { ago, clean, mbps, moment, ms, percent } from "../format";
import { Figure } from "../parts/Figure";
import { nameOf } from "../parts/Picker";
import { Severity } from "../parts/Severity";

interface Props {
  agents: readonly FleetAgent[];
  /** In which order they are. */
  order: string;
  /** Now, ms since 1970. */
  now: number;
  onOpen: (agent: FleetAgent) => void;
}

/** A word and a colour; unknown is neither well nor ill. */
export function AgentStatus({ of }: { of: Text }) {
  return (
    <span className="status" data-status={clean(of ?? "unknown", 20)}>
      {clean(of ?? "unknown", 20)}
    </span>
  );
}

/** Agents in the order of the API; names may be an attacker's. */
export function FleetTable({ agents, order, now, onOpen }: Props) {
  return (
    <div className="table-box threat-list fleet-list" tabIndex={0} role="region" aria-label="Agents">
      <table>
        <caption className="unseen">Agents, {order}</caption>
        <thead>
          <tr>
            <th scope="col">Status</th>
            <th scope="col">Agent</th>
            <th scope="col">Why</th>
            <th scope="col">Open events</th>
            <th scope="col" className="number">
              Unseen
            </th>
            <th scope="col" className="number">
              In
            </th>
            <th scope="col" className="number">
              Out
            </th>
            <th scope="col" className="number">
              p99
            </th>
            <th scope="col">Newest packet</th>
            <th scope="col">Version</th>
          </tr>
        </thead>
        <tbody>
          {agents.map((one) => (
            <Row key={one.agent_id} of={one} now={now} onOpen={onOpen} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Row({ of: one, now, onOpen }: { of: FleetAgent } & Pick<Props, "now" | "onOpen">) {
  const last = moment(one.last_packet);
  const { figures, health, open_events: events, reasons } = one;
  const why = reasons.figures;
  return (
    <tr data-agent={one.agent_id}>
      <td>
        <AgentStatus of={one.status} />
      </td>
      <td className="threat-title">
        <button
          type="button"
          onClick={() => {
            onOpen(one);
          }}
        >
          <i className="light" data-live={one.live} /> <bdi>{nameOf(one)}</bdi>
        </button>
        <span className="muted">
          {" "}
          <bdi>{clean(one.workspace_id ?? "", 40)}</bdi>
        </span>
      </td>
      <td className="fleet-why">{clean(one.reason, 200)}</td>
      <td className="nowrap" data-label="open">
        {events.highest === null ? (
          <span className="muted">none</span>
        ) : (
          <>
            <Severity of={events.highest} /> {events.total}
          </>
        )}
      </td>
      <td className="number" data-label="unseen">
        <Figure
          value={health?.loss_rate}
          format={percent}
          name="loss_rate"
          reason={reasons.health ?? reasons["health.loss_rate"]}
        />
      </td>
      <td className="number" data-label="in">
        <Figure value={figures?.ingress_mbps} format={mbps} name="ingress_mbps" reason={why} />
      </td>
      <td className="number" data-label="out">
        <Figure value={figures?.egress_mbps} format={mbps} name="egress_mbps" reason={why} />
      </td>
      <td className="number" data-label="p99">
        <Figure
          value={figures?.p99_latency_ms}
          format={ms}
          name="p99_latency_ms"
          reason={why ?? reasons["figures.p99_latency_ms"]}
        />
      </td>
      <td className="nowrap">{last === null ? "none yet" : ago(last, now)}</td>
      <td className="nowrap" data-label="version">
        {clean(one.version, 30)}
      </td>
    </tr>
  );
}
