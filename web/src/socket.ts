// Keeps one connection to a server: opens a WebSocket, opens another when it is lost, and says how it stands.

import { Code, ConnectError } from "@connectrpc/connect";

import { Connection } from "./connection.js";
import type { Link, StreamEnd } from "./connection.js";

/** The subprotocol of WebSocket under which native frames travel. */
export const SUBPROTOCOL = "polywire.v1";

/** What we need of a WebSocket: that of browsers and of Node 22, and the one of the package `ws`. */
export interface WebSocketLike {
  binaryType: string;
  readonly bufferedAmount: number;
  readonly protocol: string;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- each implementation has its own event types
  onopen: ((event: any) => void) | null;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  onmessage: ((event: any) => void) | null;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  onerror: ((event: any) => void) | null;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  onclose: ((event: any) => void) | null;
  send(bytes: Uint8Array<ArrayBuffer>): void;
  close(code?: number, reason?: string): void;
}

export type WebSocketConstructor = new (url: string, protocols: string[]) => WebSocketLike;

/**
 * ```text
 *              call or connect()
 *   idle ─────────────────────────▶ connecting ──hello──▶ connected
 *                                    ▲     │ failed            │ lost
 *                                    │     ▼                   │
 *                                    └── waiting ◀─────────────┘
 *   any of them ── close() ──▶ closed
 * ```
 * `waiting` is the pause before the next attempt.
 */
export type ConnectionState =
  | { readonly name: "idle" | "connecting" | "connected" | "closed" }
  | {
      readonly name: "waiting";
      /** Why the last attempt or connection ended. */
      readonly error: ConnectError;
      /** When the next attempt is due: milliseconds as of `Date.now()`. */
      readonly retryAt: number;
    };

/** How long to wait between attempts. */
export interface Backoff {
  /** Before the second attempt. */
  readonly initialMs: number;
  /** At most. */
  readonly maxMs: number;
  /** Each pause is longer than the one before by this factor. */
  readonly factor: number;
  /** Each pause is longer or shorter by up to this share, so that not all clients come at the same moment. */
  readonly jitter: number;
}

export const BACKOFF: Backoff = { initialMs: 250, maxMs: 15_000, factor: 1.6, jitter: 0.2 };

export interface SocketOptions {
  readonly url: string;
  readonly webSocket: WebSocketConstructor;
  readonly backoff: Backoff;
  /** An attempt that takes longer has failed. */
  readonly connectTimeoutMs: number;
  /** A number from 0 up to 1. */
  readonly random: () => number;
}

export class Socket {
  readonly #options: SocketOptions;
  readonly #listeners = new Set<(state: ConnectionState) => void>();
  readonly #draining = new Set<Connection>();
  #state: ConnectionState = { name: "idle" };
  /** The latest connection; it may carry calls from the moment the WebSocket is open, before the server's hello. */
  #connection: Connection | undefined;
  #waiters: { resolve(connection: Connection): void; reject(error: ConnectError): void }[] = [];
  /** Gives up the attempt that is under way. */
  #abandonAttempt: (() => void) | undefined;
  #failures = 0;
  #retryTimer: ReturnType<typeof setTimeout> | undefined;
  #isWatchingNetwork = false;

  constructor(options: SocketOptions) {
    this.#options = options;
  }

