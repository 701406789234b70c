import { useEffect, useEffectEvent, useState } from "react";
import type { Alert } from "../alerts";
import type { Agent } from "../api";
import { clean, ms, percent, text, time, words } from "../format";
import { agentName } from "../widgets/GeographicLatencyMap";
import { Icon } from "./Icon";
import { Severity } from "./Severity";

interface Props {
  toasts: readonly Alert[];
  agents: readonly Agent[];
  onShow: (alert: Alert) => void;
  onDismiss: (key: string) => void;
  onDismissAll: () => void;
}

const MOST = 4;
const STAYS_MS = 15_000;

/** News in a corner: weather goes by itself, threats stay until they are put away. */
export function Toasts({ toasts, agents, onShow, onDismiss, onDismissAll }: Props) {
  const shown = toasts.slice(-MOST);
  const hidden = toasts.length - shown.length;
  return (
    <div className="toasts" role="region" aria-label="Alerts" aria-live="polite">
      {hidden > 0 && (
        <button type="button" className="button" onClick={onDismissAll}>
          {hidden} more · put all away
        </button>
      )}
      {shown.map((alert) => (
        <Toast
          key={alert.key}
          alert={alert}
          agent={agentName(agents, alert.agentId)}
          onShow={onShow}
          onDismiss={onDismiss}
        />
      ))}
    </div>
  );
}

interface ToastProps extends Pick<Props, "onShow" | "onDismiss"> {
  alert: Alert;
  agent: string;
}

function Toast({ alert, agent, onShow, onDismiss }: ToastProps) {
  const [isHeld, setHeld] = useState(false);
  const goes = alert.kind !== "threat" && !isHeld;
  const dismiss = useEffectEvent(() => {
    onDismiss(alert.key);
  });
  useEffect(() => {
    if (!goes) return;
    const timer = setTimeout(dismiss, STAYS_MS);
    return () => {
      clearTimeout(timer);
    };
  }, [goes]);
  const hold = (isOn: boolean) => () => {
    setHeld(isOn);
  };
  return (
    <div
      className="toast"
      data-kind={alert.kind}
      data-severity={alert.threat?.severity ?? "high"}
      onPointerEnter={hold(true)}
      onPointerLeave={hold(false)}
      onFocus={hold(true)}
      onBlur={hold(false)}
    >
      <div>
        <strong>
          {alert.kind === "threat" && <Severity of={alert.threat?.severity ?? null} />}
          <span>{titleOf(alert)}</span>
        </strong>
        <p>
          <bdi>{agent}</bdi> · {time(alert.at)}
        </p>
      </div>
      <button
        type="button"
        className="button"
        onClick={() => {
          onShow(alert);
        }}
      >
        Show
      </button>
      <button
        type="button"
        className="icon-button"
        aria-label="Put away"
        onClick={() => {
          onDismiss(alert.key);
        }}
      >
        <Icon name="close" />
      </button>
    </div>
  );
}

export function titleOf(alert: Alert): string {
  if (alert.kind === "loss") return `Packet loss ${text(percent(alert.value))}`;
  if (alert.kind === "latency") return `Latency p99 ${text(ms(alert.value))}`;
  return clean(alert.threat?.title ?? words(alert.threat?.attack_class ?? "threat"));
}
