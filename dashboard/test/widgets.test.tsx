import { render, screen, within } from "@testing-library/react";
import user from "@testing-library/user-event";
import type { ReactNode } from "react";
import { expect, test, vi } from "vitest";
import { DEFAULTS } from "../src/address";
import { ApiError, type Cdn, type TopologyEdge, type TopologyNode } from "../src/api";
import { Card } from "../src/parts/Card";
import { AgentPicker } from "../src/parts/Picker";
import { Toasts } from "../src/parts/Toasts";
import type { Resource } from "../src/store";
import { ColoursContext, type Colours } from "../src/theme";
import { BandwidthUtilization } from "../src/widgets/BandwidthUtilization";
import { CaptureHealth } from "../src/widgets/CaptureHealth";
import { CDNPerformanceMetrics } from "../src/widgets/CDNPerformanceMetrics";
import { ConnectionPoolStatus } from "../src/widgets/ConnectionPoolStatus";
import { EndpointTable } from "../src/widgets/EndpointTable";
import { GeographicLatencyMap, RegionTable, speed } from "../src/widgets/GeographicLatencyMap";
import { LatencyChart, LatencyTable } from "../src/widgets/LatencyChart";
import { layout } from "../src/widgets/layout";
import { drawn, NetworkTopologyGraph, TopologyTable } from "../src/widgets/NetworkTopologyGraph";
import { ProtocolDistributionPie } from "../src/widgets/ProtocolDistributionPie";
import { SecurityThreatMonitor } from "../src/widgets/SecurityThreatMonitor";
import { SloTiles } from "../src/widgets/SloTiles";
import { ThreatDetails } from "../src/widgets/ThreatDetails";
import { TrafficPatternHeatmap } from "../src/widgets/TrafficPatternHeatmap";
import { AGENT, connections, event, HOSTILE, OTHER, performance, threats } from "./made";

const COLOURS = new Proxy({}, { get: () => "#123456" }) as Colours;
const show = (what: ReactNode) => render(<ColoursContext value={COLOURS}>{what}</ColoursContext>);
const figure = (name: string, within_: ParentNode = document) =>
  within_.querySelector<HTMLDataElement>(`data[data-name="${name}"]`);

test("LatencyChart says percentiles and jitter; its table leaves gaps out", () => {
  const { latency_metrics, series } = performance();
  show(<LatencyChart metrics={latency_metrics} series={series} span={null} percentiles={[50, 95, 99]} showJitter />);
  expect(figure("p50_latency_ms")?.value).toBe("27.391");
  expect(figure("p95_latency_ms")?.value).toBe("119.295");
  expect(figure("p99_latency_ms")?.textContent).toBe("212\u00a0ms");
  expect(figure("jitter_ms")?.value).toBe("0.817");
  expect(screen.getByRole("img").getAttribute("aria-label")).toContain("27.4\u00a0ms");
  show(<LatencyTable series={series} />);
  expect(within(screen.getByRole("table")).getAllByRole("row")).toHaveLength(1 + 3);
});

test("BandwidthUtilization says why utilization is not known", () => {
  const { series, reasons } = performance();
  show(<BandwidthUtilization ingress={0.096} egress={0.898} capacity={null} utilization={null} series={series} span={null} reasons={reasons} />);
  expect(figure("ingress_mbps")?.textContent).toBe("96\u00a0kbit/s");
  expect(figure("bandwidth_utilization")?.value).toBe("");
  expect(figure("bandwidth_utilization")?.textContent).toContain("the link's capacity is not known");
});

test("ConnectionPoolStatus: active, idle, failed and churn", () => {
  const { pool, connection_lifecycle, reasons } = connections();
  show(<ConnectionPoolStatus {...pool} lifecycle={connection_lifecycle} reasons={reasons} span={null} />);
  expect([figure("active")?.value, figure("idle")?.value, figure("failed")?.value]).toEqual(["48", "16", "997"]);
  expect(figure("churn_rate")?.textContent).toBe("85.2\u00a0%");
  expect(figure("reuse_rate")?.textContent).toContain("no requests were seen");
  expect(screen.getByRole("img").getAttribute("aria-label")).toContain("75\u00a0%");
});

test("ProtocolDistributionPie is a partition: the shares are one", () => {
  show(<ProtocolDistributionPie distribution={{ https: 600, dns: 100, other_tcp: 300, grpc: 0 }} />);
  const shares = [...document.querySelectorAll<HTMLDataElement>('data[data-name^="share."]')];
  expect(shares.map((one) => [one.dataset.name, Number(one.value)])).toEqual([
    ["share.https", 0.6],
    ["share.other_tcp", 0.3],
    ["share.dns", 0.1],
  ]);
});