  /** A connection that takes calls. Waits for the attempt that is under way or due next, and fails if that fails. */
  connection(signal?: AbortSignal): Promise<Connection> {
    if (this.#connection?.isOpen === true) return Promise.resolve(this.#connection);
    if (this.#state.name === "closed") return Promise.reject(closedByUs());
    return new Promise((resolve, reject) => {
      const waiter = {
        resolve: (connection: Connection) => {
          signal?.removeEventListener("abort", abort);
          resolve(connection);
        },
        reject: (error: ConnectError) => {
          signal?.removeEventListener("abort", abort);
          reject(error);
        },
      };
      const abort = () => {
        this.#waiters = this.#waiters.filter((other) => other !== waiter);
        waiter.reject(ConnectError.from(signal?.reason, Code.Canceled));
      };
      if (signal?.aborted === true) {
        abort();
        return;
      }
      signal?.addEventListener("abort", abort);
      this.#waiters.push(waiter);
      if (this.#state.name === "idle") this.#attempt();
    });
  }

  /** Connects now, if it does not already: ends a pause. */
  connect(): void {
    if (this.#state.name === "idle" || this.#state.name === "waiting") this.#attempt();
  }

  /** Ends everything, for good. */
  close(): void {
    if (this.#state.name === "closed") return;
    clearTimeout(this.#retryTimer);
    this.#watchNetwork(false);
    this.#enter({ name: "closed" });
    this.#rejectWaiters(closedByUs());
    this.#abandonAttempt?.();
    const connections = [...this.#draining];
    if (this.#connection !== undefined) connections.push(this.#connection);
    this.#connection = undefined;
    this.#draining.clear();
    for (const connection of connections) connection.close(CLOSED);
  }

  get state(): ConnectionState {
    return this.#state;
  }

  /** Calls the listener at each change until the function it returns is called. */
  onStateChange(listener: (state: ConnectionState) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #attempt(): void {
    clearTimeout(this.#retryTimer);
    this.#watchNetwork(true);
    this.#enter({ name: "connecting" });

    const { url, connectTimeoutMs } = this.#options;
    let webSocket: WebSocketLike;
    try {
      webSocket = new this.#options.webSocket(url, [SUBPROTOCOL]);
    } catch (error) {
      this.#lost(undefined, `cannot connect to ${url}: ${error instanceof Error ? error.message : String(error)}`);
      return;
    }
    webSocket.binaryType = "arraybuffer";
    let connection: Connection | undefined;
    let isOver = false;
    let detail = "";

    const over = (reason: string) => {
      if (isOver) return;
      isOver = true;
      clearTimeout(timeout);
      this.#abandonAttempt = undefined;
      connection?.handleClosed(reason);
      this.#lost(connection, reason);
    };
    const timeout = setTimeout(() => {
      over(`cannot connect to ${url}: no answer within ${connectTimeoutMs / 1000} s`);
      webSocket.close();
    }, connectTimeoutMs);

    this.#abandonAttempt = () => {
      over(CLOSED);
      webSocket.close();
    };

    webSocket.onopen = () => {
      if (isOver) return;
      this.#abandonAttempt = undefined;
      if (webSocket.protocol !== SUBPROTOCOL) {
        over(`cannot connect to ${url}: the server does not speak ${SUBPROTOCOL}`);
        webSocket.close();
        return;
      }
      connection = new Connection(linkOver(webSocket), {
        onHello: () => {
          clearTimeout(timeout);
          this.#failures = 0;
          if (this.#connection === connection) this.#enter({ name: "connected" });
        },
        onDrain: () => this.#replace(connection),
        onClosed: (end: StreamEnd) => over(end.message),
      });
      this.#connection = connection;
      for (const waiter of this.#waiters.splice(0)) waiter.resolve(connection);
    };
    webSocket.onmessage = (event: { data: unknown }) => {
      if (event.data instanceof ArrayBuffer) connection?.handleBytes(new Uint8Array(event.data));
      // Text has no meaning in this subprotocol.
    };
    webSocket.onerror = (event: { message?: unknown }) => {
      // Browsers do not say what happened; others do.
      if (typeof event.message === "string" && event.message !== "") detail = `: ${event.message}`;
    };
    webSocket.onclose = (event: { code?: number; reason?: string }) => {
      const why = event.reason ? `: ${event.reason}` : detail;
      over(
        connection === undefined
          ? `cannot connect to ${url}${why}`
          : `the connection to ${url} was lost (close code ${event.code ?? 1006})${why}`,
      );
    };
  }

  /** The server wants us to leave: its calls go on, new ones go elsewhere. */
  #replace(connection: Connection | undefined): void {
    if (connection === undefined || this.#connection !== connection) return;
    this.#draining.add(connection);
    this.#connection = undefined;
    if (this.#state.name !== "closed") this.#retry(new ConnectError("the server is going away", Code.Unavailable));
  }

  /** An attempt failed or a connection ended. */
  #lost(connection: Connection | undefined, reason: string): void {
    if (connection !== undefined && this.#draining.delete(connection)) return;
    if (this.#state.name === "closed") return;
    this.#connection = undefined;
    const error = new ConnectError(reason, Code.Unavailable);
    this.#retry(error);
    this.#rejectWaiters(error);
  }

  #retry(error: ConnectError): void {
    const { initialMs, maxMs, factor, jitter } = this.#options.backoff;
    const pause = Math.min(initialMs * factor ** this.#failures, maxMs);
    const delay = Math.round(pause * (1 + jitter * (2 * this.#options.random() - 1)));
    this.#failures++;
    clearTimeout(this.#retryTimer);
    this.#retryTimer = setTimeout(() => this.#attempt(), delay);
    this.#enter({ name: "waiting", error, retryAt: Date.now() + delay });
  }

  #rejectWaiters(error: ConnectError): void {
    for (const waiter of this.#waiters.splice(0)) waiter.reject(error);
  }

  #enter(state: ConnectionState): void {
    this.#state = state;
    for (const listener of [...this.#listeners]) listener(state);
  }

  /** A browser knows when the network is back: no need to wait for the end of a pause. */
  #watchNetwork(watch: boolean): void {
    if (watch === this.#isWatchingNetwork || typeof globalThis.addEventListener !== "function") return;
    this.#isWatchingNetwork = watch;
    if (watch) globalThis.addEventListener("online", this.#online);
    else globalThis.removeEventListener("online", this.#online);
  }

  readonly #online = () => {
    if (this.#state.name === "waiting") this.#attempt();
  };
}

const CLOSED = "the transport was closed";

function closedByUs(): ConnectError {
  return new ConnectError(CLOSED, Code.Canceled);
}

function linkOver(webSocket: WebSocketLike): Link {
  return {
    send: (bytes) => webSocket.send(bytes),
    get bufferedBytes() {
      return webSocket.bufferedAmount;
    },
    // 1000 and those from 3000 on are all that an application may say; the goaway before it says more.
    close: (reason) => webSocket.close(1000, reason.slice(0, 40)),
  };
}
