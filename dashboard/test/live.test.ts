import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Live, monitorUrl, type LiveState } from "../src/live";
import { windowOf } from "./made";

class Socket {
  static all: Socket[] = [];
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: (() => void) | null = null;
  isClosed = false;
  constructor(readonly url: string) {
    Socket.all.push(this);
  }
  close() {
    this.isClosed = true;
  }
}

let states: LiveState[];
let windows: number[];
let live: Live;

beforeEach(() => {
  vi.useFakeTimers();
  Socket.all = [];
  states = [];
  windows = [];
  live = new Live(
    "ws://here",
    { onState: (state) => states.push(state), onWindow: (message) => windows.push(message.timestamp) },
    (url) => new Socket(url) as unknown as WebSocket,
    () => 1,
  );
  live.open();
});
afterEach(() => {
  live.close();
  vi.useRealTimers();
});

const last = () => {
  const found = Socket.all.at(-1);
  if (!found) throw new Error("no socket yet");
  return found;
};

test("windows get through; heartbeats, other types and broken text do not", () => {
  last().onopen?.();
  for (const data of [JSON.stringify(windowOf({ timestamp: 5 })), '{"type":"heartbeat"}', "{", "7"])
    last().onmessage?.({ data });
  expect(windows).toEqual([5]);
  expect(states).toEqual(["connecting", "open"]);
});

test("it comes back with a growing pause, and at once when told", () => {
  const pauses = [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000];
  for (const pause of pauses) {
    const n = Socket.all.length;
    last().onclose?.();
    vi.advanceTimersByTime(pause - 1);
    expect(Socket.all).toHaveLength(n);
    vi.advanceTimersByTime(1);
    expect(Socket.all).toHaveLength(n + 1);
  }
  last().onclose?.();
  const n = Socket.all.length;
  live.retryNow();
  live.retryNow();
  expect(Socket.all).toHaveLength(n + 1);
});

test("a message makes the pause short again, an opening alone does not", () => {
  last().onclose?.();
  vi.advanceTimersByTime(500);
  last().onopen?.();
  last().onclose?.();
  vi.advanceTimersByTime(999);
  expect(Socket.all).toHaveLength(2);
  vi.advanceTimersByTime(1);
  last().onopen?.();
  last().onmessage?.({ data: '{"type":"heartbeat"}' });
  last().onclose?.();
  vi.advanceTimersByTime(500);
  expect(Socket.all).toHaveLength(4);
});

test("silence is a broken line", () => {
  last().onopen?.();
  vi.advanceTimersByTime(39_999);
  expect(states.at(-1)).toBe("open");
  vi.advanceTimersByTime(1);
  expect(states.at(-1)).toBe("waiting");
  expect(Socket.all[0]?.isClosed).toBe(true);
});

test("after close nothing comes any more", () => {
  const socket = last();
  live.close();
  vi.advanceTimersByTime(100_000);
  expect(socket.isClosed).toBe(true);
  expect(Socket.all).toHaveLength(1);
});

test("the socket is of the page's own origin", () => {
  const place = new URL("https://host:8765/x?y") as unknown as Location;
  expect(monitorUrl(place, { workspace: "a&b" })).toBe(
    "wss://host:8765/ws/network/monitor?workspace_id=a%26b",
  );
});
