import { create, fromBinary, toBinary, toJson } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, encodeBinaryHeader } from "@connectrpc/connect";
import type { Client, Interceptor } from "@connectrpc/connect";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { utf8, text } from "../src/bytes.js";
import { gzip } from "../src/compression.js";
import { Flag, Kind } from "../src/frames.js";
import { polywireTransport, webSocketUrl } from "../src/transport.js";
import type { PolywireTransport, PolywireTransportOptions } from "../src/transport.js";
import { FakeServer } from "./fake_server.js";
import type { FakeCall, FakeServerOptions } from "./fake_server.js";
import { Echo, EchoReplySchema, EchoRequestSchema } from "./generated/polywire/test/v1/echo_pb.js";

const LAST = Flag.Last;

let transport: PolywireTransport;
let server: FakeServer;

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  const breaches = server.connections.flatMap((connection) => connection.breaches);
  transport.close();
  vi.useRealTimers();
  expect(breaches).toEqual([]);
});

function connected(options: FakeServerOptions, more: Partial<PolywireTransportOptions> = {}): Client<typeof Echo> {
  server = new FakeServer(options);
  transport = polywireTransport({ url: "ws://test/", webSocket: server.webSocket, backoff: { jitter: 0 }, ...more });
  return createClient(Echo, transport);
}

/** Lets everything happen that needs no time. */
async function settle(): Promise<void> {
  await vi.advanceTimersByTimeAsync(0);
}

function reply(words: string): Uint8Array {
  return toBinary(EchoReplySchema, create(EchoReplySchema, { text: words }));
}

function asked(message: Uint8Array): string {
  return fromBinary(EchoRequestSchema, message).text;
}

/** Answers every call with what its messages said. */
function echo(call: FakeCall): void {
  call.onHalfClose = () => void call.message(reply(call.messages.map(asked).join(" ")), LAST);
}

async function failure(promise: Promise<unknown>): Promise<ConnectError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof ConnectError) return error;
    throw error;
  }
  throw new Error("this should have failed");
}

/** Messages as a test hands them over, one by one. */
class Messages<T> implements AsyncIterable<T> {
  #queue: T[] = [];
  #isOver = false;
  #wake: (() => void) | undefined;
  taken = 0;
  isReturned = false;

  give(message: T): void {
    this.#queue.push(message);
    this.#wake?.();
  }

  end(): void {
    this.#isOver = true;
    this.#wake?.();
  }

