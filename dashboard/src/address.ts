/** What the page shows, as the address bar says it: links and reloads lead to the same view. */
import { AGENT_STATUSES, SEVERITIES, THREAT_TYPES, type Agent, type AgentStatusName, type Severity, type ThreatType } from "./api"; // prettier-ignore
import { moment } from "./format";

export const RANGES = ["15m", "1h", "6h", "24h", "7d", "30d", "90d"] as const;
export type Range = (typeof RANGES)[number];
export type Theme = "auto" | "light" | "dark";
export type Status = "all" | "open" | "resolved";
export const FLEET_SORTS = ["worst", "name", "-last_packet"] as const;
export type FleetSort = (typeof FLEET_SORTS)[number];

export interface View {
  /** The figures of one agent, or all agents. */
  page: "agent" | "fleet";
  /** Of the fleet: part of a name, which statuses (none: all), in which order. */
  find: string;
  states: readonly AgentStatusName[];
  sort: FleetSort;
  agent: string | null;
  workspace: string | null;
  /** Null: what suits the agent. */
  range: Range | null;
  severity: Severity;
  types: readonly ThreatType[];
  status: Status;
  /** Security events of the whole workspace, not only of the agent. */
  everyAgent: boolean;
  /** The event whose details are open. */
  event: string | null;
  theme: Theme;
}

export const DEFAULTS: View = {
  page: "agent",
  find: "",
  states: [],
  sort: "worst",
  agent: null,
  workspace: null,
  range: null,
  severity: "medium",
  types: THREAT_TYPES,
  status: "all",
  everyAgent: false,
  event: null,
  theme: "auto",
};

function among<T extends string>(all: readonly T[], value: string | null, otherwise: T): T {
  return all.find((one) => one === value) ?? otherwise;
}

/** Anything that is not a value of ours becomes the default. */
export function read(search: string): View {
  const found = new URLSearchParams(search);
  const types = THREAT_TYPES.filter((one) => found.get("types")?.split(",").includes(one));
  const states = found.get("health")?.split(",");
  return {
    page: among(["agent", "fleet"], found.get("page"), DEFAULTS.page),
    find: found.get("find")?.slice(0, 255) ?? "",
    states: AGENT_STATUSES.filter((one) => states?.includes(one)),
    sort: among(FLEET_SORTS, found.get("sort"), DEFAULTS.sort),
    agent: found.get("agent"),
    workspace: found.get("workspace"),
    range: RANGES.find((one) => one === found.get("range")) ?? null,
    severity: among(SEVERITIES, found.get("severity"), DEFAULTS.severity),
    types: types.length ? types : THREAT_TYPES,
    status: among(["all", "open", "resolved"], found.get("status"), DEFAULTS.status),
    everyAgent: found.get("scope") === "workspace",
    event: found.get("event"),
    theme: among(["auto", "light", "dark"], found.get("theme"), DEFAULTS.theme),
  };
}

/** The query string, defaults left out. */
export function write(view: View): string {
  const made = new URLSearchParams();
  if (view.page !== DEFAULTS.page) made.set("page", view.page);
  if (view.find) made.set("find", view.find);
  if (view.states.length) made.set("health", view.states.join(","));
  if (view.sort !== DEFAULTS.sort) made.set("sort", view.sort);
  if (view.workspace !== null) made.set("workspace", view.workspace);
  if (view.agent !== null) made.set("agent", view.agent);
  if (view.range !== null) made.set("range", view.range);
  if (view.severity !== DEFAULTS.severity) made.set("severity", view.severity);
  if (view.types.length < THREAT_TYPES.length) made.set("types", view.types.join(","));
  if (view.status !== DEFAULTS.status) made.set("status", view.status);
  if (view.everyAgent) made.set("scope", "workspace");
  if (view.event !== null) made.set("event", view.event);
  if (view.theme !== DEFAULTS.theme) made.set("theme", view.theme);
  const text = made.toString();
  return text && `?${text}`;
}

/** A live agent's last hour; all of a capture file, as far as there is a range for it. */
export function suitableRange(agent: Agent | null): Range {
  const first = moment(agent?.first_packet);
  const last = moment(agent?.last_packet);
  if (!agent || agent.live || first === null || last === null) return "1h";
  return RANGES.find((range) => milliseconds(range) >= last - first) ?? "90d";
}

const UNITS = { m: 60_000, h: 3_600_000, d: 86_400_000 };

export function milliseconds(range: Range): number {
  return parseInt(range, 10) * UNITS[range.slice(-1) as keyof typeof UNITS];
}
