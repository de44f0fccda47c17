// The protocol's test vectors, which belong to no language: docs/native-vectors.

import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { utf8, text } from "../src/bytes.js";
import { COMPRESSION_NUMBERS } from "../src/compression.js";
import { Connection } from "../src/connection.js";
import type { Stream, StreamEnd } from "../src/connection.js";
import { decodeGoAway, FrameReader, Kind } from "../src/frames.js";
import type { MetadataEntry } from "../src/frames.js";

interface Does {
  do: string;
  call?: number;
  path?: string;
  authority?: string;
  codec?: string;
  compression?: string;
  compressed?: boolean;
  accepts?: string[];
  last?: boolean;
  message?: string | null;
  metadata?: [string, string][];
  timeout_us?: number;
  text?: string;
}

interface Step {
  from: "client" | "server";
  hex: string;
  does?: Does;
  sees?: Record<string, Record<string, unknown>>[];
}

interface BadInput {
  name: string;
  to: string;
  before: string;
  hex: string;
  reaction: { goaway?: number; rule?: string; end?: number; ignored?: boolean };
}

const folder = process.env["NATIVE_VECTORS"] ?? resolve(import.meta.dirname, "../../docs/native-vectors");

function read<T>(name: string): T[] {
  const file = resolve(folder, name);
  return existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as T[]) : [];
}

function bytes(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g) ?? [], (it) => parseInt(it, 16));
}

function hex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function metadata(entries: readonly MetadataEntry[]): [string, string][] {
  return entries.map(([key, value]) => [key, key.endsWith("-bin") ? hex(value) : text(value)]);
}

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

/** A client that writes into a list, and tells what it sees as the vectors do. */
class Player {
  sent = "";
  sees: Record<string, Record<string, unknown>>[] = [];
  readonly calls: Stream[] = [];
  readonly connection: Connection;

  constructor() {
    this.connection = new Connection(
      {
        send: (bytes) => (this.sent += hex(bytes)),
        bufferedBytes: 0,
        close: () => {},
      },
      {
        onClosed: () => this.sees.push({ closed: {} }),
      },
    );
  }

  call(does: Does): void {
    let accepted = 1;
    for (const name of does.accepts ?? []) accepted |= 1 << (COMPRESSION_NUMBERS[name] ?? 0);
    const stream = this.connection.open({
      path: does.path ?? "",
      authority: does.authority ?? "",
      leading: (does.metadata ?? []).map(([key, value]) => [key, key.endsWith("-bin") ? bytes(value) : utf8(value)]),
      codec: does.codec === "json" ? 1 : 0,
      compression: COMPRESSION_NUMBERS[does.compression ?? "identity"] ?? 0,
      accepted,
      deadline: does.timeout_us === undefined ? undefined : performance.now() + does.timeout_us / 1000,
      messageBytesMax: 1 << 20,
    });
    this.calls.push(stream);
    const number = this.calls.length;
    void this.watch(stream, number);
    if (does.message === null || does.message === undefined) {
      if (does.last === true) stream.end();
      stream.start();
    } else {
      void stream.send(bytes(does.message), { last: does.last ?? false, compressed: does.compressed ?? false });
    }
  }

  async watch(stream: Stream, call: number): Promise<void> {
    void stream.leading.then((leading) => {
      this.sees.push({ headers: { call, metadata: metadata(leading.metadata) } });
    });
    for (;;) {
      const message = await stream.receive();
      if (message === undefined) break;
      const { compression } = await stream.leading;
      const name = Object.keys(COMPRESSION_NUMBERS)[compression];
      this.sees.push({ message: { call, hex: hex(message.bytes), ...(message.compressed ? { compression: name } : {}) } });
    }
    const end = await stream.ended;
    this.sees.push({ ended: { call, ...plain(end) } });
  }

  does(does: Does): void {
    const stream = this.calls[(does.call ?? 0) - 1];
    switch (does.do) {
      case "call":
        this.call(does);
        break;
      case "send":
        void stream?.send(bytes(does.message ?? ""), { last: does.last ?? false, compressed: does.compressed ?? false });
        break;
      case "half_close":
        stream?.end();
        break;
      case "cancel":
        stream?.cancel(1, "cancelled");
        break;
      case "drain":
        this.connection.drain(does.text);
        break;
      case "nothing":
        break;
      default:
        throw new Error(`the vectors have something new: ${does.do}`);
    }
  }

