import { beforeEach, describe, expect, test, vi } from "vitest";
import { Api, ApiError, type Agent } from "../src/api";
import type { LiveHandlers } from "../src/live";
import { Dashboard, type Resource } from "../src/store";
import { AGENT, OTHER, performance, threats, windowOf } from "./made";

type Answer = (url: URL) => unknown;

let answers: Record<string, Answer>;
let asked: URL[];
let handlers: LiveHandlers | null;
let now: number;

function answerOf(url: URL): unknown {
  const name = Object.keys(answers).find((path) => url.pathname.endsWith(path));
  if (!name) throw new ApiError(404, "not found");
  return answers[name]?.(url);
}

function made(search = ""): Dashboard {
  history.replaceState(null, "", `/${search}`);
  const fetcher = (path: string) => {
    const url = new URL(path, "http://here");
    asked.push(url);
    try {
      const found = answerOf(url);
      return Promise.resolve(Response.json(found));
    } catch (error) {
      const { status, message, detail } = error as ApiError;
      return Promise.resolve(Response.json({ error: message, detail }, { status }));
    }
  };
  return new Dashboard({
    api: new Api(fetcher as typeof fetch),
    location,
    history,
    document,
    session: sessionStorage,
    makeLive: (_, given) => {
      handlers = given;
      return { open: vi.fn(), close: vi.fn(), retryNow: vi.fn() };
    },
    now: () => now,
  });
}

const settled = (dashboard: Dashboard) =>
  vi.waitFor(() => {
    const { agents, resources } = dashboard.snapshot();
    const all: { isLoading: boolean }[] = [agents, ...Object.values<Resource<unknown>>({ ...resources })];
    expect(all.filter((one) => one.isLoading)).toEqual([]);
  });
const askedFor = (end: string) => asked.filter((url) => url.pathname.endsWith(end));

beforeEach(() => {
  sessionStorage.clear();
  asked = [];
  handlers = null;
  now = 1_000_000;
  answers = {
    "/agents": () => [OTHER, AGENT], // newest first, as it is asked for
    "/performance": (url) => performance({ agent_id: url.pathname.split("/")[3] ?? "" }),
    "/security-threats": () => threats(),
  };
});

test("it shows a live agent, asks what is seen first first, and says what failed", async () => {
  const dashboard = made();
  const stop = dashboard.start();
  await settled(dashboard);
  const { agent, resources } = dashboard.snapshot();
  expect(agent?.agent_id).toBe(OTHER.agent_id); // the last live one
  expect(resources.performance.data?.latency_metrics.p99_latency_ms).toBe(211.967);
  expect(resources.topology.error?.status).toBe(404);
  expect(asked.slice(0, 3).map((url) => url.pathname.split("/").at(-1))).toEqual([
    "agents",
    "performance",
    "security-threats",
  ]);
  stop();
});

test("another agent's figures are never shown as this one's; another range's are marked", async () => {
  const dashboard = made(`?agent=${AGENT.agent_id}`);
  dashboard.start();
  await settled(dashboard);
  dashboard.show({ range: "24h" });
  expect(dashboard.snapshot().resources.performance).toMatchObject({ isOld: true, isLoading: true });
  expect(dashboard.snapshot().resources.performance.data).not.toBeNull();
  await settled(dashboard);
  dashboard.show({ agent: OTHER.agent_id });
  for (const resource of [dashboard.snapshot().resources.performance, dashboard.snapshot().resources.connections])
    expect(resource.data).toBeNull();
  await settled(dashboard);
  expect(dashboard.snapshot().resources.performance.data?.agent_id).toBe(OTHER.agent_id);
  expect(location.search).toContain(`agent=${OTHER.agent_id}`);
  expect(askedFor("/performance").at(-1)?.searchParams.get("timeframe")).toBe("24h");
});

test("an agent beyond those that are listed is found by its id", async () => {
  const far = { ...AGENT, agent_id: "ffffffff-0000-4000-8000-000000000009", hostname: "far" };
  answers["/agents"] = (url) => (url.searchParams.get("search") === far.agent_id ? [far] : [OTHER, AGENT]);
  const dashboard = made();
  dashboard.start();
  await settled(dashboard);
  dashboard.show({ agent: far.agent_id });
  await vi.waitFor(() => {
    expect(dashboard.snapshot().agent?.hostname).toBe("far");
  });
  await settled(dashboard);
  expect(dashboard.snapshot().resources.performance.data?.agent_id).toBe(far.agent_id);
});

test("an answer that comes late does not replace a newer one", async () => {
  const dashboard = made(`?agent=${AGENT.agent_id}`);
  dashboard.start();
  await settled(dashboard);
  dashboard.show({ range: "7d" });
  dashboard.show({ range: "24h" });
  await settled(dashboard);
  expect(dashboard.snapshot().resources.performance.key).toBe(`${AGENT.agent_id} 24h`);
});

describe("live", () => {
  test("a window is shown, asks again when it is new, and is not asked for too often", async () => {
    const dashboard = made(`?agent=${AGENT.agent_id}`);
    dashboard.start();
    await settled(dashboard);
    const before = askedFor("/performance").length;
    const until = Date.parse("2026-01-05T12:04:00Z");
    handlers?.onWindow(windowOf({ timestamp: until - 60_000 })); // is in the answer already
    expect(askedFor("/performance")).toHaveLength(before);
    now += 60_000;
    handlers?.onWindow(windowOf({ timestamp: until, latency_p99: 77 }));
    handlers?.onWindow(windowOf({ timestamp: until + 1 }));
    expect(askedFor("/performance")).toHaveLength(before + 1);
    expect(dashboard.snapshot().live.window?.timestamp).toBe(until + 1);
  });

  test("another agent's window is not shown, but its threat is said, once", async () => {
    const dashboard = made(`?agent=${AGENT.agent_id}`);
    dashboard.start();
    await settled(dashboard);
    const threat = { id: "e9", severity: "high", attack_class: "x", title: "X", status: "open" };
    const message = windowOf({ agent_id: OTHER.agent_id, threats: [threat] });
    handlers?.onWindow(message);
    handlers?.onWindow(message);
    expect(dashboard.snapshot().live.window).toBeNull();
    expect(dashboard.snapshot().toasts.map((one) => one.key)).toEqual(["threat:e9"]);
    dashboard.dismiss("threat:e9");
    handlers?.onWindow(message);
    expect(dashboard.snapshot().toasts).toEqual([]);
  });
});

test("threats are asked by the filters of the address", async () => {
  const dashboard = made(`?agent=${AGENT.agent_id}&severity=high&types=scan&status=open`);
  dashboard.start();
  await settled(dashboard);
  const query = askedFor("/security-threats").at(-1)?.searchParams;
  expect(query?.get("severity_threshold")).toBe("high");
  expect(query?.getAll("threat_types")).toEqual(["scan"]);
  expect(query?.get("status")).toBe("open");
  expect(query?.get("agent_id")).toBe(AGENT.agent_id);
});

test("without a token it asks to sign in; without packets it waits", async () => {
  answers["/agents"] = () => {
    throw new ApiError(401, "no token");
  };
  const out = made();
  out.start();
  await settled(out);
  expect(out.snapshot().isSignedOut).toBe(true);
  answers["/agents"] = (): Agent[] => [];
  const empty = made();
  empty.start();
  await settled(empty);
  expect(empty.snapshot().agent).toBeNull();
});
