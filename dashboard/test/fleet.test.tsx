import { render, screen, waitFor, within } from "@testing-library/react";
import user from "@testing-library/user-event";
import { useState } from "react";
import { expect, test, vi } from "vitest";
import { DEFAULTS, type View } from "../src/address";
import { Api, type FleetAgent } from "../src/api";
import { Fleet } from "../src/parts/Fleet";
import { FleetTable } from "../src/widgets/FleetTable";
import { fleetAgent, fleetSummary, HOSTILE, OTHER, T0 } from "./made";

const none = () => undefined;
const ILL = fleetAgent({
  ...OTHER,
  status: "critical",
  reason: "2 critical open: syn_flood since 2026-01-05T12:01:01Z, ...",
  version: "0.2.0",
  live: false,
  open_events: { total: 3, highest: "critical", by_severity: { critical: 2, low: 1 } },
});
const UNKNOWN = fleetAgent({
  agent_id: "unknown", hostname: null, status: null, reason: "no window of it is kept", health: null, figures: null,
  reasons: { health: "no window of it is kept", figures: "no window of it is kept" }, last_packet: null,
}); // prettier-ignore

function api(answer: (url: URL) => unknown, total = 2) {
  const asked: URL[] = [];
  const fetcher = (path: string) => {
    const url = new URL(path, "http://here");
    asked.push(url);
    const found = url.pathname.endsWith("/summary") ? fleetSummary() : answer(url);
    return Promise.resolve(Response.json(found, { headers: { "x-total-count": String(total) } }));
  };
  return { api: new Api(fetcher as typeof fetch), asked: (end = "/agents") => asked.filter((url) => url.pathname === end) };
}

function Held({ api: given, onOpen = none }: { api: Api; onOpen?: (agent: FleetAgent) => void }) {
  const [view, setView] = useState<View>({ ...DEFAULTS, page: "fleet" });
  return (
    <Fleet
      api={given}
      view={view}
      onView={(change) => {
        setView((before) => ({ ...before, ...change }));
      }}
      onOpen={onOpen}
    />
  );
}

test("FleetTable: status and why, what is open, figures; what is not known says why", () => {
  render(<FleetTable agents={[ILL, fleetAgent(), UNKNOWN]} order="worst first" now={T0 + 20 * 60_000} onOpen={none} />);
  const [, ill, well, unknown] = screen.getAllByRole("row");
  if (!ill || !well || !unknown) throw new Error("no rows");
  expect(within(ill).getByText("critical", { selector: ".status" })).toBeTruthy();
  expect(within(ill).getByText(/2 critical open: syn_flood/)).toBeTruthy();
  expect(ill.textContent).toContain("critical 3");
  expect(within(ill).getByText("0.2.0")).toBeTruthy();
  const figure = (name: string) => well.querySelector<HTMLDataElement>(`data[data-name="${name}"]`);
  expect(figure("loss_rate")?.textContent).toBe("0.21\u00a0%");
  expect(figure("ingress_mbps")?.textContent).toBe("12.5\u00a0Mbit/s");
  expect(figure("p99_latency_ms")?.value).toBe("48.1");
  expect(within(well).getByText("10 min ago")).toBeTruthy();
  expect(within(unknown).getByText("unknown")).toBeTruthy();
  expect(unknown.textContent).toContain("– (no window of it is kept)");
});

test("Fleet: the worst first, found by name and status, opened by a click", async () => {
  const onOpen = vi.fn();
  const { api: given, asked } = api((url) => (url.searchParams.get("search") ? [fleetAgent()] : [ILL, fleetAgent()]));
  render(<Held api={given} onOpen={onOpen} />);
  expect(await screen.findByText("db-1")).toBeTruthy();
  expect(asked()[0]?.search).toBe("?sort=worst&limit=50");
  expect(screen.getByText(/2 agents, 1 live · 0.1.0 × 1, 0.2.0 × 1/)).toBeTruthy();
  await user.click(screen.getByRole("button", { name: "silent 0" }));
  await user.click(screen.getByRole("button", { name: "critical 1" }));
  await waitFor(() => {
    expect(asked().at(-1)?.searchParams.getAll("status")).toEqual(["critical", "silent"]);
  });
  await user.selectOptions(screen.getByRole("combobox", { name: "Order" }), "by name");
  await user.type(screen.getByRole("searchbox"), "web");
  await waitFor(() => {
    expect(screen.queryByText("db-1")).toBeNull();
  });
  expect(asked().at(-1)?.searchParams.get("search")).toBe("web");
  expect(asked().at(-1)?.searchParams.get("sort")).toBe("name");
  expect(asked().length).toBeLessThan(8); // not one for each letter
  await user.click(screen.getByRole("button", { name: /web-1/ }));
  expect(onOpen).toHaveBeenCalledWith(expect.objectContaining({ hostname: "web-1" }));
});

test("Fleet: more of a long list; names are text", async () => {
  const many = (n: number) => Array.from({ length: n }, (_, k) => fleetAgent({ agent_id: `a${k}`, hostname: k ? `host-${k}` : HOSTILE[0] ?? "" }));
  const { api: given } = api((url) => many(Number(url.searchParams.get("limit"))), 5000);
  render(<Held api={given} />);
  await user.click(await screen.findByRole("button", { name: "Show more (50 of 5000)" }));
  expect(await screen.findByRole("button", { name: "Show more (100 of 5000)" })).toBeTruthy();
  expect(screen.getAllByRole("row")).toHaveLength(101);
  expect(document.querySelector("table img, table script")).toBeNull();
});

test("Fleet says what failed", async () => {
  const failing = new Api(() => Promise.resolve(Response.json({ error: "busy" }, { status: 503 })));
  render(<Held api={failing} />);
  expect(await screen.findByText("busy")).toBeTruthy();
  expect(screen.getByRole("button", { name: "Try again" })).toBeTruthy();
});
