/** The WebSocket: reconnects with a growing, jittered pause; silence counts as a broken line. */
import type { WindowMessage } from "./api";

export type LiveState = "connecting" | "open" | "waiting" | "closed";

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 30_000;
const SILENCE_MS = 40_000; // a heartbeat is due every 15 s

export interface LiveHandlers {
  onWindow(message: WindowMessage): void;
  onState(state: LiveState): void;
}

type MakeSocket = (url: string) => WebSocket;

export class Live {
  private socket: WebSocket | null = null;
  private attempts = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private silence: ReturnType<typeof setTimeout> | undefined;
  private isOver = false;

  constructor(
    private readonly url: string,
    private readonly handlers: LiveHandlers,
    private readonly makeSocket: MakeSocket = (where) => new WebSocket(where),
    private readonly random: () => number = Math.random,
  ) {}

  open(): void {
    this.handlers.onState("connecting");
    const socket = this.makeSocket(this.url);
    this.socket = socket;
    socket.onopen = () => {
      this.handlers.onState("open");
      this.listen();
    };
    socket.onmessage = (event: MessageEvent<unknown>) => {
      this.attempts = 0; // a server that accepts and hangs up at once is not well
      this.listen();
      this.take(event.data);
    };
    socket.onclose = () => {
      this.again();
    };
  }

  close(): void {
    this.isOver = true;
    clearTimeout(this.timer);
    clearTimeout(this.silence);
    this.drop();
    this.handlers.onState("closed");
  }

  /** At once, when the machine is online again or the viewer is back. */
  retryNow(): void {
    if (this.isOver || this.timer === undefined) return;
    clearTimeout(this.timer);
    this.timer = undefined;
    this.open();
  }

  private take(data: unknown): void {
    if (typeof data !== "string") return;
    let message: { type?: unknown };
    try {
      message = JSON.parse(data) as typeof message;
    } catch {
      return;
    }
    if (message.type === "window") this.handlers.onWindow(message as WindowMessage);
  }

  private listen(): void {
    clearTimeout(this.silence);
    this.silence = setTimeout(() => {
      this.drop();
      this.again();
    }, SILENCE_MS);
  }

  private drop(): void {
    if (!this.socket) return;
    this.socket.onopen = this.socket.onmessage = this.socket.onclose = null;
    this.socket.close();
    this.socket = null;
  }

  private again(): void {
    clearTimeout(this.silence);
    this.socket = null;
    if (this.isOver) return;
    const pause = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** this.attempts);
    this.attempts += 1;
    this.handlers.onState("waiting");
    this.timer = setTimeout(
      () => {
        this.timer = undefined;
        this.open();
      },
      pause * (0.5 + this.random() / 2),
    );
  }
}

export function monitorUrl(place: Location, scope: { agent: string } | { workspace: string }): string {
  const url = new URL("/ws/network/monitor", place.href);
  url.protocol = place.protocol === "https:" ? "wss:" : "ws:";
  if ("agent" in scope) url.searchParams.set("agent_id", scope.agent);
  else url.searchParams.set("workspace_id", scope.workspace);
  return url.href;
}
