import { useMemo, useState } from "react";
import type { Api, SecurityEvent } from "./api";
import type { Alert } from "./alerts";
import { marksOf, spanOf } from "./charts/time";
import { clean, time, ZONE } from "./format";
import { Card, Failure, Nothing } from "./parts/Card";
import { Fleet } from "./parts/Fleet";
import { Icon } from "./parts/Icon";
import { Overview } from "./parts/Overview";
import { SignIn } from "./parts/SignIn";
import { Toasts } from "./parts/Toasts";
import { Toolbar } from "./parts/Toolbar";
import { patternTimeframe } from "./store";
import { ColoursContext, useTheme } from "./theme";
import { useDashboard, useStore } from "./use";
import { BandwidthTable, BandwidthUtilization } from "./widgets/BandwidthUtilization";
import { CaptureHealth } from "./widgets/CaptureHealth";
import { CDNPerformanceMetrics } from "./widgets/CDNPerformanceMetrics";
import { ConnectionPoolStatus, ConnectionTable } from "./widgets/ConnectionPoolStatus";
import { EndpointTable } from "./widgets/EndpointTable";
import { agentName, GeographicLatencyMap, placed, RegionTable } from "./widgets/GeographicLatencyMap";
import { LatencyChart, LatencyTable, type Percentile } from "./widgets/LatencyChart";
import { LatencyHistogram } from "./widgets/LatencyHistogram";
import { NetworkTopologyGraph, TopologyTable } from "./widgets/NetworkTopologyGraph";
import { ProtocolDistributionPie } from "./widgets/ProtocolDistributionPie";
import { SecurityThreatMonitor } from "./widgets/SecurityThreatMonitor";
import { SloTiles } from "./widgets/SloTiles";
import { ThreatDetails } from "./widgets/ThreatDetails";
import { TrafficPatternHeatmap } from "./widgets/TrafficPatternHeatmap";

const PERCENTILES: readonly Percentile[] = [50, 95, 99];
const NO_WORKSPACE = "This agent belongs to no workspace.";

