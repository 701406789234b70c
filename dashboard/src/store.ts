/** The page's one store: what is looked at, what the API said of it, what comes in live. */
import { read, suitableRange, write, type Range, type View } from "./address";
import { Alerts, type Alert } from "./alerts";
import {
  Api,
  ApiError,
  type Agent,
  type Bandwidth,
  type Cdn,
  type Connections,
  type Patterns,
  type Performance,
  type Region,
  type Slo,
  type Threats,
  type Topology,
  type WindowMessage,
} from "./api";
import { moment } from "./format";
import { Live, monitorUrl, type LiveHandlers, type LiveState } from "./live";

export interface Resource<T> {
  /** What it answers; null when there is nothing to ask. */
  key: string | null;
  data: T | null;
  error: ApiError | null;
  /** The data answers another question (the range before); a new answer is on its way. */
  isOld: boolean;
  isLoading: boolean;
}

export interface Resources {
  performance: Resource<Performance>;
  threats: Resource<Threats>;
  connections: Resource<Connections>;
  bandwidth: Resource<Bandwidth>;
  regions: Resource<Region[]>;
  topology: Resource<Topology>;
  patterns: Resource<Patterns>;
  cdn: Resource<Cdn>;
  slo: Resource<Slo>;
}
type Name = keyof Resources;

export interface State {
  view: View;
  agents: Resource<Agent[]>;
  /** The agent that is looked at. */
  agent: Agent | null;
  /** How far back is looked. */
  range: Range;
  resources: Resources;
  live: { state: LiveState; window: WindowMessage | null; dropped: number };
  toasts: Alert[];
  isSignedOut: boolean;
}

interface Question {
  /** Answers of another owner are never shown, not even while a new one is on its way. */
  owner: string;
  key: string;
  ask(signal: AbortSignal): Promise<unknown>;
}

export interface Surroundings {
  api: Api;
  location: Location;
  history: History;
  document: Document;
  session: Pick<Storage, "getItem" | "setItem">;
  makeLive(url: string, handlers: LiveHandlers): Pick<Live, "open" | "close" | "retryNow">;
  now(): number;
}

// What is seen first is asked first; the rest waits for it, so that it is not slowed down.
const FIRST: readonly Name[] = ["performance", "threats"];
const REST: readonly Name[] = [
  "bandwidth", "connections", "regions", "cdn", "patterns", "topology", "slo",
]; // prettier-ignore
const NAMES: readonly Name[] = [...FIRST, ...REST];
const SAID = "sensor.alerts";
const TICK_MS = 5_000;
const AGENTS_MS = 60_000;
const MOST_TOASTS = 50;
const FOLLOW_ALL = 100; // agents of a workspace whose windows are all listened to
export const THREAT_PAGE = 50;
export const MOST_THREATS = 1000; // the API gives no more at once
const SLO_TIMEFRAME = "30d";

function nothing<T>(): Resource<T> {
  return { key: null, data: null, error: null, isOld: false, isLoading: false };
}

/** Weeks are needed for a week's pattern, whatever the range. */
export function patternTimeframe(range: string): string {
  return range === "30d" || range === "90d" ? range : "28d";
}

/** How old an answer may get while the agent is live, ms. */
function freshness(name: Name, performance: Performance | null): number {
  const step = (performance?.series.step_s ?? 60) * 1000;
  if (name === "performance") return Math.max(TICK_MS, step / 6);
  if (name === "threats" || name === "bandwidth") return Math.max(30_000, step / 6);
  return Math.max(name === "connections" ? 60_000 : 300_000, step / 6);
}

export class Dashboard {
  private state: State;
  private readonly listeners = new Set<() => void>();
  private readonly flights = new Map<string, AbortController>();
  private readonly asked = new Map<string, number>();
  private readonly alerts: Alerts;
  private live: ReturnType<Surroundings["makeLive"]> | null = null;
  private liveUrl = "";
  private timer: ReturnType<typeof setInterval> | undefined;
  private threatLimit = THREAT_PAGE;

