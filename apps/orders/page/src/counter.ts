// The counter: choosing and ordering.

import { Code, ConnectError } from "@connectrpc/connect";

import { orders, TIMEOUT_MS, words } from "./connection.js";
import { busy, byId, h, KeyedList, notice, setText } from "./dom.js";
import { amount, money, price, shortName } from "./format.js";
import type { Item } from "./generated/stock/v1/stock_pb.js";
import type { Shelves } from "./shelves.js";

export function showCounter(shelves: Shelves): void {
  const form = byId<HTMLFormElement>("order-form");
  const customer = byId<HTMLInputElement>("customer");
  const note = byId<HTMLInputElement>("note");
  const filter = byId<HTMLInputElement>("item-filter");
  const place = byId<HTMLButtonElement>("place");
  const chosen = new Map<string, number>();
  /** Stays the same while the same order is tried again, so that it is taken once. */
  let key = newKey();

  const menu = new KeyedList<Item>(
    byId("menu"),
    (item) => item.name,
    (first) => {
      let item = first;
      const available = h("span", { class: "available" });
      const quantity = h("output", { "aria-live": "off" });
      const step = (by: number) => () => {
        const next = Math.min(Math.max((chosen.get(item.name) ?? 0) + by, 0), Math.min(Number(item.available), 1000));
        if (next === 0) chosen.delete(item.name);
        else chosen.set(item.name, next);
        changed();
      };
      const less = h("button", { type: "button", "aria-label": `One ${first.title} less`, onclick: step(-1) }, "−");
      const more = h("button", { type: "button", "aria-label": `One ${first.title} more`, onclick: step(1) }, "+");
      const unitPrice = h("span", { class: "price" });
      const element = h(
        "li",
        {},
        h("div", { class: "what" }, h("span", { class: "name" }, first.title), available),
        unitPrice,
        h("div", { class: "stepper", role: "group", "aria-label": first.title }, less, quantity, more),
      );
      return {
        element,
        update(now) {
          item = now;
          const count = chosen.get(now.name) ?? 0;
          const isOut = now.available === 0n;
          setText(unitPrice, money(now.unitPrice));
          setText(available, isOut ? "sold out" : now.available <= 5n ? `only ${now.available} left` : `${now.available} left`);
          available.classList.toggle("low", now.available <= 5n);
          setText(quantity, String(count));
          element.classList.toggle("chosen", count > 0);
          element.classList.toggle("out", isOut);
          less.disabled = count === 0;
          more.disabled = BigInt(count) >= now.available;
        },
      };
    },
  );

  const show = () => {
    const wanted = filter.value.trim().toLowerCase();
    const shown = shelves.items.filter((item) => chosen.has(item.name) || item.title.toLowerCase().includes(wanted));
    menu.show(shown);
    setText(byId("menu-empty"), wanted !== "" && shown.length === 0 ? "Nothing of that name." : "");
    let pieces = 0;
    let total = 0;
    for (const item of shelves.items) {
      const count = chosen.get(item.name) ?? 0;
      pieces += count;
      total += count * amount(item.unitPrice);
    }
    const currency = shelves.items[0]?.unitPrice?.currencyCode ?? "EUR";
    setText(byId("basket"), pieces === 0 ? "Nothing chosen yet" : `${pieces} ${pieces === 1 ? "piece" : "pieces"}`);
    setText(byId("total"), pieces === 0 ? "" : price(total, currency));
  };
  const changed = () => {
    key = newKey();
    complain("lines", "");
    show();
  };
  shelves.onChange(show);
  filter.addEventListener("input", show);
  filter.addEventListener("keydown", (event) => {
    // Enter in the search would place the order.
    if (event.key === "Enter") event.preventDefault();
  });
  customer.addEventListener("input", () => {
    key = newKey();
    complain("customer", "");
  });
  note.addEventListener("input", () => (key = newKey()));

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const name = customer.value.trim();
    complain("customer", name === "" ? "Whose name shall we call out?" : "", customer);
    complain("lines", chosen.size === 0 ? "Choose something first." : "");
    if (name === "") {
      customer.focus();
      return;
    }
    if (chosen.size === 0) {
      filter.focus();
      return;
    }
    void busy(place, async () => {
      const request = {
        customer: name,
        note: note.value.trim(),
        idempotencyKey: key,
        lines: [...chosen].map(([item, quantity]) => ({ item, quantity })),
      };
      try {
        const order = await again(() => orders.create(request, { timeoutMs: TIMEOUT_MS }));
        chosen.clear();
        note.value = "";
        filter.value = "";
        changed();
        notice(`Thank you, ${order.customer}: order ${shortName(order.name)} for ${money(order.total)}.`);
      } catch (error) {
        notice(words(error), "error");
        shelves.refresh();
      }
    });
  });

  function complain(field: "customer" | "lines", text: string, input?: HTMLInputElement): void {
    const element = byId(`${field}-error`);
    setText(element, text);
    element.hidden = text === "";
    if (text === "") input?.removeAttribute("aria-invalid");
    else input?.setAttribute("aria-invalid", "true");
  }
}

/** A call that was cut off is made once more: the key sees to it that it counts once. */
async function again<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    if (ConnectError.from(error).code !== Code.Unavailable) throw error;
    return await call();
  }
}

function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return `page-${[...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}
