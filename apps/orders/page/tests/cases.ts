// What a client of the order system may expect of polywire-web. The same cases run in Node and in Chromium.

import { Code, ConnectError, createClient } from "@connectrpc/connect";
import type { Client } from "@connectrpc/connect";
import { gzip, polywireTransport } from "polywire-web";
import type { PolywireTransportOptions } from "polywire-web";

import type { KitchenReply } from "../src/generated/orders/v1/kitchen_pb.js";
import { Orders, OrderStatus } from "../src/generated/orders/v1/orders_pb.js";
import type { OrderEvent } from "../src/generated/orders/v1/orders_pb.js";
import { Stock } from "../src/generated/stock/v1/stock_pb.js";

interface Clients {
  orders: Client<typeof Orders>;
  stock: Client<typeof Stock>;
}

type Case = (clients: Clients) => Promise<void>;

export const CASES: Readonly<Record<string, Case>> = {
  async "one answer to one message"({ stock }) {
    const item = await stock.getItem({ name: "items/flat-white" }, { timeoutMs: 5_000 });
    equal(item.title, "Flat white");
  },

  async "an error has code, message and details"({ orders, stock }) {
    const missing = await failure(stock.getItem({ name: "items/none" }));
    equal(missing.code, Code.NotFound);
    check(missing.rawMessage !== "", "the message says what is missing");
    const soldOut = await failure(
      orders.create({ customer: "Ada", lines: [{ item: "items/birthday-cake", quantity: 900 }] }),
    );
    equal(soldOut.code, Code.FailedPrecondition);
    check(soldOut.details.length > 0, "details name what is short");
  },

  async "the server streams"({ orders }) {
    const { sequence } = await orders.list({ pageSize: 1 });
    const abort = new AbortController();
    const events = orders.watchAll({ afterSequence: sequence }, { signal: abort.signal })[Symbol.asyncIterator]();
    const order = await orders.create({ customer: "Stream", lines: [{ item: "items/espresso", quantity: 1 }] });
    let event: OrderEvent;
    do event = await next(events);
    while (event.order?.name !== order.name);
    equal(event.order.status, OrderStatus.CONFIRMED);
    abort.abort();
    equal((await failure(events.next())).code, Code.Canceled);
  },

  async "a stream ends by itself"({ orders }) {
    const order = await orders.create({ customer: "Short", lines: [{ item: "items/espresso", quantity: 1 }] });
    await orders.cancel({ name: order.name });
    const seen: OrderStatus[] = [];
    for await (const event of orders.watch({ name: order.name, afterSequence: 0n })) seen.push(event.order?.status ?? 0);
    equal(seen.join(), [OrderStatus.CONFIRMED, OrderStatus.CANCELLED].join());
  },

  async "the client streams, more than any window holds"({ orders }) {
    async function* requests() {
      for (let i = 0; i < 200; i++) {
        const lines = Array.from({ length: 100 }, () => ({ item: "items/none", quantity: 1, note: "n".repeat(200) }));
        yield { customer: `Import ${i}`, lines };
      }
    }
    const summary = await orders.import(requests());
    equal(summary.refused, 200);
  },

  async "both sides talk"({ orders }) {
    const said = new Queue<{ said: KitchenSaid }>();
    const abort = new AbortController();
    const replies = orders.kitchen(said, { signal: abort.signal })[Symbol.asyncIterator]();
    said.put({ said: { case: "announce", value: { kitchen: `cases-${Math.random()}`, ticketsOpenMax: 100 } } });
    equal((await next(replies)).said.case, "welcome");
    const order = await orders.create({ customer: "Talk", lines: [{ item: "items/scone", quantity: 1 }] });
    let reply: KitchenReply;
    do reply = await next(replies);
    while (!(reply.said.case === "ticket" && reply.said.value.order === order.name));
    said.put({ said: { case: "accepted", value: { order: order.name } } });
    do reply = await next(replies);
    while (reply.said.case !== "noted");
    said.put({ said: { case: "ready", value: { order: order.name } } });
    do reply = await next(replies);
    while (reply.said.case !== "noted");
    equal((await orders.get({ name: order.name })).status, OrderStatus.READY);
    said.end();
    while ((await replies.next()).done !== true);
  },

  async "a first message that is wrong ends the conversation"({ orders }) {
    const said = new Queue<{ said: KitchenSaid }>();
    said.put({ said: { case: "ready", value: { order: "orders/1" } } });
    const replies = orders.kitchen(said)[Symbol.asyncIterator]();
    equal((await failure(replies.next())).code, Code.InvalidArgument);
  },

  async "a deadline passes"({ orders }) {
    const order = await orders.create({ customer: "Late", lines: [{ item: "items/espresso", quantity: 1 }] });
    const events = orders.watch({ name: order.name }, { timeoutMs: 300 })[Symbol.asyncIterator]();
    await next(events);
    equal((await failure(events.next())).code, Code.DeadlineExceeded);
  },

  async "a call is taken back"({ orders }) {
    const abort = new AbortController();
    const call = failure(orders.list({}, { signal: abort.signal }));
    abort.abort();
    equal((await call).code, Code.Canceled);
  },

  async "five hundred calls at a time"({ stock }) {
    const items = await Promise.all(Array.from({ length: 500 }, () => stock.getItem({ name: "items/scone" })));
    check(
      items.every((item) => item.title === "Scone with jam"),
      "all have their answer",
    );
  },

  async "two hundred streams one after the other"({ orders }) {
    for (let i = 0; i < 200; i++) {
      const abort = new AbortController();
      const events = orders.watchAll({ afterSequence: 0n }, { signal: abort.signal })[Symbol.asyncIterator]();
      await next(events);
      abort.abort();
    }
  },
};

/** The ways in which all of them are run. */
export const WAYS: Readonly<Record<string, Partial<PolywireTransportOptions>>> = {
  protobuf: {},
  json: { useBinaryFormat: false },
  gzip: { sendCompression: gzip, acceptCompression: [gzip], compressMinBytes: 1 },
};

/** Runs one case one way, on a connection of its own. */
export async function run(name: string, way: string, options: PolywireTransportOptions): Promise<void> {
  const transport = polywireTransport({ ...options, ...WAYS[way] });
  try {
    await CASES[name]?.({ orders: createClient(Orders, transport), stock: createClient(Stock, transport) });
  } finally {
    transport.close();
  }
}

type KitchenSaid =
  | { case: "announce"; value: { kitchen: string; ticketsOpenMax: number } }
  | { case: "accepted"; value: { order: string } }
  | { case: "ready"; value: { order: string } };

class Queue<T> implements AsyncIterable<T> {
  readonly #items: T[] = [];
  #isOver = false;
  #wake: (() => void) | undefined;

  put(item: T): void {
    this.#items.push(item);
    this.#wake?.();
  }

  end(): void {
    this.#isOver = true;
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    for (;;) {
      const item = this.#items.shift();
      if (item !== undefined) yield item;
      else if (this.#isOver) return;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}

async function next<T>(messages: AsyncIterator<T>): Promise<T> {
  const result = await messages.next();
  if (result.done === true) throw new Error("the stream has ended");
  return result.value;
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

function equal<T>(actual: T, expected: T): void {
  if (actual !== expected) throw new Error(`${String(actual)} instead of ${String(expected)}`);
}

function check(condition: boolean, what: string): void {
  if (!condition) throw new Error(`not so: ${what}`);
}