  constructor(private readonly around: Surroundings) {
    this.alerts = new Alerts(remembered(around.session));
    this.state = {
      view: read(around.location.search),
      agents: { ...nothing<Agent[]>(), key: "agents", isLoading: true },
      agent: null,
      range: suitableRange(null),
      resources: {
        performance: nothing(),
        threats: nothing(),
        connections: nothing(),
        bandwidth: nothing(),
        regions: nothing(),
        topology: nothing(),
        patterns: nothing(),
        cdn: nothing(),
        slo: nothing(),
      },
      live: { state: "connecting", window: null, dropped: 0 },
      toasts: [],
      isSignedOut: false,
    };
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  readonly snapshot = (): State => this.state;

  /** Ask and listen; returns what ends it. */
  readonly start = (): (() => void) => {
    const { document } = this.around;
    const page = document.defaultView;
    const back = () => {
      if (document.visibilityState !== "visible") return;
      this.live?.retryNow();
      this.tick();
    };
    const moved = () => {
      this.look(read(this.around.location.search));
    };
    document.addEventListener("visibilitychange", back);
    page?.addEventListener("online", back);
    page?.addEventListener("popstate", moved);
    this.timer = setInterval(this.tick, TICK_MS);
    void this.loadAgents();
    return () => {
      document.removeEventListener("visibilitychange", back);
      page?.removeEventListener("online", back);
      page?.removeEventListener("popstate", moved);
      clearInterval(this.timer);
      this.live?.close();
      this.live = null;
      this.liveUrl = "";
      for (const flight of this.flights.values()) flight.abort();
    };
  };

  /** Look at something else. What is worth a step back in the history is pushed. */
  readonly show = (change: Partial<View>): void => {
    const view = { ...this.state.view, ...change };
    const { history, location } = this.around;
    const url = location.pathname + write(view) + location.hash;
    const isStep =
      "page" in change || "agent" in change || "workspace" in change || "range" in change;
    if (isStep || change.event) history.pushState(null, "", url);
    else history.replaceState(null, "", url);
    this.look(view);
    if (change.agent && !this.state.agent) void this.loadAgents(); // one beyond those listed
  };

  readonly dismiss = (key: string): void => {
    this.set({ toasts: this.state.toasts.filter((toast) => toast.key !== key) });
  };

  readonly dismissAll = (): void => {
    this.set({ toasts: [] });
  };

  /** Ask again what failed. */
  readonly retry = (name: Name | "agents"): void => {
    if (name === "agents") void this.loadAgents();
    else this.load(name, true);
  };

  readonly moreThreats = (): void => {
    this.threatLimit = Math.min(MOST_THREATS, this.threatLimit + THREAT_PAGE);
    this.load("threats");
  };

  private look(view: View): void {
    const before = this.state.view;
    const isOther = before.severity !== view.severity || before.status !== view.status
      || before.types !== view.types || before.everyAgent !== view.everyAgent
      || before.agent !== view.agent || before.range !== view.range; // prettier-ignore
    if (isOther) this.threatLimit = THREAT_PAGE;
    this.set({ view });
    this.choose();
  }

  private set(change: Partial<State>): void {
    this.state = { ...this.state, ...change };
    for (const listener of this.listeners) listener();
  }

  private async loadAgents(): Promise<void> {
    this.asked.set("agents", this.around.now());
    try {
      const data = await this.around.api.agents();
      const { agent } = this.state.view;
      if (agent && !data.some((one) => one.agent_id === agent))
        data.push(...(await this.around.api.agents(agent)));
      this.set({
        agents: { key: "agents", data, error: null, isOld: false, isLoading: false },
        isSignedOut: false,
      });
      this.choose();
    } catch (error) {
      this.failed("agents", error);
    }
  }

  /** The agent that the address names; else a live one; else that with the newest packet. */
  private choose(): void {
    const { view, agents } = this.state;
    const inside = (agents.data ?? []).filter(
      (one) => view.workspace === null || one.workspace_id === view.workspace,
    );
    const agent = view.agent
      ? (agents.data ?? []).find((one) => one.agent_id === view.agent)
      : (inside.findLast((one) => one.live) ?? newest(inside));
    const window = this.state.live.window;
    this.set({
      agent: agent ?? null,
      range: view.range ?? suitableRange(agent ?? null),
      live: {
        ...this.state.live,
        window: window && window.agent_id === agent?.agent_id ? window : null,
      },
    });
    for (const name of FIRST) this.load(name);
    if (this.state.resources.performance.isLoading) {
      for (const name of REST) this.expect(name);
    } else this.loadRest();
    this.follow();
  }

  private follow(): void {
    const { agent, agents } = this.state;
    if (!agent) return;
    const { workspace_id: workspace, agent_id } = agent;
    const mates = (agents.data ?? []).filter((one) => one.workspace_id === workspace).length;
    const scope =
      workspace !== null && mates <= FOLLOW_ALL ? { workspace } : { agent: agent_id };
    const url = monitorUrl(this.around.location, scope);
    if (url === this.liveUrl) return;
    this.liveUrl = url;
    this.live?.close();
    this.live = this.around.makeLive(url, {
      onWindow: (message) => {
        if (url === this.liveUrl) this.take(message);
      },
      onState: (state) => {
        if (url === this.liveUrl) this.set({ live: { ...this.state.live, state } });
      },
    });
    this.live.open();
  }

  private take(message: WindowMessage): void {
    const news = this.alerts.of(message);
    if (news.length) {
      keep(this.around.session, this.alerts.remembered());
      const keys = new Set(news.map((one) => one.key));
      const others = this.state.toasts.filter((one) => !keys.has(one.key));
      this.set({ toasts: [...others, ...news].slice(-MOST_TOASTS) });
      if (news.some((one) => one.kind === "threat")) this.load("threats", true);
    }
    const { agent, live, resources } = this.state;
    if (message.agent_id !== agent?.agent_id) return;
    if (live.window && message.timestamp < live.window.timestamp) return;
    this.set({ live: { ...live, window: message, dropped: message.dropped_messages } });
    const until = moment(resources.performance.data?.until) ?? 0;
    if (message.timestamp + message.window_s * 1000 > until) this.renew("performance");
  }

  /** While the agent is live and somebody looks: ask again what has become old. */
  private readonly tick = (): void => {
    if (this.around.document.visibilityState !== "visible") return;
    if (this.around.now() - (this.asked.get("agents") ?? 0) >= AGENTS_MS) void this.loadAgents();
    if (!this.state.agent?.live) return;
    for (const name of NAMES) this.renew(name);
  };

  private renew(name: Name): void {
    const age = this.around.now() - (this.asked.get(name) ?? 0);
    if (age >= freshness(name, this.state.resources.performance.data)) this.load(name, true);
  }

  private loadRest(): void {
    for (const name of REST) this.load(name);
  }

  /** What belongs to somebody else is gone at once, though the question still waits. */
  private expect(name: Name): void {
    const question = this.question(name);
    const before = this.state.resources[name];
    if (question?.owner === this.owners.get(name)) {
      const isOld = before.data !== null && before.key !== question?.key;
      if (isOld !== before.isOld) this.put(name, { ...before, isOld });
      return;
    }
    this.flights.get(name)?.abort();
    this.put(name, question ? { ...nothing(), key: "", isLoading: true } : nothing());
  }

  private question(name: Name): Question | null {
    const { agent, view, range } = this.state;
    if (!agent) return null;
    const { api } = this.around;
    const { agent_id: id, workspace_id: workspace } = agent;
    const ofAgent = (
      ask: (id: string, timeframe: string, signal: AbortSignal) => Promise<unknown>,
    ): Question => ({
      owner: id,
      key: `${id} ${range}`,
      ask: (signal) => ask.call(api, id, range, signal),
    });
    if (name === "performance") return ofAgent(api.performance.bind(api));
    if (name === "connections") return ofAgent(api.connections.bind(api));
    if (name === "bandwidth") return ofAgent(api.bandwidth.bind(api));
    if (name === "cdn") return ofAgent(api.cdn.bind(api));
    if (workspace === null) return null;
    if (name === "regions")
      return {
        owner: workspace,
        key: `${workspace} ${range}`,
        ask: (signal) => api.regions(workspace, range, signal),
      };
    if (name === "topology")
      return {
        owner: workspace,
        key: `${workspace} ${range}`,
        ask: (signal) => api.topology(workspace, range, signal),
      };
    if (name === "slo")
      return {
        owner: workspace,
        key: workspace,
        ask: (signal) => api.slo(workspace, SLO_TIMEFRAME, signal),
      };
    if (name === "patterns") {
      const timeframe = patternTimeframe(range);
      return {
        owner: id,
        key: `${id} ${timeframe}`,
        ask: (signal) => api.patterns(workspace, id, timeframe, signal),
      };
    }
    const asked = {
      severity: view.severity,
      types: view.types,
      status: view.status === "all" ? null : view.status,
      agentId: view.everyAgent ? null : id,
      timeframe: range,
      limit: this.threatLimit,
    };
    return {
      owner: asked.agentId ?? workspace,
      key: `${workspace} ${JSON.stringify(asked)}`,
      ask: (signal) => api.threats(workspace, asked, signal),
    };
  }

  /** Ask when the question is another one than before, or `again`. */
  private load(name: Name, again = false): void {
    const question = this.question(name);
    const before = this.state.resources[name];
    if (!question) {
      if (before.key !== null) this.put(name, nothing());
      this.flights.get(name)?.abort();
      return;
    }
    if (question.key === before.key && !again) return;
    if (question.key === before.key && before.isLoading) return; // on its way already
    this.flights.get(name)?.abort();
    const flight = new AbortController();
    this.flights.set(name, flight);
    this.asked.set(name, this.around.now());
    const isOther = question.key !== before.key;
    const isSameOwner = this.owners.get(name) === question.owner;
    this.owners.set(name, question.owner);
    const isKept = !isOther || isSameOwner;
    this.put(name, {
      key: question.key,
      data: isKept ? before.data : null,
      error: isOther ? null : before.error,
      isOld: isKept && before.data !== null && (isOther || before.isOld),
      isLoading: true,
    });
    question.ask(flight.signal).then(
      (data) => {
        if (flight.signal.aborted) return;
        this.put(name, {
          key: question.key,
          data,
          error: null,
          isOld: false,
          isLoading: false,
        });
        if (name === "performance") this.loadRest();
      },
      (error: unknown) => {
        if (flight.signal.aborted) return;
        this.failed(name, error);
        if (name === "performance") this.loadRest();
      },
    );
  }

  private readonly owners = new Map<Name, string>();

  private put(name: Name, resource: Resource<unknown>): void {
    this.set({ resources: { ...this.state.resources, [name]: resource } });
  }

  private failed(name: Name | "agents", error: unknown): void {
    const said = error instanceof ApiError ? error : new ApiError(0, "the answer cannot be read");
    if (said.status === 401) this.set({ isSignedOut: true });
    const end = { error: said, isLoading: false };
    if (name === "agents") this.set({ agents: { ...this.state.agents, ...end } });
    else this.put(name, { ...this.state.resources[name], ...end });
  }
}

function newest(agents: Agent[]): Agent | undefined {
  return agents.reduce<Agent | undefined>(
    (best, one) =>
      !best || (moment(one.last_packet) ?? 0) >= (moment(best.last_packet) ?? 0) ? one : best,
    undefined,
  );
}

function remembered(session: Surroundings["session"]): string[] {
  try {
    const found: unknown = JSON.parse(session.getItem(SAID) ?? "[]");
    return Array.isArray(found) ? found.filter((one) => typeof one === "string") : [];
  } catch {
    return []; // storage is off, or somebody else's
  }
}

function keep(session: Surroundings["session"], ids: string[]): void {
  try {
    session.setItem(SAID, JSON.stringify(ids));
  } catch {
    // Storage is full or off: a reload will say them again.
  }
}

export function inBrowser(): Dashboard {
  return new Dashboard({
    api: new Api(),
    location: window.location,
    history: window.history,
    document: window.document,
    session: window.sessionStorage,
    makeLive: (url, handlers) => new Live(url, handlers),
    now: Date.now,
  });
}
