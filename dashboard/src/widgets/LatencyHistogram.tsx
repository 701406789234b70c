import { useEffect, useMemo, useState } from "react";
import { ApiError, type Api, type Histogram } from "../api";
import { Chart } from "../charts/Chart";
import { GRID, valueAxis } from "../charts/time";
import { TOOLTIP, tip } from "../charts/tooltip";
import { count, moment, ms, percent, text, time } from "../format";
import { Failure, Nothing } from "../parts/Card";
import { DataTable } from "../parts/DataTable";
import { Dialog } from "../parts/Dialog";
import { Figure } from "../parts/Figure";
import { Icon } from "../parts/Icon";
import { Stats } from "../parts/Stats";
import { useColours } from "../theme";

interface Props {
  api: Api;
  agentId: string;
  timeframe: string;
  /** Starts of the steps with samples, ascending. */
  steps: readonly number[];
  /** The step, by its start; null is the whole period. */
  at: number | null;
  onStep: (at: number | null) => void;
  onClose: () => void;
}

type Answer = { of: string; histogram: Histogram } | { of: string; error: ApiError };

/** How the latency of one step, or of the whole period, was distributed. */
export function LatencyHistogram(props: Props) {
  const { api, agentId, timeframe, steps, at, onStep, onClose } = props;
  const [tries, setTries] = useState(0);
  const [answer, setAnswer] = useState<Answer | null>(null);
  const key = `${agentId} ${timeframe} ${at} ${tries}`;
  useEffect(() => {
    const flight = new AbortController();
    api.histogram(agentId, timeframe, at, flight.signal).then(
      (histogram) => {
        setAnswer({ of: key, histogram });
      },
      (error: unknown) => {
        if (!flight.signal.aborted && error instanceof ApiError) setAnswer({ of: key, error });
      },
    );
    return () => {
      flight.abort();
    };
  }, [api, agentId, timeframe, at, key]);
  const now = answer?.of === key ? answer : null;
  const index = at === null ? -1 : steps.indexOf(at);
  const before = at === null ? steps.at(-1) : steps[index - 1];
  const after = index < 0 ? undefined : steps[index + 1];
  return (
    <Dialog title="Latency distribution" className="wide" onClose={onClose}>
      <div className="stepper">
        <button
          type="button"
          className="icon-button"
          aria-label="Step before"
          disabled={before === undefined}
          onClick={() => {
            onStep(before ?? null);
          }}
        >
          <Icon name="left" />
        </button>
        <span role="status">{at === null ? "Whole period" : time(at, "full")}</span>
        <button
          type="button"
          className="icon-button"
          aria-label="Step after"
          disabled={after === undefined}
          onClick={() => {
            onStep(after ?? null);
          }}
        >
          <Icon name="right" />
        </button>
        <button
          type="button"
          className="button"
          disabled={at === null}
          onClick={() => {
            onStep(null);
          }}
        >
          Whole period
        </button>
      </div>
      {!now && <div className="skeleton" role="status" aria-label="Loading" />}
      {now && "error" in now && (
        <Failure
          error={now.error}
          onRetry={() => {
            setTries(tries + 1);
          }}
        />
      )}
      {now && "histogram" in now && <Distribution of={now.histogram} />}
    </Dialog>
  );
}

function Distribution({ of: found }: { of: Histogram }) {
  const colours = useColours();
  const { bins, count: samples } = found;
  const option = useMemo(
    () => ({
      animation: false,
      grid: { ...GRID, top: 20 },
      xAxis: {
        type: "category" as const,
        data: bins.map((bin) => text(ms(bin.to_ms))),
        axisLine: { lineStyle: { color: colours.line } },
        axisTick: { show: false },
        axisLabel: { color: colours.muted, fontSize: 11, hideOverlap: true },
      },
      yAxis: valueAxis(colours, (value) => text(count(value))),
      tooltip: {
        ...TOOLTIP,
        trigger: "axis",
        axisPointer: { type: "shadow", shadowStyle: { color: colours.line, opacity: 0.5 } },
        formatter: (at: unknown) => {
          const bin = bins[(at as { dataIndex: number }[])[0]?.dataIndex ?? 0];
          return bin
            ? tip(`${text(ms(bin.from_ms))} – ${text(ms(bin.to_ms))}`, [
                { label: "samples", value: text(count(bin.count)), color: colours.p50 },
                { label: "share", value: text(percent(samples ? bin.count / samples : null)) },
              ])
            : "";
        },
      },
      series: [
        {
          type: "bar" as const,
          data: bins.map((bin) => bin.count),
          color: colours.p50,
          barCategoryGap: "12%",
          itemStyle: { borderRadius: [2, 2, 0, 0] },
          emphasis: { disabled: true },
        },
      ],
    }),
    [bins, samples, colours],
  );
  if (samples === 0) return <Nothing title="No samples" why="No round trip was measured then." />;
  return (
    <>
      <Stats
        of={[
          { label: "samples", value: <Figure value={samples} format={count} name="histogram.count" /> },
          { label: "p50", swatch: colours.p50, value: <Figure value={found.p50_ms} format={ms} name="histogram.p50_ms" /> },
          { label: "p95", swatch: colours.p95, value: <Figure value={found.p95_ms} format={ms} name="histogram.p95_ms" /> },
          { label: "p99", swatch: colours.p99, value: <Figure value={found.p99_ms} format={ms} name="histogram.p99_ms" /> },
        ]}
      />
      <Chart
        option={option}
        label={`Histogram of ${samples} samples from ${time(moment(found.since))} to ${time(moment(found.until))}. The table below has every bin.`}
      />
      <details>
        <summary>As a table</summary>
        <DataTable
          caption="Samples by latency"
          rows={bins.filter((bin) => bin.count > 0)}
          rowKey={(bin) => bin.to_ms}
          columns={[
            { name: "Up to", isNumber: true, cell: (bin) => <Figure value={bin.to_ms} format={ms} />, by: (bin) => bin.to_ms },
            { name: "Samples", isNumber: true, cell: (bin) => <Figure value={bin.count} format={count} name="bin" />, by: (bin) => bin.count },
            { name: "Share", isNumber: true, cell: (bin) => <Figure value={bin.count / samples} format={percent} />, by: (bin) => bin.count },
          ]}
        />
      </details>
    </>
  );
}