  [Symbol.asyncIterator](): AsyncIterator<T> {
    return {
      next: async () => {
        for (;;) {
          const value = this.#queue.shift();
          if (value !== undefined) {
            this.taken++;
            return { done: false, value };
          }
          if (this.#isOver || this.isReturned) return { done: true, value: undefined };
          await new Promise<void>((resolve) => (this.#wake = resolve));
        }
      },
      return: async () => {
        this.isReturned = true;
        this.#wake?.();
        return { done: true, value: undefined };
      },
    };
  }
}

describe("the four shapes", () => {
  test("a unary call is one frame each way", async () => {
    const client = connected({ onCall: echo });
    await expect(client.unary({ text: "hello" })).resolves.toMatchObject({ text: "hello" });
    const frames = server.connection.frames.filter((frame) => frame.stream > 0);
    expect(frames.map((frame) => [frame.kind, frame.flags])).toEqual([[Kind.Call, Flag.Last | Flag.Fields]]);
  });

  test("a warm unary call costs four bytes beside its message", async () => {
    const client = connected({ onCall: echo });
    await client.unary({ text: "x" });
    await client.unary({ text: "x" });
    const [first, second] = server.connection.frames.filter((frame) => frame.kind === Kind.Call);
    const message = toBinary(EchoRequestSchema, create(EchoRequestSchema, { text: "x" })).length;
    const path = "polywire.test.v1.Echo/Unary";
    const authority = 2 + "test".length;
    expect(first?.payload.length).toBe(2 + path.length + 1 + authority + message);
    expect(second?.payload.length).toBe(1 + message);
    expect(second?.payload.length).toBeLessThan(128);
  });

  test("a server streams answers to one message", async () => {
    const client = connected({
      onCall: (call) => {
        call.onHalfClose = () => {
          for (const words of ["a", "b", "c"]) void call.message(reply(words));
          call.end();
        };
      },
    });
    const seen: string[] = [];
    for await (const { text } of client.expand({ text: "x", times: 3 })) seen.push(text);
    expect(seen).toEqual(["a", "b", "c"]);
  });

  test("a client streams messages for one answer", async () => {
    const client = connected({ onCall: echo });
    async function* texts() {
      yield { text: "a" };
      yield { text: "b" };
    }
    await expect(client.collect(texts())).resolves.toMatchObject({ text: "a b" });
  });

  test("both sides talk in turn", async () => {
    const client = connected({
      onCall: (call) => {
        call.onMessage = (message) => void call.message(reply(asked(message)));
        call.onHalfClose = () => call.end();
      },
    });
    const messages = new Messages<{ text: string }>();
    const replies = client.chat(messages)[Symbol.asyncIterator]();
    for (const words of ["one", "two"]) {
      messages.give({ text: words });
      await expect(replies.next()).resolves.toMatchObject({ value: { text: words } });
    }
    messages.end();
    await expect(replies.next()).resolves.toMatchObject({ done: true });
  });

  test("the server may speak first", async () => {
    const client = connected({ onCall: (call) => void call.message(reply("welcome")) });
    const messages = new Messages<{ text: string }>();
    const replies = client.chat(messages)[Symbol.asyncIterator]();
    const first = replies.next();
    await vi.advanceTimersByTimeAsync(1);
    await expect(first).resolves.toMatchObject({ value: { text: "welcome" } });
    expect(server.connection.frames.map((frame) => frame.kind)).toContain(Kind.Open);
  });

  test("many calls share one connection", async () => {
    const client = connected({ onCall: echo });
    const replies = await Promise.all(Array.from({ length: 250 }, (_, i) => client.unary({ text: String(i) })));
    expect(replies.map((it) => it.text)).toEqual(Array.from({ length: 250 }, (_, i) => String(i)));
    expect(server.connections.length).toBe(1);
  });

  test("messages travel as JSON if asked", async () => {
    const client = connected(
      {
        onCall: (call) => {
          expect(call.fields.codec).toBe(1);
          call.onHalfClose = () => {
            const { text: words } = JSON.parse(text(call.messages[0]!)) as { text: string };
            const json = toJson(EchoReplySchema, create(EchoReplySchema, { text: words }));
            void call.message(utf8(JSON.stringify(json)), LAST);
          };
        },
      },
      { useBinaryFormat: false },
    );
    for (let i = 0; i < 2; i++) await expect(client.unary({ text: "hello" })).resolves.toMatchObject({ text: "hello" });
  });

  test("messages are compressed if asked", async () => {
    // The platform's streams do not live by our clock.
    vi.useRealTimers();
    const long = "abc".repeat(10_000);
    const client = connected(
      {
        onCall: (call) => {
          expect(call.fields).toMatchObject({ compression: 1, accepted: 3 });
          call.onMessage = (message, compressed) => {
            expect(compressed).toBe(true);
            expect(message.length).toBeLessThan(1000);
            void gzip
              .compress(reply(long))
              .then((bytes) => call.message(bytes, LAST | Flag.Compressed, { compression: 1 }));
          };
        },
      },
      { sendCompression: gzip, acceptCompression: [gzip] },
    );
    await expect(client.unary({ text: long })).resolves.toMatchObject({ text: long });
    await expect(client.unary({ text: long })).resolves.toMatchObject({ text: long });
  });
});

describe("metadata", () => {
  test("goes both ways, text and bytes", async () => {
    const client = connected({
      onCall: (call) => {
        expect(call.fields.leading).toEqual([
          ["token", utf8("secret")],
          ["trace-bin", Uint8Array.of(0, 255)],
        ]);
        void call.message(reply("ok"), LAST, {
          leading: [["server", utf8("cafe")]],
          trailing: [
            ["cost", utf8("3")],
            ["raw-bin", Uint8Array.of(1, 2)],
          ],
        });
      },
    });
    let header: Headers | undefined;
    let trailer: Headers | undefined;
    await client.unary(
      { text: "x" },
      {
        headers: { token: "secret", "trace-bin": encodeBinaryHeader(Uint8Array.of(0, 255)) },
        onHeader: (it) => (header = it),
        onTrailer: (it) => (trailer = it),
      },
    );
    expect(header?.get("server")).toBe("cafe");
    expect(trailer?.get("cost")).toBe("3");
    expect(trailer?.get("raw-bin")).toBe(encodeBinaryHeader(Uint8Array.of(1, 2)));
  });

  test("of a stream is there before its first message", async () => {
    const client = connected({ onCall: (call) => call.headers({ leading: [["server", utf8("cafe")]] }) });
    const headers = new Promise<Headers>((resolve) => {
      void client.expand({ text: "x" }, { onHeader: resolve })[Symbol.asyncIterator]().next().catch(() => {});
    });
    expect((await headers).get("server")).toBe("cafe");
  });

  test("that cannot travel is refused here", async () => {
    const client = connected({ onCall: echo });
    expect(await failure(client.unary({}, { headers: { umlaut: "ä" } }))).toMatchObject({ code: Code.Internal });
    expect(await failure(client.unary({}, { headers: { "raw-bin": "!" } }))).toMatchObject({ code: Code.Internal });
    const large = await failure(client.unary({}, { headers: { large: "x".repeat(20_000) } }));
    expect(large).toMatchObject({ code: Code.ResourceExhausted });
    await expect(client.unary({ text: "still fine" })).resolves.toMatchObject({ text: "still fine" });
  });
});

describe("errors", () => {
  test("have code, message, details and metadata", async () => {
    const client = connected({
      onCall: (call) =>
        call.end({
          code: 9,
          message: "sold out",
          details: [{ typeUrl: "type.googleapis.com/polywire.test.v1.EchoReply", value: reply("detail") }],
          leading: [["l", utf8("1")]],
          trailing: [["t", utf8("2")]],
        }),
    });
    const error = await failure(client.unary({ text: "x" }));
    expect(error).toMatchObject({ code: Code.FailedPrecondition, rawMessage: "sold out" });
    expect(error.findDetails(EchoReplySchema)).toMatchObject([{ text: "detail" }]);
    expect([error.metadata.get("l"), error.metadata.get("t")]).toEqual(["1", "2"]);
  });

  test("come after the messages of a stream", async () => {
    const client = connected({
      onCall: (call) => {
        void call.message(reply("a"));
        call.end({ code: 14, message: "enough" });
      },
    });
    const replies = client.expand({ text: "x" })[Symbol.asyncIterator]();
    await expect(replies.next()).resolves.toMatchObject({ value: { text: "a" } });
    expect(await failure(replies.next())).toMatchObject({ code: Code.Unavailable, rawMessage: "enough" });
  });

  test("with a code that nobody knows are unknown", async () => {
    const client = connected({ onCall: (call) => call.end({ code: 77, message: "odd" }) });
    expect(await failure(client.unary({}))).toMatchObject({ code: Code.Unknown, rawMessage: "odd" });
  });

  test("say what is wrong with an answer", async () => {
    let answer: (call: FakeCall) => void = () => {};
    const client = connected({ onCall: (call) => answer(call) }, { readMaxBytes: 1000 });
    answer = (call) => call.end();
    expect((await failure(client.unary({}))).message).toContain("without an answer");
    answer = (call) => {
      void call.message(reply("a"));
      void call.message(reply("b"), LAST);
    };
    expect((await failure(client.unary({}))).message).toContain("several");
    answer = (call) => void call.message(reply("x".repeat(2000)), LAST);
    expect(await failure(client.unary({}))).toMatchObject({ code: Code.ResourceExhausted });
    answer = (call) => void call.message(Uint8Array.of(0xff), LAST);
    expect((await failure(client.unary({}))).message).toContain("parse");
    answer = (call) => void call.message(reply("a"), LAST | Flag.Compressed, { compression: 1 });
    expect((await failure(client.unary({}))).message).toContain("not accepted");
  });

  test("of the application's messages cancel the call", async () => {
    let cancelled = false;
    const client = connected({ onCall: (call) => (call.onCancel = () => (cancelled = true)) });
    async function* texts() {
      yield { text: "a" };
      throw new Error("my own");
    }
    expect((await failure(client.collect(texts()))).rawMessage).toBe("my own");
    await settle();
    expect(cancelled).toBe(true);
  });
});

describe("cancellation and deadlines", () => {
  test("an abort ends the call here and there", async () => {
    let call: FakeCall | undefined;
    const client = connected({ onCall: (it) => (call = it) });
    const controller = new AbortController();
    const result = failure(client.unary({ text: "x" }, { signal: controller.signal }));
    await settle();
    controller.abort();
    expect(await result).toMatchObject({ code: Code.Canceled });
    await settle();
    expect(call?.isCancelled).toBe(true);
  });

  test("a stream that is aborted ends its reader, and its number is free again only after the server's end", async () => {
    const calls: FakeCall[] = [];
    const client = connected({
      onCall: (call) => {
        calls.push(call);
        call.endsWhenCancelled = false;
        void call.message(reply("a"));
      },
    });
    const controller = new AbortController();
    const replies = client.expand({ text: "x" }, { signal: controller.signal })[Symbol.asyncIterator]();
    await replies.next();
    const rest = failure(replies.next());
    controller.abort();
    expect(await rest).toMatchObject({ code: Code.Canceled });
    await settle();
    // What the server had sent before it heard of it is dropped.
    void calls[0]?.message(reply("late"));
    await client.expand({ text: "y" })[Symbol.asyncIterator]().next();
    expect(calls[1]?.stream).toBe(2);
    calls[0]?.end({ code: 1 });
    await settle();
    await client.expand({ text: "z" })[Symbol.asyncIterator]().next();
    expect(calls[2]?.stream).toBe(1);
  });

  test("a deadline is told to the server and kept here", async () => {
    let call: FakeCall | undefined;
    const client = connected({ onCall: (it) => (call = it) });
    const result = failure(client.unary({ text: "x" }, { timeoutMs: 500 }));
    await vi.advanceTimersByTimeAsync(499);
    expect(call?.fields.timeoutMicros).toBe(500_000);
    expect(call?.isCancelled).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    expect(await result).toMatchObject({ code: Code.DeadlineExceeded });
    await settle();
    expect(call?.isCancelled).toBe(true);
  });

  test("a call that was aborted before it was sent is never sent", async () => {
    const client = connected({ onCall: echo });
    await client.unary({});
    const controller = new AbortController();
    const result = failure(client.unary({}, { signal: controller.signal }));
    controller.abort();
    expect(await result).toMatchObject({ code: Code.Canceled });
    await settle();
    expect(server.connection.frames.filter((frame) => frame.stream > 0).length).toBe(1);
  });

  test("the deadline runs while there is no connection", async () => {
    const client = connected({ isMute: true, accepts: () => false });
    await settle();
    await failure(client.unary({}));
    const result = failure(client.unary({}, { timeoutMs: 100 }));
    await vi.advanceTimersByTimeAsync(100);
    expect(await result).toMatchObject({ code: Code.DeadlineExceeded });
  });
});

describe("interceptors", () => {
  test("see and change calls of every shape", async () => {
    const seen: string[] = [];
    const interceptor: Interceptor = (next) => async (request) => {
      request.header.set("token", "t");
      seen.push(`${request.method.name} ${request.url}`);
      const response = await next(request);
      seen.push(response.header.get("server") ?? "");
      return response;
    };
    const client = connected(
      {
        onCall: (call) => {
          expect(call.fields.leading).toEqual([["token", utf8("t")]]);
          call.headers({ leading: [["server", utf8("cafe")]] });
          echo(call);
        },
      },
      { interceptors: [interceptor] },
    );
    await client.unary({ text: "a" });
    for await (const _ of client.expand({ text: "a" })) void _;
    expect(seen).toEqual([
      "Unary ws://test/polywire.test.v1.Echo/Unary",
      "cafe",
      "Expand ws://test/polywire.test.v1.Echo/Expand",
      "cafe",
    ]);
  });
});

describe("back-pressure", () => {
  test("a server that gives no window stops the sender", async () => {
    const client = connected({ returnsWindow: false, onCall: (call) => echo(call) });
    const messages = new Messages<{ text: string }>();
    for (let i = 0; i < 20; i++) messages.give({ text: "x".repeat(10_000) });
    messages.end();
    const answer = client.collect(messages);
    await vi.advanceTimersByTimeAsync(10);
    // 65,536 bytes hold six and a half messages; one more was taken and waits.
    expect(messages.taken).toBe(7);
    const { connection } = server;
    connection.returnWindow(0, 1 << 20);
    connection.returnWindow(1, 1 << 20);
    await expect(answer).resolves.toMatchObject({ text: expect.stringMatching(/^[x ]{200019}$/) as string });
  });

  test("a reader that is slow stops the server", async () => {
    let sent = 0;
    const client = connected({
      onCall: (call) => {
        if (call.path.endsWith("/Unary")) {
          echo(call);
          return;
        }
        void (async () => {
          for (; sent < 200; sent++) await call.message(reply("x".repeat(10_000)));
          call.end();
        })();
      },
    });
    const replies = client.expand({ text: "x" })[Symbol.asyncIterator]();
    await replies.next();
    await vi.advanceTimersByTimeAsync(100);
    // The window of 262,144 bytes is full.
    expect(sent).toBeLessThan(30);
    await expect(client.unary({ text: "others go on" })).resolves.toMatchObject({ text: "others go on" });
    let read = 1;
    while ((await replies.next()).done !== true) read++;
    expect(read).toBe(200);
  });

  test("messages larger than all windows arrive, both ways, and let small ones pass", async () => {
    const large = "x".repeat(3_000_000);
    const finished: string[] = [];
    const client = connected({ onCall: echo });
    const big = client.unary({ text: large }).then((it) => {
      finished.push("big");
      return it;
    });
    const small = client.unary({ text: "small" }).then(() => finished.push("small"));
    await vi.advanceTimersByTimeAsync(100);
    expect((await big).text.length).toBe(large.length);
    await small;
    expect(finished).toEqual(["small", "big"]);
    expect(Math.max(...server.connection.webSocketMessages)).toBeLessThan(128 * 1024);
  });

  test("an endless input is left alone when the server has ended the call", async () => {
    const client = connected({ onCall: (call) => call.end({ code: 3, message: "no" }) });
    const messages = new Messages<{ text: string }>();
    messages.give({ text: "a" });
    expect(await failure(client.collect(messages))).toMatchObject({ code: Code.InvalidArgument });
    await settle();
    expect(messages.isReturned).toBe(true);
  });

  test("calls beyond the server's streams wait for their turn", async () => {
    const calls: FakeCall[] = [];
    const client = connected({ hello: { streamsMax: 2 }, onCall: (call) => calls.push(call) });
    transport.connect();
    await settle();
    const answers = ["a", "b", "c", "d"].map((text) => client.unary({ text }));
    await settle();
    expect(calls.length).toBe(2);
    for (let i = 0; i < 4; i++) {
      echo(calls[i]!);
      calls[i]!.onHalfClose?.();
      await settle();
    }
    expect((await Promise.all(answers)).map((it) => it.text)).toEqual(["a", "b", "c", "d"]);
  });
});

describe("the connection", () => {
  function states(): string[] {
    const names: string[] = [];
    transport.onStateChange((state) => names.push(state.name));
    return names;
  }

  test("is made with the first call and tells how it stands", async () => {
    const client = connected({ onCall: echo });
    const names = states();
    expect(transport.state.name).toBe("idle");
    expect(server.attempts).toBe(0);
    await client.unary({});
    expect(names).toEqual(["connecting", "connected"]);
  });

  test("that is lost fails its calls and comes back after pauses that grow", async () => {
    let accepts = true;
    const client = connected({ accepts: () => accepts, onCall: () => {} });
    const names = states();
    const open = failure(client.unary({}));
    await settle();
    accepts = false;
    server.connection.drop(1006, "cable");
    expect(await open).toMatchObject({ code: Code.Unavailable, rawMessage: expect.stringContaining("cable") as string });
    expect(transport.state.name).toBe("waiting");
    const pauses: number[] = [];
    for (let i = 0; i < 12; i++) {
      if (transport.state.name !== "waiting") throw new Error(transport.state.name);
      const pause = transport.state.retryAt - Date.now();
      pauses.push(pause);
      await vi.advanceTimersByTimeAsync(pause);
    }
    expect(pauses.slice(0, 4)).toEqual([250, 400, 640, 1024]);
    expect(pauses.at(-1)).toBe(15_000);
    accepts = true;
    await vi.advanceTimersByTimeAsync(15_000);
    expect(transport.state.name).toBe("connected");
    expect(names.slice(0, 4)).toEqual(["connecting", "connected", "waiting", "connecting"]);
  });

  test("a call waits for the next attempt and fails with it", async () => {
    let accepts = false;
    const client = connected({ accepts: () => accepts, onCall: echo });
    expect(await failure(client.unary({}))).toMatchObject({
      code: Code.Unavailable,
      rawMessage: "cannot connect to ws://test/",
    });
    const second = failure(client.unary({}));
    await vi.advanceTimersByTimeAsync(250);
    expect(await second).toMatchObject({ code: Code.Unavailable });
    const third = client.unary({ text: "back" });
    accepts = true;
    await vi.advanceTimersByTimeAsync(400);
    await expect(third).resolves.toMatchObject({ text: "back" });
  });

  test("connect() ends a pause", async () => {
    let accepts = false;
    const client = connected({ accepts: () => accepts, onCall: echo });
    await failure(client.unary({}));
    accepts = true;
    transport.connect();
    await settle();
    expect(transport.state.name).toBe("connected");
  });

  test("to a server that says nothing is given up", async () => {
    const client = connected({ isMute: true });
    const result = failure(client.unary({}));
    await vi.advanceTimersByTimeAsync(10_000);
    expect(await result).toMatchObject({ rawMessage: "cannot connect to ws://test/: no answer within 10 s" });
  });

  test("to a server that speaks something else is given up", async () => {
    const client = connected({ protocol: "chat" });
    expect((await failure(client.unary({}))).rawMessage).toContain("does not speak polywire.v1");
  });

  test("that has died silently is noticed", async () => {
    const client = connected({ onCall: () => {} });
    const result = failure(client.unary({}));
    await vi.advanceTimersByTimeAsync(36_000);
    expect(await result).toMatchObject({ code: Code.Unavailable, rawMessage: "nothing was heard of the server for 30 s" });
    expect(server.connection.goAway).toBeUndefined();
    expect(server.connections.length).toBe(2);
  });

  test("is kept alive as often as the server wants", async () => {
    connected({ hello: { silenceMaxMs: 9_000 } });
    transport.connect();
    await settle();
    const { connection } = server;
    await vi.advanceTimersByTimeAsync(25_000);
    const pings = connection.frames.filter((frame) => frame.kind === Kind.Ping).length;
    // One in each third of nine seconds at least, not many more.
    expect(pings).toBeGreaterThanOrEqual(8);
    expect(pings).toBeLessThanOrEqual(17);
    expect(server.connections.length).toBe(1);
  });

  test("a server's ping is answered with its bytes", async () => {
    connected({});
    transport.connect();
    await settle();
    server.connection.send(Kind.Ping, 0, 0, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8));
    await settle();
    const pong = server.connection.frames.find((frame) => frame.kind === Kind.Pong);
    expect(pong?.payload).toEqual(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8));
  });

  test("that goes away finishes its calls while new ones go over another", async () => {
    const calls: FakeCall[] = [];
    const client = connected({ onCall: (call) => calls.push(call) });
    const old = client.unary({ text: "old" });
    await settle();
    const first = server.connection;
    first.sendGoAway(0, "restarting");
    await settle();
    expect(first.goAway?.code).toBe(0);
    const fresh = client.unary({ text: "new" });
    await vi.advanceTimersByTimeAsync(250);
    expect(server.connections.length).toBe(2);
    expect(first.isClosed).toBe(false);
    echo(calls[1]!);
    calls[1]!.onHalfClose?.();
    await expect(fresh).resolves.toMatchObject({ text: "new" });
    echo(calls[0]!);
    calls[0]!.onHalfClose?.();
    await expect(old).resolves.toMatchObject({ text: "old" });
    await settle();
    expect(first.isClosed).toBe(true);
    expect(transport.state.name).toBe("connected");
  });

  test("a call that the server has not begun with is made again", async () => {
    let refusals = 1;
    const client = connected({
      onCall: (call) => {
        if (refusals-- > 0) call.end({ code: 14, message: "full", unprocessed: true });
        else echo(call);
      },
    });
    await expect(client.unary({ text: "again" })).resolves.toMatchObject({ text: "again" });
    refusals = 100;
    expect(await failure(client.unary({}))).toMatchObject({ code: Code.Unavailable, rawMessage: "full" });
    expect(refusals).toBe(97);
  });

  test.each([
    ["a frame of a stream that is not open", (server: FakeServer) => server.connection.send(Kind.End, 0, 9, new Uint8Array())],
    ["a second hello", (server: FakeServer) => server.connection.send(Kind.Hello, 0, 0, Uint8Array.of(1, 1, 1))],
    ["a frame that only clients send", (server: FakeServer) => server.connection.send(Kind.Cancel, 0, 1, new Uint8Array())],
    ["a frame that is too large", (server: FakeServer) => server.connection.send(Kind.Message, 0, 1, new Uint8Array(20_000))],
    ["a window that is too large", (server: FakeServer) => server.connection.returnWindow(0, 2 ** 32)],
    ["malformed fields", (server: FakeServer) => server.connection.send(Kind.Headers, 0, 1, Uint8Array.of(7, 9))],
  ])("%s ends it with a word to the server", async (_, misbehave) => {
    const client = connected({ onCall: () => {} });
    const result = failure(client.unary({}));
    await settle();
    const { connection } = server;
    misbehave(server);
    expect(await result).toMatchObject({
      code: Code.Internal,
      rawMessage: expect.stringContaining("the server broke the protocol") as string,
    });
    await settle();
    expect(connection.goAway?.code).toBe(1);
    expect(connection.isClosed).toBe(true);
  });

  test("that the server gives up tells why", async () => {
    const client = connected({ onCall: (call) => call.connection.sendGoAway(2, "too many pings") });
    expect((await failure(client.unary({}))).rawMessage).toBe("the server gave the connection up: too many pings");
  });

  test("unknown frames and fields are nothing to it", async () => {
    const client = connected({
      onCall: (call) => {
        call.connection.send(13, 0xf0, 77, Uint8Array.of(1, 2, 3));
        echo(call);
      },
    });
    await expect(client.unary({ text: "x" })).resolves.toMatchObject({ text: "x" });
  });

  test("closed is closed for good", async () => {
    const client = connected({ onCall: () => {} });
    const open = failure(client.unary({}));
    await settle();
    transport.close();
    expect(await open).toMatchObject({ code: Code.Canceled, rawMessage: "the transport was closed" });
    expect(await failure(client.unary({}))).toMatchObject({ code: Code.Canceled });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(server.attempts).toBe(1);
    expect(server.connection.isClosed).toBe(true);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("closing", () => {
  test("while the connection is being made leaves nothing behind", async () => {
    const client = connected({ isMute: true });
    const result = failure(client.unary({}));
    transport.close();
    expect(await result).toMatchObject({ code: Code.Canceled });
    await settle();
    expect(vi.getTimerCount()).toBe(0);
  });

  test("before the server's hello leaves nothing behind", async () => {
    const client = connected({ isMute: true });
    const result = failure(client.unary({}));
    await settle();
    transport.close();
    expect(await result).toMatchObject({ code: Code.Canceled });
    await settle();
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("the address", () => {
  beforeEach(() => {
    connected({});
  });

  test.each([
    ["http://a/x", "ws://a/x"],
    ["https://a:1/", "wss://a:1/"],
    ["wss://a", "wss://a/"],
  ])("%s is %s", (given, expected) => {
    expect(webSocketUrl(given)).toBe(expected);
  });

  test("that is none is told so", () => {
    expect(() => webSocketUrl("nonsense")).toThrow("is not an address");
    expect(() => webSocketUrl("ftp://a/")).toThrow("has to begin with");
  });

  test("needs a WebSocket", () => {
    vi.stubGlobal("WebSocket", undefined);
    expect(() => polywireTransport({ url: "ws://a/" })).toThrow("has no WebSocket");
    vi.unstubAllGlobals();
  });
});
