import { SEVERITIES, THREAT_TYPES, type Agent, type SecurityEvent, type Severity as Level, type Threats, type ThreatType } from "../api"; // prettier-ignore
import type { Status, View } from "../address";
import { UNKNOWN, clean, duration, moment, percent, time, words } from "../format";
import { Figure } from "../parts/Figure";
import { Nothing } from "../parts/Card";
import { Severity } from "../parts/Severity";
import { agentName } from "./GeographicLatencyMap";

type Filter = Pick<View, "severity" | "types" | "status" | "everyAgent">;

interface Props {
  threats: readonly SecurityEvent[];
  severityFilter: Level;
  summary: Pick<Threats, "total" | "by_severity" | "next_offset">;
  filter: Filter;
  agents: readonly Agent[];
  onFilter: (change: Partial<Filter>) => void;
  onOpen: (event: SecurityEvent) => void;
  onMore: () => void;
}

const TYPE_NAMES: Record<ThreatType, string> = { ddos: "DDoS", intrusion: "Intrusion", scan: "Scan" };
const STATUS_NAMES: Record<Status, string> = { all: "All", open: "Open", resolved: "Resolved" };

export function place(ip: string | null, port: number | null): string | null {
  if (ip === null) return port === null ? null : `port ${port}`;
  const host = clean(ip, 60);
  return port === null ? host : host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

export function sourceOf(event: SecurityEvent): string {
  const found = place(event.source_ip, event.source_port);
  return found ?? (event.evidence?.spoofed === true ? "spoofed" : "many");
}

/** Ends shown for how long; an open one goes on. */
export function spanText(event: SecurityEvent): string {
  const from = moment(event.detected_at);
  return event.status === "open" ? `since ${time(from)}` : time(from);
}

/** What the rules found, the newest first, with filters; a row opens its evidence. */
export function SecurityThreatMonitor(props: Props) {
  const { threats, severityFilter, summary, filter, agents, onFilter, onOpen, onMore } = props;
  const isOnlyType = (type: ThreatType) => filter.types.length === 1 && filter.types[0] === type;
  const toggled = (type: ThreatType) =>
    THREAT_TYPES.filter((one) => (one === type) !== filter.types.includes(one));
  return (
    <div className="threats">
      <div className="filters" role="group" aria-label="Filter threats">
        <label>
          <span>Severity</span>
          <select
            value={severityFilter}
            onChange={(event) => {
              onFilter({ severity: event.target.value as Level });
            }}
          >
            {SEVERITIES.toReversed().map((level) => (
              <option key={level} value={level}>
                {level === "critical" ? "critical" : `${level} and worse`}
              </option>
            ))}
          </select>
        </label>
        <div className="chips" role="group" aria-label="Kind">
          {THREAT_TYPES.map((type) => (
            <button
              key={type}
              type="button"
              aria-pressed={filter.types.includes(type)}
              disabled={isOnlyType(type)}
              onClick={() => {
                onFilter({ types: toggled(type) });
              }}
            >
              {TYPE_NAMES[type]}
            </button>
          ))}
        </div>
        <div className="chips" role="group" aria-label="Status">
          {(["all", "open", "resolved"] as const).map((status) => (
            <button
              key={status}
              type="button"
              aria-pressed={filter.status === status}
              onClick={() => {
                onFilter({ status });
              }}
            >
              {STATUS_NAMES[status]}
            </button>
          ))}
        </div>
        <label className="check">
          <input
            type="checkbox"
            checked={filter.everyAgent}
            onChange={(event) => {
              onFilter({ everyAgent: event.target.checked });
            }}
          />
          <span>whole workspace</span>
        </label>
        <p className="counts" role="status">
          {SEVERITIES.toReversed()
            .filter((level) => (summary.by_severity[level] ?? 0) > 0)
            .map((level) => (
              <span key={level}>
                <Severity of={level} /> {summary.by_severity[level]}
              </span>
            ))}
          <span className="unseen">{summary.total} events in all</span>
        </p>
      </div>
      {threats.length === 0 ? (
        <Nothing title="No threats" why="Nothing of this kind was found in the period." />
      ) : (
        <div className="table-box threat-list" tabIndex={0} role="region" aria-label="Threats">
          <table>
            <caption className="unseen">Threats, the newest first</caption>
            <thead>
              <tr>
                <th scope="col">Severity</th>
                <th scope="col">Threat</th>
                <th scope="col">Source</th>
                <th scope="col">Target</th>
                {filter.everyAgent && <th scope="col">Agent</th>}
                <th scope="col">When</th>
                <th scope="col" className="number">
                  Lasted
                </th>
                <th scope="col" className="number">
                  Confidence
                </th>
                <th scope="col">Status</th>
              </tr>
            </thead>
            <tbody>
              {threats.map((event) => (
                <tr key={event.id} data-event={event.id}>
                  <td>
                    <Severity of={event.severity} />
                  </td>
                  <td className="threat-title">
                    <button
                      type="button"
                      onClick={() => {
                        onOpen(event);
                      }}
                    >
                      <bdi>{clean(event.title ?? words(event.attack_class))}</bdi>
                    </button>
                  </td>
                  <td className="address" data-label="from">
                    <bdi>{sourceOf(event)}</bdi>
                  </td>
                  <td className="address" data-label="to">
                    <bdi>{place(event.destination_ip, event.destination_port) ?? UNKNOWN}</bdi>
                  </td>
                  {filter.everyAgent && <td data-label="agent">{agentName(agents, event.agent_id)}</td>}
                  <td className="nowrap">{spanText(event)}</td>
                  <td className="number" data-label="lasted">
                    <Figure value={event.duration_ms} format={duration} name="duration_ms" />
                  </td>
                  <td className="number" data-label="confidence">
                    <Figure value={event.confidence_score} format={percent} name="confidence_score" />
                  </td>
                  <td>
                    <span className="status" data-status={event.status ?? ""}>
                      {clean(event.status ?? "unknown", 20)}
                    </span>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
          {summary.next_offset !== null && (
            <button type="button" className="button more" onClick={onMore}>
              Show more ({threats.length} of {summary.total})
            </button>
          )}
        </div>
      )}
    </div>
  );
}