test("TrafficPatternHeatmap: 7 × 24 cells, nothing known is not zero", () => {
  const mbps = Array.from({ length: 7 }, (_, day) => Array.from({ length: 24 }, (_, hour) => (day === 6 ? null : day * 24 + hour)));
  show(<TrafficPatternHeatmap patterns={{ hours: [], days: ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"], mbps, timezone: "Europe/Berlin" }} timeGranularity="hourly" />);
  const rows = within(screen.getByRole("table")).getAllByRole("row").slice(1);
  expect(rows).toHaveLength(7);
  const cells = rows.map((row) => within(row).getAllByRole("cell"));
  expect(cells.every((row) => row.length === 24)).toBe(true);
  expect(cells[2]?.[5]?.querySelector("data")?.value).toBe("53");
  expect(cells[5]?.[23]?.dataset.level).toBe("8");
  expect(cells[6]?.[0]?.dataset.level).toBe("none");
  expect(screen.getAllByText("Europe/Berlin").length).toBeGreaterThan(0);
});

const REGIONS = [
  { region: "DE", name: "Germany", lat: 51, lon: 10, avg_ms: null, p50_ms: 18, p95_ms: 40, bytes: 900, error_rate: 0.01, best_agent_id: AGENT.agent_id },
  { region: "private", name: null, lat: null, lon: null, avg_ms: null, p50_ms: null, p95_ms: null, bytes: 100, error_rate: null, best_agent_id: null },
];

test("GeographicLatencyMap counts what has no place; its table has all", () => {
  show(<GeographicLatencyMap regions={REGIONS} showOptimalRoutes agents={[AGENT]} />);
  expect(screen.getByRole("img").getAttribute("aria-label")).toContain("1 regions");
  expect(screen.getByText(/1 without a place/)).toBeTruthy();
  show(<RegionTable regions={REGIONS} agents={[AGENT]} />);
  expect(screen.getByText("web-1")).toBeTruthy();
  expect([speed(49.9), speed(50), speed(150), speed(null)]).toEqual(["fast", "medium", "slow", "unknown"]);
});

const FILTER = { ...DEFAULTS };
const none = () => undefined;

test("SecurityThreatMonitor filters and opens", async () => {
  const onFilter = vi.fn();
  const onOpen = vi.fn();
  const found = threats([event(), event({ id: "e2", severity: "medium", status: "resolved", source_ip: "2001:db8::1", source_port: 99 })]);
  show(<SecurityThreatMonitor threats={found.threats} severityFilter="medium" summary={found} filter={FILTER} agents={[AGENT]} onFilter={onFilter} onOpen={onOpen} onMore={none} />);
  const rows = document.querySelectorAll("tr[data-event]");
  expect(rows).toHaveLength(2);
  expect(rows[0]?.textContent).toContain("10.20.0.10:443");
  expect(rows[0]?.textContent).toContain("spoofed");
  expect(rows[1]?.textContent).toContain("[2001:db8::1]:99");
  await user.selectOptions(screen.getByLabelText("Severity"), "high");
  expect(onFilter).toHaveBeenLastCalledWith({ severity: "high" });
  await user.click(screen.getByRole("button", { name: "Scan" }));
  expect(onFilter).toHaveBeenLastCalledWith({ types: ["ddos", "intrusion"] });
  await user.click(screen.getByRole("button", { name: "Open" }));
  expect(onFilter).toHaveBeenLastCalledWith({ status: "open" });
  await user.click(screen.getAllByRole("button", { name: /SYN flood/ })[0] as Element);
  expect(onOpen).toHaveBeenCalledWith(found.threats[0]);
});

test("ThreatDetails has evidence and mitigation, and closes", async () => {
  const onClose = vi.fn();
  show(<ThreatDetails event={event()} agent="web-1" onClose={onClose} />);
  expect(figure("evidence.value")?.value).toBe("1126");
  expect(screen.getByText("Confirm.")).toBeTruthy();
  expect(figure("false_positive_probability")?.textContent).toBe("0.065\u00a0%");
  await user.click(screen.getByRole("button", { name: "Close" }));
  expect(onClose).toHaveBeenCalled();
});

const node = (id: string, role: string, over: Partial<TopologyNode> = {}): TopologyNode => ({
  id, name: id, role, ip: null, mac: null, vlan: null, hops: null, segment: "lan", evidence: [], confidence: 1, is_spof: false, ...over,
}); // prettier-ignore
const edge = (source: string, target: string, over: Partial<TopologyEdge> = {}): TopologyEdge => ({
  source, target, kind: "l2", bytes: 10, connections: 1, errors: 0, latency_avg_ms: null, evidence: ["arp"], confidence: 1, is_critical: false, ...over,
}); // prettier-ignore

test("NetworkTopologyGraph: one line a pair, columns by role, single points of failure kept", () => {
  const nodes = [
    node("gw", "gateway", { is_spof: true }),
    node("a", "service"),
    node("b", "service"),
    ...Array.from({ length: 100 }, (_, n) => node(`x${n}`, "host", { segment: "external" })),
  ];
  const edges = [
    edge("gw", "a"),
    edge("a", "gw", { kind: "service", bytes: 30, latency_avg_ms: 5, is_critical: true }),
    ...Array.from({ length: 100 }, (_, n) => edge(`x${n}`, "gw", { bytes: n })),
  ];
  const { shown, links } = drawn(nodes, edges);
  expect(shown).toHaveLength(1 + 2 + 26);
  expect(shown.map((one) => one.id)).toContain("x99");
  const pair = links.find((one) => one.target === "a" || one.source === "a");
  expect(pair).toMatchObject({ bytes: 30, latency_avg_ms: 5, is_critical: true, kind: "l2, service" });
  const spots = layout(shown, links);
  expect([spots.get("x99")?.x, spots.get("gw")?.x, spots.get("a")?.x]).toEqual([0, 0.5, 1]);
  expect(layout(shown, links)).toEqual(spots);
  show(<NetworkTopologyGraph nodes={nodes} edges={edges} highlightCriticalPaths />);
  expect(screen.getByRole("img").getAttribute("aria-label")).toContain("1 single points of failure");
  show(<TopologyTable nodes={nodes} edges={edges.slice(0, 2)} />);
  expect(screen.getByText("yes")).toBeTruthy();
});

test("CDNPerformanceMetrics: ratios, and why one is not known", () => {
  const cache: Cdn["cache_performance"] = { cache_hit_ratio: 0.913, cache_miss_ratio: 0.061, cache_bypass_ratio: 0.026, origin_shield_hit_ratio: null };
  const edges = [{ edge_location: "FRA", requests_served: 7, avg_response_time_ms: 18, error_rate: 0, bandwidth_served_gb: 1.5 }];
  show(<CDNPerformanceMetrics hitRatio={0.913} edgeLocations={edges} provider="cloudfront" cache={cache} offload={null} reason="no origin logs" />);
  expect(figure("cache_hit_ratio")?.value).toBe("0.913");
  expect(figure("requests_to_origin")?.textContent).toContain("no origin logs");
  expect(figure("bandwidth_served_gb")?.textContent).toBe("1.5\u00a0GB");
});

test("CaptureHealth shows losses that there are; unknown is not zero", () => {
  const { health } = performance();
  show(<CaptureHealth health={health} quality="ok" coverage={0.66} />);
  expect(figure("received")?.value).toBe("219460");
  expect(figure("dropped")?.value).toBe("");
  expect(figure("malformed")?.value).toBe("4");
});

test("SloTiles: met, missed and not known", () => {
  show(
    <SloTiles
      objectives={[
        { name: "a", target: 50, value: 41.2, unit: "ms", met: true },
        { name: "b", target: 0.0001, value: 0.004, unit: "fraction", met: false },
        { name: "c", target: 0.3, value: null, unit: "fraction", met: null, reason: "no prices" },
      ]}
    />,
  );
  const states = screen.getAllByRole("listitem").map((one) => one.dataset.state);
  expect(states).toEqual(["met", "missed", "unknown"]);
  expect(figure("slo.c")?.textContent).toContain("no prices");
});

test("EndpointTable sorts, with what is not known last both ways", async () => {
  show(<EndpointTable endpoints={performance().endpoints} />);
  const names = () => [...document.querySelectorAll("tbody tr")].map((row) => row.querySelector("bdi")?.textContent);
  await user.click(screen.getByRole("button", { name: /p99/ }));
  expect(names()).toEqual(["www.example:443/tcp", "db.example:5432/tcp"]);
  await user.click(screen.getByRole("button", { name: /p99/ }));
  expect(names()).toEqual(["www.example:443/tcp", "db.example:5432/tcp"]);
  await user.click(screen.getByRole("button", { name: /Traffic/ }));
  expect(names()[0]).toBe("db.example:5432/tcp");
});

test("attackers' strings are text wherever they are shown", () => {
  for (const text of HOSTILE) {
    const one = event({ title: text, mitigation: text, rule_id: text, source_ip: text, evidence: { feature: text, value: 1, threshold: 2, top_sources: [{ ip: text, count: 1, share: 1 }] } });
    show(
      <>
        <EndpointTable endpoints={[{ endpoint: text, region: text, bytes: 1, p50_ms: 1, p95_ms: 1, p99_ms: 1, connections: 1, errors: 1 }]} />
        <SecurityThreatMonitor threats={[one]} severityFilter="info" summary={threats([one])} filter={FILTER} agents={[{ ...AGENT, hostname: text }]} onFilter={none} onOpen={none} onMore={none} />
        <ThreatDetails event={one} agent={text.slice(0, 60)} onClose={none} />
        <TopologyTable nodes={[node("n", "host", { name: text })]} edges={[edge("n", "n", { evidence: [text] })]} />
      </>,
    );
  }
  expect(document.querySelectorAll("img, script, a[href^=javascript]")).toHaveLength(0);
});

test("Card: loading, empty, error with retry, not offered", async () => {
  const onRetry = vi.fn();
  const resource: Resource<number> = { key: "k", data: null, error: null, isOld: false, isLoading: true };
  const card = (over: Partial<Resource<number>>) => (
    <Card id="c" title="C" resource={{ ...resource, ...over }} onRetry={onRetry} empty={(n) => (n ? null : "nothing was seen")} table={() => "as a table"}>
      {(n) => <b>{n} drawn</b>}
    </Card>
  );
  const view = show(card({}));
  expect(screen.getByRole("status", { name: "Loading" })).toBeTruthy();
  view.rerender(card({ data: 0 }));
  expect(screen.getByText("nothing was seen")).toBeTruthy();
  view.rerender(card({ error: new ApiError(500, "broken", "the store cannot be read") }));
  await user.click(screen.getByRole("button", { name: "Try again" }));
  expect(onRetry).toHaveBeenCalled();
  view.rerender(card({ error: new ApiError(404, "not found") }));
  expect(screen.getByText("Not offered")).toBeTruthy();
  view.rerender(card({ data: 7, error: new ApiError(0, "the server does not answer") }));
  expect(screen.getByText("7 drawn")).toBeTruthy();
  expect(screen.getByText(/Not refreshed/)).toBeTruthy();
  await user.click(screen.getByRole("button", { name: "C: as a table" }));
  expect(screen.getByText("as a table")).toBeTruthy();
});

test("AgentPicker: found and chosen by keyboard among many", async () => {
  const onChoose = vi.fn();
  const agents = [AGENT, OTHER, ...Array.from({ length: 60 }, (_, n) => ({ ...AGENT, agent_id: `id-${n}`, hostname: `host-${n}` }))];
  show(<AgentPicker agents={agents} chosen={AGENT} onChoose={onChoose} />);
  await user.click(screen.getByRole("button", { name: /web-1/ }));
  expect(screen.getAllByRole("option")).toHaveLength(62);
  await user.keyboard("host-5{ArrowDown}{ArrowDown}{Enter}");
  expect(onChoose).toHaveBeenCalledWith(expect.objectContaining({ hostname: "host-51" }));
  expect(screen.queryByRole("listbox")).toBeNull();
  expect(document.activeElement).toBe(screen.getByRole("button", { name: /web-1/ }));
});

test("Toasts: weather goes by itself, threats stay", async () => {
  vi.useFakeTimers();
  const onDismiss = vi.fn();
  const base = { agentId: AGENT.agent_id, at: 0, value: null, threat: null };
  const threat = { id: "e", severity: "critical", attack_class: "syn_flood", title: "SYN flood", status: "open" };
  show(
    <Toasts
      toasts={[
        { ...base, key: "loss", kind: "loss", value: 0.042 },
        { ...base, key: "threat", kind: "threat", threat },
      ]}
      agents={[AGENT]}
      onShow={none}
      onDismiss={onDismiss}
      onDismissAll={none}
    />,
  );
  expect(screen.getByText("Packet loss 4.2 %")).toBeTruthy();
  expect(screen.getByText("SYN flood")).toBeTruthy();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(onDismiss.mock.calls).toEqual([["loss"]]);
  vi.useRealTimers();
});
