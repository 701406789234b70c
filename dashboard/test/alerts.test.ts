import { expect, test } from "vitest";
import { Alerts } from "../src/alerts";
import { windowOf } from "./made";

const kinds = (alerts: Alerts, ...values: (number | null)[]) =>
  values.map((value) => alerts.of(windowOf({ packet_loss_rate: value })).map((one) => one.kind));

test("the specification's limits are exclusive", () => {
  const at = new Alerts().of(windowOf({ packet_loss_rate: 0.01, latency_p99: 500 }));
  expect(at).toEqual([]);
  const above = new Alerts().of(windowOf({ packet_loss_rate: 0.0101, latency_p99: 500.1 }));
  expect(above.map((one) => [one.kind, one.value])).toEqual([
    ["loss", 0.0101],
    ["latency", 500.1],
  ]);
});

test("trouble that goes on is said once, and again after three good windows", () => {
  const alerts = new Alerts();
  expect(kinds(alerts, 0.02, 0.03, 0, 0, 0.02)).toEqual([["loss"], [], [], [], []]);
  expect(kinds(alerts, 0, 0, 0, 0.02)).toEqual([[], [], [], ["loss"]]);
});

test("an unknown figure is neither good nor bad", () => {
  const alerts = new Alerts();
  expect(kinds(alerts, 0.02, null, null, null, 0.02).flat()).toEqual(["loss"]);
});

test("agents have their own trouble", () => {
  const alerts = new Alerts();
  expect(alerts.of(windowOf({ latency_p99: 900 }))).toHaveLength(1);
  expect(alerts.of(windowOf({ latency_p99: 900, agent_id: "other" }))).toHaveLength(1);
});

test("a threat is said once per event, over a reload too", () => {
  const threat = { id: "e1", severity: "high", attack_class: "x", title: "X", status: "open" };
  const alerts = new Alerts();
  expect(alerts.of(windowOf({ threats: [threat] }))).toHaveLength(1);
  expect(alerts.of(windowOf({ threats: [threat, { ...threat, id: "e2" }] }))).toHaveLength(1);
  const after = new Alerts(alerts.remembered());
  expect(after.of(windowOf({ threats: [threat] }))).toEqual([]);
});
