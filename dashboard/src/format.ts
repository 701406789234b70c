/** Figures and times as text. Null is a dash, never 0; times are in the viewer's zone. */
import type { Figure, Text } from "./api";

export const UNKNOWN = "–";

/** A number and its unit apart, so that they can be set apart. */
export interface Shown {
  number: string;
  unit: string;
}

const NOTHING: Shown = { number: UNKNOWN, unit: "" };

function digits(value: number, least = 0): string {
  const size = Math.abs(value);
  const most = size === 0 || size >= 100 ? 0 : size >= 10 ? 1 : 2;
  return value.toLocaleString("en", {
    minimumFractionDigits: Math.min(least, most),
    maximumFractionDigits: most,
  });
}

function scaled(value: number, units: readonly string[], step: number): Shown {
  let at = 0;
  let rest = value;
  while (Math.abs(rest) >= step * 0.9995 && at < units.length - 1) {
    rest /= step;
    at += 1;
  }
  return { number: digits(rest), unit: units[at] ?? "" };
}

/** Milliseconds: µs below 0.1, s from 1000 on. */
export function ms(value: Figure): Shown {
  if (value === null) return NOTHING;
  if (value !== 0 && Math.abs(value) < 0.1) return { number: digits(value * 1000), unit: "µs" };
  if (Math.abs(value) < 999.5) return { number: digits(value), unit: "ms" };
  return value < 119_500 ? { number: digits(value / 1000), unit: "s" } : duration(value);
}

export function duration(value: Figure): Shown {
  if (value === null) return NOTHING;
  const seconds = value / 1000;
  if (seconds < 120) return ms(value);
  if (seconds < 7200) return { number: digits(seconds / 60), unit: "min" };
  return seconds < 172_800
    ? { number: digits(seconds / 3600), unit: "h" }
    : { number: digits(seconds / 86_400), unit: "d" };
}

/** Megabits per second, in the unit that fits. */
export function mbps(value: Figure): Shown {
  return value === null
    ? NOTHING
    : scaled(value * 1e6, ["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"], 1000);
}

export function bytes(value: Figure): Shown {
  return value === null ? NOTHING : scaled(value, ["B", "kB", "MB", "GB", "TB", "PB"], 1000);
}

/** Counts: exact below 10,000. */
export function count(value: Figure): Shown {
  if (value === null) return NOTHING;
  return Math.abs(value) < 10_000
    ? { number: digits(value), unit: "" }
    : scaled(value, ["", "k", "M", "G", "T"], 1000);
}

export function perSecond(value: Figure): Shown {
  const shown = count(value);
  return value === null ? shown : { number: shown.number, unit: `${shown.unit}/s` };
}

/** A fraction 0..1 as percent, with as many digits as a small one needs. */
export function percent(value: Figure): Shown {
  if (value === null) return NOTHING;
  const share = value * 100;
  if (share === 0) return { number: "0", unit: "%" };
  if (Math.abs(share) < 0.001) return { number: "< 0.001", unit: "%" };
  if (Math.abs(share) < 0.1) return { number: String(Number(share.toFixed(3))), unit: "%" };
  // 99.98 % is not 100 %.
  const near = share > 99 && share < 100 ? Math.floor(share * 1000) / 1000 : null;
  if (near !== null) return { number: String(near), unit: "%" };
  return { number: digits(share), unit: "%" };
}

export function plain(value: Figure): Shown {
  return value === null ? NOTHING : { number: digits(value), unit: "" };
}

export type Format = (value: Figure) => Shown;

export function text(shown: Shown): string {
  if (!shown.unit) return shown.number;
  return shown.unit.startsWith("/")
    ? `${shown.number}${shown.unit}`
    : `${shown.number}\u00a0${shown.unit}`;
}

export const ZONE = Intl.DateTimeFormat().resolvedOptions().timeZone;

const CLOCK: Intl.DateTimeFormatOptions = { hour: "2-digit", minute: "2-digit", hour12: false };
const DAY: Intl.DateTimeFormatOptions = { day: "numeric", month: "short" };
const FORMS = {
  clock: new Intl.DateTimeFormat("en-GB", CLOCK),
  seconds: new Intl.DateTimeFormat("en-GB", { ...CLOCK, second: "2-digit" }),
  day: new Intl.DateTimeFormat("en-GB", DAY),
  both: new Intl.DateTimeFormat("en-GB", { ...DAY, ...CLOCK }),
  full: new Intl.DateTimeFormat("en-GB", { ...DAY, ...CLOCK, year: "numeric", second: "2-digit" }),
};

/** `at`: ms since 1970. */
export function time(at: number | null, form: keyof typeof FORMS = "both"): string {
  return at === null || !Number.isFinite(at) ? UNKNOWN : FORMS[form].format(at);
}

/** RFC 3339 to ms since 1970; null for what is none. */
export function moment(rfc3339: Text | undefined): number | null {
  if (!rfc3339) return null;
  const at = Date.parse(rfc3339.replace(/(\.\d{3})\d+/, "$1"));
  return Number.isNaN(at) ? null : at;
}

/** How long ago, in the largest fitting unit. */
export function ago(at: number, now: number): string {
  const s = Math.max(0, Math.round((now - at) / 1000));
  if (s < 60) return `${s} s ago`;
  if (s < 3600) return `${Math.floor(s / 60)} min ago`;
  return s < 172_800 ? `${Math.floor(s / 3600)} h ago` : `${Math.floor(s / 86_400)} d ago`;
}

// C0, DEL, C1, line separators, zero-width and bidirectional controls: attackers write names, and
// these would change how other text is read.
// eslint-disable-next-line no-control-regex
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;
const LONGEST = 160;

/** A string from the wire, fit to be shown on one line. */
export function clean(value: Text | undefined, longest = LONGEST): string {
  const seen = (value ?? "").slice(0, longest * 2).replace(UNSEEN, "\ufffd");
  return seen.length > longest ? `${seen.slice(0, longest - 1)}…` : seen;
}

/** `syn_flood` as `SYN flood`, for names of our own. */
export function words(name: Text | undefined): string {
  const upper = /^(tcp|udp|syn|ack|dns|http|https|tls|icmp|arp|ssh|ntp|quic|ip|cdn|ddos|rtt)$/i;
  const parts = clean(name).split("_");
  const said = parts.map((part) => (upper.test(part) ? part.toUpperCase() : part)).join(" ");
  return said.charAt(0).toUpperCase() + said.slice(1);
}
