// The board: all orders as they change.

import { Code, ConnectError } from "@connectrpc/connect";

import { orders, TIMEOUT_MS, words } from "./connection.js";
import { busy, byId, h, KeyedList, notice, setText } from "./dom.js";
import { clock, isOpen, minutesUntil, money, shortName, STATUS } from "./format.js";
import { OrderStatus } from "./generated/orders/v1/orders_pb.js";
import type { Order } from "./generated/orders/v1/orders_pb.js";
import type { Shelves } from "./shelves.js";

/** Older ones are not shown: nobody reads further, and a page has to stay quick. */
const SHOWN_MAX = 200;

export function showBoard(shelves: Shelves): void {
  const known = new Map<string, Order>();
  const list = new KeyedList<Order>(byId("orders"), (order) => order.name, orderRow);
  const showOpen = byId("show-open");
  const showAll = byId("show-all");
  let onlyOpen = true;
  let isQueued = false;

  const show = () => {
    isQueued = false;
    const newest = [...known.values()].sort((a, b) => (a.name < b.name ? 1 : -1));
    for (const order of newest.slice(SHOWN_MAX)) known.delete(order.name);
    const all = newest.slice(0, SHOWN_MAX);
    const open = all.filter((order) => isOpen(order.status));
    const shown = onlyOpen ? open : all;
    list.show(shown);
    byId("orders-empty").hidden = shown.length > 0;
    setText(byId("orders-empty"), onlyOpen ? "No open orders. Place one at the counter." : "No orders yet.");
    setText(byId("count-open"), String(open.length));
    setText(byId("count-all"), all.length < SHOWN_MAX ? String(all.length) : `${SHOWN_MAX}+`);
    showOpen.setAttribute("aria-pressed", String(onlyOpen));
    showAll.setAttribute("aria-pressed", String(!onlyOpen));
  };
  /** Many events may come at a time; they are painted once. */
  const showSoon = () => {
    if (isQueued) return;
    isQueued = true;
    requestAnimationFrame(show);
  };
  showOpen.addEventListener("click", () => {
    onlyOpen = true;
    show();
  });
  showAll.addEventListener("click", () => {
    onlyOpen = false;
    show();
  });
  // What is due in some minutes is due in fewer after a while.
  setInterval(showSoon, 20_000);

  void follow();

  /** Lists what there is, then follows from there. Goes on where it was when the connection is lost. */
  async function follow(): Promise<never> {
    let after: bigint | undefined;
    for (;;) {
      try {
        if (after === undefined) {
          const page = await orders.list({ pageSize: SHOWN_MAX }, { timeoutMs: TIMEOUT_MS });
          known.clear();
          for (const order of page.orders) known.set(order.name, order);
          after = page.sequence;
          showSoon();
        }
        shelves.refresh();
        for await (const event of orders.watchAll({ afterSequence: after })) {
          after = event.sequence;
          const { order } = event;
          if (order === undefined) continue;
          known.set(order.name, order);
          showSoon();
          shelves.refresh();
          if (order.status !== event.previousStatus) {
            setText(byId("orders-news"), `${order.customer}’s order: ${STATUS[order.status].label}`);
          }
        }
      } catch (error) {
        // Behind a server with another past our number means nothing.
        if (ConnectError.from(error).code === Code.OutOfRange) after = undefined;
      }
      // A call waits for the next attempt to connect, so this is only for a server that refuses at once.
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
  }
}

const STEPS = [OrderStatus.CONFIRMED, OrderStatus.PREPARING, OrderStatus.READY, OrderStatus.COMPLETED];

function orderRow(first: Order) {
  let order = first;
  const badge = h("span", { class: "badge" });
  const steps = h("div", { class: "steps", "aria-hidden": "true" }, ...STEPS.map(() => h("i")));
  const detail = h("p", { class: "detail" });
  const cancel: HTMLButtonElement = h(
    "button",
    {
      type: "button",
      class: "quiet",
      "aria-label": `Cancel ${first.customer}’s order`,
      onclick: () =>
        void act(cancel, () => orders.cancel({ name: order.name, reason: "changed my mind" }, { timeoutMs: TIMEOUT_MS })),
    },
    "Cancel",
  );
  const complete: HTMLButtonElement = h(
    "button",
    {
      type: "button",
      class: "primary",
      "aria-label": `Hand over ${first.customer}’s order`,
      onclick: () => void act(complete, () => orders.complete({ name: order.name }, { timeoutMs: TIMEOUT_MS })),
    },
    "Hand over",
  );
  const element = h(
    "li",
    { class: "order" },
    h(
      "div",
      { class: "head" },
      h("strong", {}, first.customer),
      h("span", { class: "sign" }, `${shortName(first.name)} · ${clock(first.createTime)}`),
      badge,
    ),
    h("p", { class: "lines" }, first.lines.map((line) => `${line.quantity} × ${line.title}`).join(", ")),
    first.note !== "" && h("p", { class: "note" }, first.note),
    steps,
    h("div", { class: "foot" }, detail, h("span", { class: "price" }, money(first.total)), cancel, complete),
  );
  return {
    element,
    update(now: Order) {
      if (now.sequence !== order.sequence) {
        element.classList.remove("changed");
        // Reading the size makes the browser notice that the class was gone, so that the animation runs again.
        void element.offsetWidth;
        element.classList.add("changed");
      }
      const hadFocus = element.contains(document.activeElement);
      order = now;
      const status = STATUS[now.status];
      element.dataset["status"] = status.key;
      badge.className = `badge ${status.key}`;
      setText(badge, status.label);
      const reached = STEPS.indexOf(now.status);
      [...steps.children].forEach((step, i) => step.classList.toggle("reached", i <= reached));
      steps.hidden = reached < 0;
      setText(detail, detailOf(now));
      cancel.hidden = now.status !== OrderStatus.CONFIRMED;
      complete.hidden = now.status !== OrderStatus.READY;
      // The button with the focus may be gone now; the keyboard stays at this order.
      if (hadFocus && !element.contains(document.activeElement)) {
        element.tabIndex = -1;
        element.focus();
      }
    },
  };
}

function detailOf(order: Order): string {
  switch (order.status) {
    case OrderStatus.CONFIRMED:
      return "waits for a kitchen";
    case OrderStatus.PREPARING: {
      const minutes = minutesUntil(order.expectTime);
      const when = minutes > 0 ? `ready in about ${minutes} min` : "ready any moment";
      return `${order.kitchen}: ${when}${order.reason === "" ? "" : ` (${order.reason})`}`;
    }
    case OrderStatus.READY:
      return `ready at ${order.kitchen}`;
    case OrderStatus.COMPLETED:
      return `at ${clock(order.updateTime)}`;
    case OrderStatus.CANCELLED:
      return order.reason;
    case OrderStatus.EXPIRED:
      return "no kitchen took it in time";
    default:
      return "";
  }
}

async function act(button: HTMLButtonElement, call: () => Promise<unknown>): Promise<void> {
  await busy(button, async () => {
    try {
      await call();
    } catch (error) {
      notice(words(error), "error");
    }
  });
}