/** The page: toolbar, overview, and one card per widget of the specification. */
export function NetworkDashboard({ api }: { api: Api }) {
  const dashboard = useDashboard();
  const state = useStore((whole) => whole);
  const { view, agent, range, resources: r, live, toasts } = state;
  const colours = useTheme(view.theme);
  const agents = state.agents.data ?? [];
  const [step, setStep] = useState<{ at: number | null } | null>(null);
  const performance = r.performance.data;
  const span = useMemo(() => (performance ? spanOf(performance) : null), [performance]);
  const events = r.threats.data?.threats;
  const marks = useMemo(() => marksOf(events ?? [], span), [events, span]);
  const open = view.event ? (events?.find((one) => one.id === view.event) ?? null) : null;
  const steps = useMemo(() => {
    const series = performance?.series;
    return series ? series.bucket.filter((_, at) => series.p50_ms[at] != null) : [];
  }, [performance]);

  const retry = (name: Parameters<typeof dashboard.retry>[0]) => () => {
    dashboard.retry(name);
  };
  const showEvent = (event: SecurityEvent) => {
    dashboard.show({ event: event.id });
  };
  const showAlert = (alert: Alert) => {
    dashboard.dismiss(alert.key);
    const { threat } = alert;
    const other = alert.agentId !== agent?.agent_id;
    dashboard.show({
      page: "agent",
      ...(other && { agent: alert.agentId }),
      ...(threat && { event: threat.id, severity: "low" as const, status: "all" as const }),
    });
    document.getElementById(threat ? "threats" : "latency")?.scrollIntoView({ block: "start" });
  };

  if (state.isSignedOut) return <SignIn />;
  return (
    <ColoursContext value={colours}>
      <a className="skip" href="#main">
        Skip to the figures
      </a>
      <Toolbar />
      <main id="main">
        {view.page === "fleet" && (
          <Fleet
            api={api}
            view={view}
            onView={dashboard.show}
            onOpen={(one) => {
              dashboard.show({ page: "agent", agent: one.agent_id, workspace: one.workspace_id });
            }}
          />
        )}
        {view.page === "agent" && !agent && (
          <Welcome
            isLoading={state.agents.isLoading}
            error={state.agents.error}
            agent={view.agent}
            count={agents.length}
            onRetry={retry("agents")}
            onAny={() => {
              dashboard.show({ agent: null, workspace: null });
            }}
          />
        )}
        {view.page === "agent" && agent && (
          <>
            <p className="about">
              <span>
                <bdi>{clean(agent.workspace_id ?? "no workspace", 60)}</bdi>
                {agent.region && <> · {clean(agent.region, 30)}</>}
                {" · "}
                {agent.live ? "live" : agent.source === "replay" ? "capture file" : "not live"}
              </span>
              {span && performance && (
                <span>
                  {time(span.since, "full")} – {time(span.until, "full")}
                </span>
              )}
              <span className="muted">times in {ZONE}</span>
            </p>
            <Overview
              performance={r.performance}
              threats={r.threats}
              window={agent.live ? live.window : null}
            />
            <div className="grid">
              <Card
                id="latency"
                className="w8"
                title="Latency"
                sub={performance && <>{performance.sample_count.toLocaleString("en")} samples</>}
                resource={r.performance}
                onRetry={retry("performance")}
                empty={(data) =>
                  data.sample_count === 0
                    ? (data.reasons.latency_metrics ?? "No round trip was measured in this period.")
                    : null
                }
                actions={
                  performance !== null &&
                  performance.sample_count > 0 && (
                    <button
                      type="button"
                      className="icon-button"
                      title="Distribution (or click the chart)"
                      aria-label="Latency distribution"
                      onClick={() => {
                        setStep({ at: null });
                      }}
                    >
                      <Icon name="bars" />
                    </button>
                  )
                }
                table={(data) => <LatencyTable series={data.series} />}
              >
                {(data) => (
                  <LatencyChart
                    metrics={data.latency_metrics}
                    series={data.series}
                    span={span}
                    percentiles={PERCENTILES}
                    showJitter={true}
                    reasons={data.reasons}
                    marks={marks}
                    onStep={(at) => {
                      setStep({ at });
                    }}
                  />
                )}
              </Card>
              <Card
                id="protocols"
                className="w4"
                title="Protocols"
                resource={r.performance}
                onRetry={retry("performance")}
                empty={(data) =>
                  Object.keys(data.protocol_bytes).length === 0 ? "No packet was seen in this period." : null
                }
              >
                {(data) => <ProtocolDistributionPie distribution={data.protocol_bytes} />}
              </Card>
              <Card
                id="bandwidth"
                className="w8"
                title="Bandwidth"
                resource={r.performance}
                onRetry={retry("performance")}
                empty={(data) =>
                  data.series.ingress_mbps.every((value) => value === null)
                    ? (data.reasons.bandwidth_metrics ?? "No packet was seen in this period.")
                    : null
                }
                table={(data) => <BandwidthTable series={data.series} />}
              >
                {(data) => (
                  <BandwidthUtilization
                    ingress={data.bandwidth_metrics.ingress_mbps}
                    egress={data.bandwidth_metrics.egress_mbps}
                    capacity={capacityOf(data, live.window?.capacity_mbps ?? null)}
                    utilization={data.bandwidth_metrics.bandwidth_utilization}
                    usage={r.bandwidth.data?.usage_patterns}
                    series={data.series}
                    span={span}
                    reasons={data.reasons}
                    marks={marks}
                  />
                )}
              </Card>
              <Card
                id="connections"
                className="w4"
                title="Connections"
                resource={r.connections}
                onRetry={retry("connections")}
                table={performance ? () => <ConnectionTable series={performance.series} /> : undefined}
              >
                {(data) => (
                  <ConnectionPoolStatus
                    active={data.pool.active}
                    idle={data.pool.idle}
                    failed={data.pool.failed}
                    basis={data.pool.basis}
                    lifecycle={data.connection_lifecycle}
                    reasons={data.reasons}
                    series={performance?.series}
                    span={span}
                  />
                )}
              </Card>
              <Card
                id="threats"
                className="w12"
                title="Threats"
                sub={r.threats.data && <>{r.threats.data.total} in the period</>}
                resource={r.threats}
                onRetry={retry("threats")}
                unasked={NO_WORKSPACE}
              >
                {(data) => (
                  <SecurityThreatMonitor
                    threats={data.threats}
                    severityFilter={view.severity}
                    summary={data}
                    filter={view}
                    agents={agents}
                    onFilter={dashboard.show}
                    onOpen={showEvent}
                    onMore={dashboard.moreThreats}
                  />
                )}
              </Card>
              <Card
                id="endpoints"
                className="w8"
                title="Endpoints"
                sub="busiest first"
                resource={r.performance}
                onRetry={retry("performance")}
                empty={(data) => (data.endpoints.length ? null : "No connection was seen in this period.")}
              >
                {(data) => <EndpointTable endpoints={data.endpoints} />}
              </Card>
              <Card
                id="health"
                className="w4"
                title="Capture health"
                resource={r.performance}
                onRetry={retry("performance")}
              >
                {(data) => (
                  <CaptureHealth health={data.health} quality={data.quality} coverage={data.coverage} />
                )}
              </Card>
              <Card
                id="geography"
                className="w7"
                title="Latency by region"
                sub="whole workspace"
                resource={r.regions}
                onRetry={retry("regions")}
                unasked={NO_WORKSPACE}
                empty={(data) =>
                  placed(data).length ? null : "No address of this period has a place: private or unknown ranges."
                }
                table={(data) => <RegionTable regions={data} agents={agents} />}
              >
                {(data) => (
                  <GeographicLatencyMap regions={data} showOptimalRoutes={true} agents={agents} />
                )}
              </Card>
              <Card
                id="topology"
                className="w5"
                title="Topology"
                sub={r.topology.data && <>{r.topology.data.nodes.length} nodes</>}
                resource={r.topology}
                onRetry={retry("topology")}
                unasked={NO_WORKSPACE}
                empty={(data) =>
                  data.nodes.length ? null : (data.reason ?? "No node was seen in this period.")
                }
                table={(data) => <TopologyTable nodes={data.nodes} edges={data.edges} />}
              >
                {(data) => (
                  <NetworkTopologyGraph nodes={data.nodes} edges={data.edges} highlightCriticalPaths={true} />
                )}
              </Card>
              <Card
                id="patterns"
                className="w7"
                title="Traffic pattern"
                sub={`last ${patternTimeframe(range)}`}
                resource={r.patterns}
                onRetry={retry("patterns")}
                unasked={NO_WORKSPACE}
                empty={(data) =>
                  data.heatmap?.mbps.some((row) => row.some((value) => value !== null))
                    ? null
                    : (data.reason ?? "No traffic is kept of these weeks.")
                }
              >
                {(data) =>
                  data.heatmap && <TrafficPatternHeatmap patterns={data.heatmap} timeGranularity="hourly" />
                }
              </Card>
              <Card
                id="cdn"
                className="w5"
                title="CDN"
                resource={r.cdn}
                onRetry={retry("cdn")}
                empty={(data) => (data.available ? null : (data.reason ?? "No CDN data."))}
              >
                {(data) => (
                  <CDNPerformanceMetrics
                    hitRatio={data.cache_performance?.cache_hit_ratio ?? null}
                    edgeLocations={data.edge_metrics ?? []}
                    provider={data.cdn_provider}
                    cache={data.cache_performance}
                    offload={data.origin_offload}
                    reason={data.reason}
                  />
                )}
              </Card>
              <Card
                id="slo"
                className="w12"
                title="Objectives"
                sub="last 30 days, whole workspace"
                resource={r.slo}
                onRetry={retry("slo")}
                unasked={NO_WORKSPACE}
                empty={(data) => (data.objectives.length ? null : "No objective is set.")}
              >
                {(data) => <SloTiles objectives={data.objectives} />}
              </Card>
            </div>
          </>
        )}
      </main>
      <footer className="page-foot">
        <a href="/openapi.json">API</a> · <a href="/metrics">Prometheus</a> ·{" "}
        <a href="/licenses.md">Licences</a>
        <span>A dash is a figure that cannot be known; point at it for the reason.</span>
      </footer>
      {open && (
        <ThreatDetails
          key={open.id}
          event={open}
          agent={agentName(agents, open.agent_id)}
          onClose={() => {
            dashboard.show({ event: null });
          }}
        />
      )}
      {step && agent && (
        <LatencyHistogram
          api={api}
          agentId={agent.agent_id}
          timeframe={range}
          steps={steps}
          at={step.at}
          onStep={(at) => {
            setStep({ at });
          }}
          onClose={() => {
            setStep(null);
          }}
        />
      )}
      <Toasts
        toasts={toasts}
        agents={agents}
        onShow={showAlert}
        onDismiss={dashboard.dismiss}
        onDismissAll={dashboard.dismissAll}
      />
    </ColoursContext>
  );
}

