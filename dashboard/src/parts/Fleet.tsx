import { useEffect, useState } from "react";
import { FLEET_SORTS, type FleetSort, type View } from "../address";
import { AGENT_STATUSES, ApiError, type AgentStatusName, type Api, type FleetAgent, type FleetPage, type FleetSummary } from "../api"; // prettier-ignore
import { clean } from "../format";
import type { Resource } from "../store";
import { FleetTable } from "../widgets/FleetTable";
import { Card, Nothing } from "./Card";

const SORT_NAMES: Record<FleetSort, string> = {
  worst: "worst first",
  name: "by name",
  "-last_packet": "newest packet first",
};
const PAGE = 50;
export const MOST_AGENTS = 1000; // the API gives no more at once
const AGAIN_MS = 15_000;
const TYPED_MS = 250;
const MOST_VERSIONS = 4; // named; the others are counted

interface Props {
  api: Api;
  view: Pick<View, "workspace" | "find" | "states" | "sort">;
  onView: (change: Partial<View>) => void;
  onOpen: (agent: FleetAgent) => void;
}

interface Answer {
  page: FleetPage;
  summary: FleetSummary;
}

/** The agents of a workspace, or all: how each does, the worst first; asked again while seen. */
export function Fleet({ api, view, onView, onOpen }: Props) {
  const [limit, setLimit] = useState(PAGE);
  const [tries, setTries] = useState(0);
  const [at, setAt] = useState(Date.now);
  const { workspace, find, states, sort } = view;
  const key = JSON.stringify([workspace, find, states, sort, limit]);
  const [answer, setAnswer] = useState<Resource<Answer>>({
    key, data: null, error: null, isOld: false, isLoading: true,
  }); // prettier-ignore

  useEffect(() => {
    const flight = new AbortController();
    const ask = () => {
      if (document.visibilityState === "hidden") return;
      const query = { workspace, search: find, states, sort, limit };
      Promise.all([
        api.fleet(query, flight.signal),
        api.fleetSummary(workspace, flight.signal),
      ]).then(
        ([page, summary]) => {
          if (flight.signal.aborted) return;
          setAt(Date.now());
          setAnswer({ key, data: { page, summary }, error: null, isOld: false, isLoading: false });
        },
        (error: unknown) => {
          if (flight.signal.aborted) return;
          const said = error instanceof ApiError ? error : new ApiError(0, "the answer cannot be read");
          setAnswer((before) => ({ ...before, key, error: said, isLoading: false }));
        },
      );
    };
    ask();
    const timer = setInterval(ask, AGAIN_MS);
    return () => {
      clearInterval(timer);
      flight.abort();
    };
  }, [api, key, tries]); // eslint-disable-line react-hooks/exhaustive-deps -- the key is of all that is asked

  const shown = { ...answer, isOld: answer.key !== key, isLoading: answer.isLoading || answer.key !== key };
  const summary = answer.data?.summary;
  return (
    <Card
      id="fleet"
      className="w12"
      title="Fleet"
      sub={summary && <Versions of={summary} />}
      resource={shown}
      onRetry={() => {
        setTries(tries + 1);
      }}
    >
      {({ page, summary: now }) => (
        <div className="threats">
          <Filters
            view={view}
            summary={now}
            total={page.total}
            onView={(change) => {
              setLimit(PAGE);
              onView(change);
            }}
          />
          {page.agents.length === 0 ? (
            <Nothing title="No agents" why="None is named or does so." />
          ) : (
            <FleetTable agents={page.agents} order={SORT_NAMES[sort]} now={at} onOpen={onOpen} />
          )}
          {page.agents.length < Math.min(page.total, MOST_AGENTS) && (
            <button
              type="button"
              className="button more"
              onClick={() => {
                setLimit(Math.min(MOST_AGENTS, limit * 2));
              }}
            >
              Show more ({page.agents.length} of {page.total})
            </button>
          )}
        </div>
      )}
    </Card>
  );
}

function Versions({ of }: { of: FleetSummary }) {
  const all = Object.entries(of.by_version).sort((a, b) => b[1] - a[1]);
  const rest = all.slice(MOST_VERSIONS).length;
  const named = all.slice(0, MOST_VERSIONS).map(([name, n]) => `${clean(name, 20)} × ${n}`);
  return (
    <>
      {of.total} agents, {of.live} live · {named.join(", ")}
      {rest > 0 && `, ${rest} more versions`}
    </>
  );
}

interface FilterProps extends Pick<Props, "view" | "onView"> {
  summary: FleetSummary;
  total: number;
}

function Filters({ view, summary, total, onView }: FilterProps) {
  const [typed, setTyped] = useState(view.find);
  useEffect(() => {
    if (typed === view.find) return;
    const timer = setTimeout(() => {
      onView({ find: typed });
    }, TYPED_MS);
    return () => {
      clearTimeout(timer);
    };
  }, [typed, view.find, onView]);
  const toggled = (name: AgentStatusName) =>
    AGENT_STATUSES.filter((one) => (one === name) !== view.states.includes(one));
  return (
    <div className="filters" role="group" aria-label="Filter agents">
      <input
        type="search"
        aria-label="Find agents"
        placeholder="name, id, region, version"
        maxLength={255}
        value={typed}
        onChange={(event) => {
          setTyped(event.target.value);
        }}
      />
      <div className="chips" role="group" aria-label="Status">
        {AGENT_STATUSES.map((name) => (
          <button
            key={name}
            type="button"
            aria-pressed={view.states.includes(name)}
            onClick={() => {
              onView({ states: toggled(name) });
            }}
          >
            {name} {summary.by_status[name] ?? 0}
          </button>
        ))}
      </div>
      <label>
        <span>Order</span>
        <select
          value={view.sort}
          onChange={(event) => {
            onView({ sort: event.target.value as FleetSort });
          }}
        >
          {FLEET_SORTS.map((one) => (
            <option key={one} value={one}>
              {SORT_NAMES[one]}
            </option>
          ))}
        </select>
      </label>
      <p className="counts" role="status">
        {total} {total === 1 ? "agent" : "agents"}
      </p>
    </div>
  );
}
