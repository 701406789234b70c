import { describe, expect, test } from "vitest";
import { ago, bytes, clean, count, mbps, moment, ms, percent, text, words } from "../src/format";
import { HOSTILE } from "./made";

describe("figures", () => {
  test.each([
    [ms, null, "–"],
    [ms, 0, "0\u00a0ms"],
    [ms, 0.0264, "26.4\u00a0µs"],
    [ms, 0.15, "0.15\u00a0ms"],
    [ms, 27.391, "27.4\u00a0ms"],
    [ms, 999.4, "999\u00a0ms"],
    [ms, 999.6, "1\u00a0s"],
    [ms, 5400_000, "90\u00a0min"],
    [mbps, 0.096327, "96.3\u00a0kbit/s"],
    [mbps, 999.96, "1\u00a0Gbit/s"],
    [bytes, 98_032_873, "98\u00a0MB"],
    [count, 9999, "9,999"],
    [count, 30_050, "30.1\u00a0k"],
    [percent, 0.00426, "0.43\u00a0%"],
    [percent, 0.0001, "0.01\u00a0%"],
    [percent, 0, "0\u00a0%"],
    [percent, 0.99993, "99.993\u00a0%"],
    [percent, 0.99999999, "99.999\u00a0%"],
    [percent, 1, "100\u00a0%"],
    [percent, 0.0000001, "< 0.001\u00a0%"],
  ] as const)("%o of %s is %s", (format, value, said) => {
    expect(text(format(value))).toBe(said);
  });
});

test("times of the API have nanoseconds, or are none", () => {
  expect(moment("2026-01-05T12:00:00.076719001Z")).toBe(Date.UTC(2026, 0, 5, 12, 0, 0, 76));
  expect(moment("soon")).toBeNull();
  expect(moment(null)).toBeNull();
  expect(ago(0, 59_000)).toBe("59 s ago");
  expect(ago(0, 3_700_000)).toBe("1 h ago");
});

test("strings of attackers lose what is not seen, and their length", () => {
  for (const one of HOSTILE) {
    const shown = clean(one);
    expect(shown.length).toBeLessThanOrEqual(160);
    // eslint-disable-next-line no-control-regex
    expect(shown).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/);
  }
  expect(clean(HOSTILE[0])).toBe(HOSTILE[0]); // text stays text
});

test("names of ours are made readable", () => {
  expect(words("syn_flood")).toBe("SYN flood");
  expect(words("ddos_detection_rate")).toBe("DDOS detection rate");
});
