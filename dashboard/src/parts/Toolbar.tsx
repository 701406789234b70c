import { useEffect, useState } from "react";
import { RANGES, type Theme } from "../address";
import { ago, clean } from "../format";
import type { State } from "../store";
import { useDashboard, useStore } from "../use";
import { Icon, type IconName } from "./Icon";
import { AgentPicker } from "./Picker";

const ALL = "\u0000"; // no workspace is called so
const NEXT_THEME: Record<Theme, Theme> = { auto: "light", light: "dark", dark: "auto" };
const THEME_ICON: Record<Theme, IconName> = { auto: "auto", light: "sun", dark: "moon" };

/** What is looked at: workspace, agent, range; and whether it is live. */
export function Toolbar() {
  const dashboard = useDashboard();
  const view = useStore((state) => state.view);
  const shown = useStore((state) => state.range);
  const agents = useStore((state) => state.agents.data) ?? [];
  const agent = useStore((state) => state.agent);
  const live = useStore((state) => state.live);
  const isFleet = view.page === "fleet";
  const workspaces = [...new Set(agents.map((one) => one.workspace_id))];
  const workspace = agent?.workspace_id ?? view.workspace;
  const inside = agents.filter((one) => one.workspace_id === workspace);
  return (
    <header className="toolbar">
      <a className="brand" href="/" aria-label="sensor, start">
        <svg viewBox="0 0 32 32" aria-hidden="true">
          <rect width="32" height="32" rx="8" />
          <path d="M5 17h5l3-8 5 15 4-11 2 4h3" />
        </svg>
        <span>sensor</span>
      </a>
      {workspaces.length > 1 && (
        <label className="workspace">
          <span className="unseen">Workspace</span>
          <select
            value={isFleet ? (view.workspace ?? ALL) : (workspace ?? "")}
            onChange={(event) => {
              const { value } = event.target;
              dashboard.show({ workspace: value === ALL ? null : value, agent: null });
            }}
          >
            {isFleet && <option value={ALL}>all workspaces</option>}
            {workspaces.map((one) => (
              <option key={one ?? ""} value={one ?? ""}>
                {one === null ? "no workspace" : clean(one, 60)}
              </option>
            ))}
          </select>
        </label>
      )}
      <AgentPicker
        agents={inside}
        chosen={agent}
        onChoose={(one) => {
          dashboard.show({ page: "agent", agent: one.agent_id, workspace: one.workspace_id });
        }}
      />
      {(agents.length > 1 || isFleet) && (
        <button
          type="button"
          className="button"
          aria-pressed={isFleet}
          onClick={() => {
            if (isFleet) dashboard.show({ page: "agent" });
            else dashboard.show({ page: "fleet", workspace: null });
          }}
        >
          Fleet
        </button>
      )}
      <LiveLight live={live} isLive={agent?.live ?? false} />
      <div className="ranges" role="group" aria-label="Time range">
        {RANGES.map((range) => (
          <button
            key={range}
            type="button"
            aria-pressed={shown === range}
            onClick={() => {
              dashboard.show({ range });
            }}
          >
            {range}
          </button>
        ))}
      </div>
      <button
        type="button"
        className="icon-button"
        title={`Colours: ${view.theme}`}
        aria-label={`Colours: ${view.theme}. Change`}
        onClick={() => {
          dashboard.show({ theme: NEXT_THEME[view.theme] });
        }}
      >
        <Icon name={THEME_ICON[view.theme]} />
      </button>
    </header>
  );
}

const STATES = {
  connecting: "connecting",
  open: "live",
  waiting: "reconnecting",
  closed: "offline",
} as const;

function LiveLight({ live, isLive }: { live: State["live"]; isLive: boolean }) {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => {
      setNow(Date.now());
    }, 1000);
    return () => {
      clearInterval(timer);
    };
  }, []);
  const { state, window, dropped } = live;
  const said = state === "open" && !isLive ? "connected" : STATES[state];
  const newest = window && isLive ? ago(window.timestamp + window.window_s * 1000, now) : null;
  return (
    <p
      className="live"
      role="status"
      data-state={state}
      data-live={isLive}
      title={dropped > 0 ? `${dropped} messages were left out: this page was too slow` : undefined}
    >
      <i className="light" />
      {said}
      {newest && (
        // The seconds tick on screen only.
        <span aria-hidden="true" className="muted">
          {newest}
        </span>
      )}
    </p>
  );
}
