import { expect, test } from "vitest";
import { DEFAULTS, read, suitableRange, write, type View } from "../src/address";
import { AGENT } from "./made";

test("a view comes back from its address", () => {
  const view: View = {
    page: "fleet",
    find: "web & <b>",
    states: ["critical", "silent"],
    sort: "name",
    agent: "a b&c",
    workspace: "w",
    range: "7d",
    severity: "high",
    types: ["ddos", "scan"],
    status: "open",
    everyAgent: true,
    event: "e",
    theme: "dark",
  };
  expect(read(write(view))).toEqual(view);
  expect(write(DEFAULTS)).toBe("");
});

test("what is no value of ours is the default", () => {
  const view = read("?range=999999999h&severity=%3Cimg%3E&types=x&status=1&page=x&health=ill&sort=best&theme=;--");
  expect(view).toEqual(DEFAULTS);
});

test("a file is shown whole, a live agent's last hour", () => {
  expect(suitableRange(AGENT)).toBe("1h");
  expect(suitableRange({ ...AGENT, live: false })).toBe("6h"); // 130 minutes
  expect(suitableRange({ ...AGENT, live: false, first_packet: "2026-01-05T12:00:00Z" })).toBe("15m");
  expect(suitableRange({ ...AGENT, live: false, first_packet: "2020-01-05T12:00:00Z" })).toBe("90d");
});
