/**
 * The specification's three alerts out of the live windows, each said once: packet loss and latency
 * when they begin (and again only after some good windows), a threat once per event.
 */
import type { ThreatNews, WindowMessage } from "./api";

export const LOSS_LIMIT = 0.01;
export const LATENCY_LIMIT_MS = 500;
const CALM_WINDOWS = 3; // good windows before the same trouble is news again
const MOST_REMEMBERED = 1000;

export interface Alert {
  key: string;
  kind: "loss" | "latency" | "threat";
  agentId: string;
  /** Start of the window, ms since 1970. */
  at: number;
  value: number | null;
  threat: ThreatNews | null;
}

export class Alerts {
  /** Trouble that goes on, with the good windows since. */
  private readonly going = new Map<string, number>();
  private readonly said: Set<string>;

  constructor(said: Iterable<string> = []) {
    this.said = new Set(said);
  }

  /** Events that have been said: what a reload should know. */
  remembered(): string[] {
    return [...this.said];
  }

  /** What is new in a window. */
  of(message: WindowMessage): Alert[] {
    const made: Alert[] = [];
    const base = { agentId: message.agent_id, at: message.timestamp, threat: null };
    const { packet_loss_rate: loss, latency_p99: latency } = message;
    if (this.begins(`loss:${message.agent_id}`, loss, LOSS_LIMIT))
      made.push({ ...base, key: `loss:${message.agent_id}`, kind: "loss", value: loss });
    if (this.begins(`latency:${message.agent_id}`, latency, LATENCY_LIMIT_MS))
      made.push({ ...base, key: `latency:${message.agent_id}`, kind: "latency", value: latency });
    for (const threat of message.threats) {
      if (this.said.has(threat.id)) continue;
      this.remember(threat.id);
      made.push({ ...base, key: `threat:${threat.id}`, kind: "threat", value: null, threat });
    }
    return made;
  }

  private begins(key: string, value: number | null, limit: number): boolean {
    if (value === null) return false; // not known: neither good nor bad
    const calm = this.going.get(key);
    if (value > limit) {
      this.going.set(key, 0);
      return calm === undefined;
    }
    if (calm !== undefined) {
      if (calm + 1 >= CALM_WINDOWS) this.going.delete(key);
      else this.going.set(key, calm + 1);
    }
    return false;
  }

  private remember(id: string): void {
    this.said.add(id);
    if (this.said.size > MOST_REMEMBERED) {
      const [oldest] = this.said;
      if (oldest !== undefined) this.said.delete(oldest);
    }
  }
}
