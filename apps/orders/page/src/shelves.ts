// What is on the shelves, as last heard of. Stock has no stream, so it is asked again whenever an order changed.

import { notice } from "./dom.js";
import { stock, TIMEOUT_MS, words } from "./connection.js";
import type { Item } from "./generated/stock/v1/stock_pb.js";

export class Shelves {
  items: readonly Item[] = [];
  readonly #listeners: (() => void)[] = [];
  #refreshSoon: ReturnType<typeof setTimeout> | undefined;

  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  /** Asks again, once for many changes at a time. */
  refresh(): void {
    this.#refreshSoon ??= setTimeout(() => {
      this.#refreshSoon = undefined;
      this.load().catch(() => {
        // The orders' stream notices the same, and refreshes when it is back.
      });
    }, 150);
  }

  async load(): Promise<void> {
    const items: Item[] = [];
    let pageToken = "";
    do {
      const page = await stock.listItems({ pageSize: 500, pageToken }, { timeoutMs: TIMEOUT_MS });
      items.push(...page.items);
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    this.items = items;
    for (const listener of this.#listeners) listener();
  }

  /** A delivery. */
  async add(item: Item, change: number): Promise<void> {
    try {
      await stock.adjustItem({ name: item.name, change: BigInt(change), reason: "delivery" }, { timeoutMs: TIMEOUT_MS });
      await this.load();
      notice(`${change} × ${item.title} delivered.`);
    } catch (error) {
      notice(words(error), "error");
    }
  }
}