  /** What it has written since the last time. */
  async taken(): Promise<string> {
    await vi.advanceTimersByTimeAsync(0);
    const { sent } = this;
    this.sent = "";
    return sent;
  }
}

function plain(end: StreamEnd): Record<string, unknown> {
  return {
    code: end.code,
    ...(end.message === "" ? {} : { message: end.message }),
    ...(end.details.length === 0 ? {} : { details: end.details.map((it) => [it.typeUrl, hex(it.value)]) }),
    ...(end.trailing.length === 0 ? {} : { metadata: metadata(end.trailing) }),
    ...(end.unprocessed ? { unprocessed: true } : {}),
  };
}

/** What a step says is seen, without what only its own side tells: empty headers, the settling, what it has drained. */
function comparable(sees: Record<string, Record<string, unknown>>[]): string[] {
  return sees
    .filter((event) => {
      const [name, value] = Object.entries(event)[0] ?? [];
      if (name === "headers") return (value?.["metadata"] as unknown[]).length > 0;
      return name === "message" || name === "ended";
    })
    .map((event) => JSON.stringify(event, (_, value: unknown) => sorted(value)));
}

function sorted(value: unknown): unknown {
  if (value === null || typeof value !== "object" || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}

const conversations = read<{ name: string; steps: Step[] }>("conversations.json")
  // Those in which a client does what this one never would are for servers.
  .filter(({ steps }) => steps.every((step, i) => step.from === "server" || i === 0 || step.does !== undefined));

describe.runIf(conversations.length > 0)("the conversations", () => {
  test.each(conversations)("$name", async ({ steps }) => {
    const player = new Player();
    for (const [i, step] of steps.entries()) {
      if (step.from === "server") {
        player.connection.handleBytes(bytes(step.hex));
        // What it answers is the client's next step; what it sees is of this one.
        await vi.advanceTimersByTimeAsync(0);
        expect(comparable(player.sees)).toEqual(comparable(step.sees ?? []));
        player.sees = [];
      } else if (i === 0) {
        // Preface and hello; the hello is each one's own.
        expect((await player.taken()).slice(0, 8)).toBe(step.hex.slice(0, 8));
      } else {
        player.does(step.does as Does);
        const taken = await player.taken();
        // Of several free numbers any may be taken. Where the vectors take another than we do, the rest is about that.
        if (taken !== step.hex && taken.slice(0, 2) + taken.slice(4) === step.hex.slice(0, 2) + step.hex.slice(4)) break;
        expect(taken).toBe(step.hex);
        // A cancelled call ends here at once; the server's end is not told again.
        player.sees = [];
      }
    }
    player.connection.close("done");
  });
});

const badInputs = read<BadInput>("bad-input.json").filter(({ to }) => to === "client");

describe.runIf(badInputs.length > 0)("bad input", () => {
  test.each(badInputs)("$name", async ({ before, hex: wrong, reaction }) => {
    const player = new Player();
    player.call({ do: "call", path: "a.B/C", message: "71", last: false });
    await player.taken();
    player.connection.handleBytes(bytes(before));
    player.connection.handleBytes(bytes(wrong));
    const frames = [...new FrameReader(16384).read(bytes(await player.taken()))];
    const goAway = frames.find((frame) => frame.kind === Kind.GoAway);
    if (reaction.goaway !== undefined) {
      expect(goAway && decodeGoAway(goAway.payload).code).toBe(reaction.goaway);
      expect(player.connection.isClosed).toBe(true);
      return;
    }
    expect(goAway).toBeUndefined();
    expect(player.connection.isOpen).toBe(true);
    const ends = player.sees.flatMap((event) => (event["ended"] ? [event["ended"]["code"]] : []));
    expect(ends).toEqual(reaction.end === undefined ? [] : [reaction.end]);
    player.connection.close("done");
  });
});
