import type { ReactNode } from "react";
import type { SecurityEvent } from "../api";
import { UNKNOWN, bytes, clean, count, duration, moment, percent, time, words, type Format } from "../format";
import { Dialog } from "../parts/Dialog";
import { Figure } from "../parts/Figure";
import { Severity } from "../parts/Severity";
import { place, sourceOf } from "./SecurityThreatMonitor";

interface Props {
  event: SecurityEvent;
  agent: string;
  onClose: () => void;
}

const MOST = 200; // lines of evidence that are shown
const TOP = 8;

/** One event: what was measured, against what, and what to do. */
export function ThreatDetails({ event, agent, onClose }: Props) {
  const { evidence } = event;
  return (
    <Dialog
      className="drawer"
      onClose={onClose}
      title={<bdi>{clean(event.title ?? words(event.attack_class))}</bdi>}
    >
      <p className="drawer-head">
        <Severity of={event.severity} />
        <span className="status" data-status={event.status ?? ""}>
          {clean(event.status ?? "unknown", 20)}
        </span>
        <span className="muted">
          {time(moment(event.detected_at), "full")}
          {event.resolved_at ? ` – ${time(moment(event.resolved_at), "seconds")}` : " – now"}
        </span>
      </p>
      <dl className="facts">
        <Fact name="From">
          <bdi className="address">{sourceOf(event)}</bdi>
        </Fact>
        <Fact name="To">
          <bdi className="address">{place(event.destination_ip, event.destination_port) ?? UNKNOWN}</bdi>
        </Fact>
        <Fact name="Protocol">{clean(event.protocol ?? UNKNOWN, 20).toUpperCase()}</Fact>
        <Fact name="Agent">{agent}</Fact>
        <Number name="Lasted" value={event.duration_ms} format={duration} of="duration_ms" />
        <Number name="Packets" value={event.packets_count} format={count} of="packets_count" />
        <Number name="Traffic" value={event.bytes_transferred} format={bytes} of="bytes_transferred" />
        <Number name="Confidence" value={event.confidence_score} format={percent} of="confidence_score" />
        <Number
          name="Chance of a false alarm"
          value={event.false_positive_probability}
          format={percent}
          of="false_positive_probability"
        />
        <Fact name="Rule">
          <code>{clean(event.rule_id ?? UNKNOWN, 80)}</code>
        </Fact>
        <Fact name="Method">
          <code>{clean(event.detection_method ?? UNKNOWN, 80)}</code>
        </Fact>
        <Fact name="Action taken">
          {clean(event.action_taken ?? "none", 40)}
          {event.blocked ? ", source blocked" : ""}
        </Fact>
      </dl>
      {event.mitigation && <Mitigation text={event.mitigation} />}
      {evidence && <Evidence of={evidence} />}
    </Dialog>
  );
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function Number(props: { name: string; value: number | null; format: Format; of: string }) {
  return (
    <Fact name={props.name}>
      <Figure value={props.value} format={props.format} name={props.of} reason="not measured" />
    </Fact>
  );
}

/** A sentence, then steps, as rule files write them. */
function Mitigation({ text }: { text: string }) {
  const lines = text.split("\n").map((line) => line.trim()).filter(Boolean); // prettier-ignore
  const steps = lines.filter((line) => line.startsWith("- ")).map((line) => line.slice(2));
  return (
    <section>
      <h3>What to do</h3>
      {lines
        .filter((line) => !line.startsWith("- "))
        .map((line) => (
          <p key={line}>{clean(line, 1000)}</p>
        ))}
      <ol>
        {steps.map((line) => {
          const found = /^([A-Z][\w -]{2,24}): (.*)$/.exec(line);
          return (
            <li key={line}>
              {found ? (
                <>
                  <b>{clean(found[1])}.</b> {clean(found[2], 1000)}
                </>
              ) : (
                clean(line, 1000)
              )}
            </li>
          );
        })}
      </ol>
    </section>
  );
}

interface Source {
  ip: string;
  count: number;
  share: number;
}

function isSource(one: unknown): one is Source {
  return typeof one === "object" && one !== null && typeof (one as Source).ip === "string"
    && typeof (one as Source).count === "number"; // prettier-ignore
}

function Evidence({ of: evidence }: { of: Record<string, unknown> }) {
  const { value, threshold, feature, top_sources: sources } = evidence;
  const known = typeof value === "number" && typeof threshold === "number";
  const top = Array.isArray(sources) ? sources.filter(isSource).slice(0, TOP) : [];
  const most = Math.max(1, ...top.map((one) => one.count));
  const features = evidence.features;
  return (
    <section>
      <h3>Evidence</h3>
      {known && (
        <p className="measured">
          <code>{clean(String(feature), 60)}</code> was <Figure value={value} format={count} name="evidence.value" />,{" "}
          the threshold <Figure value={threshold} format={count} name="evidence.threshold" />
          {typeof evidence.window_s === "number" && ` in ${evidence.window_s} s`}
        </p>
      )}
      {top.length > 0 && (
        <table className="sources">
          <caption>Top sources</caption>
          <tbody>
            {top.map((one) => (
              <tr key={one.ip}>
                <th scope="row" className="address">
                  {clean(one.ip, 60)}
                </th>
                <td>
                  <i style={{ width: `${(one.count / most) * 100}%` }} />
                </td>
                <td className="number">
                  <Figure value={one.count} format={count} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {typeof features === "object" && features !== null && (
        <dl className="features">
          {Object.entries(features)
            .slice(0, MOST)
            .map(([name, one]) => (
              <div key={name}>
                <dt>
                  <code>{clean(name, 60)}</code>
                </dt>
                <dd>{typeof one === "number" ? <Figure value={one} format={count} /> : clean(JSON.stringify(one))}</dd>
              </div>
            ))}
        </dl>
      )}
      <details>
        <summary>All of it, as JSON</summary>
        <pre tabIndex={0}>
          {JSON.stringify(evidence, null, 1)
            .split("\n")
            .slice(0, MOST)
            .map((line) => clean(line, 400))
            .join("\n")}
        </pre>
      </details>
    </section>
  );
}