/** The link's capacity: as the socket says, else what the share of it comes from. */
function capacityOf(
  data: { bandwidth_metrics: { ingress_mbps: number | null; egress_mbps: number | null; bandwidth_utilization: number | null } },
  said: number | null,
): number | null {
  if (said !== null) return said;
  const { ingress_mbps: into, egress_mbps: out, bandwidth_utilization: share } = data.bandwidth_metrics;
  return into === null || out === null || !share ? null : Math.max(into, out) / share;
}

interface WelcomeProps {
  isLoading: boolean;
  error: Parameters<typeof Failure>[0]["error"] | null;
  agent: string | null;
  count: number;
  onRetry: () => void;
  onAny: () => void;
}

/** Instead of figures: there is no agent yet, or not that one. */
function Welcome({ isLoading, error, agent, count, onRetry, onAny }: WelcomeProps) {
  if (error) {
    return (
      <section className="card welcome">
        <Failure error={error} onRetry={onRetry} />
      </section>
    );
  }
  if (isLoading) return <div className="skeleton welcome" role="status" aria-label="Loading" />;
  if (agent !== null && count > 0) {
    return (
      <section className="card welcome">
        <Nothing title="Unknown agent" why="The address names an agent that this store has no rows of." />
        <button type="button" className="button primary" onClick={onAny}>
          Show one that it has
        </button>
      </section>
    );
  }
  return (
    <section className="card welcome">
      <Nothing title="Nothing here yet" why="This store has no packets so far. Capture some, or replay a file:" />
      <pre>
        sensor run -i eth0 --db FILE{"\n"}sensor replay capture.pcap --db FILE
      </pre>
    </section>
  );
}
