// The kitchen's screen: one conversation, tickets one way, reports the other.

import { create } from "@bufbuild/protobuf";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";

import { orders, transport, words } from "./connection.js";
import { byId, h, KeyedList, notice, setText } from "./dom.js";
import { clock, shortName } from "./format.js";
import { KitchenRecall_Cause, KitchenRequestSchema } from "./generated/orders/v1/kitchen_pb.js";
import type { KitchenReply, KitchenRequest, KitchenTicket } from "./generated/orders/v1/kitchen_pb.js";

type Said = MessageInitShape<typeof KitchenRequestSchema>["said"];

interface Ticket {
  readonly ticket: KitchenTicket;
  state: "new" | "accepted";
}

const READY_IN_MINUTES = 10;
const DELAY_MINUTES = 15;
const LOG_MAX = 100;

export function showKitchen(): void {
  const name = byId<HTMLInputElement>("kitchen-name");
  const button = byId<HTMLButtonElement>("kitchen-open");
  const state = byId("kitchen-state");
  const empty = byId("tickets-empty");
  const log = byId("log");
  const tickets = new Map<string, Ticket>();
  let conversation: Conversation | undefined;

  const list = new KeyedList<Ticket>(byId("tickets"), (it) => it.ticket.order, (first) => ticketRow(first, say));
  const show = () => {
    list.show([...tickets.values()]);
    const isOpen = conversation !== undefined;
    empty.hidden = tickets.size > 0;
    setText(
      empty,
      state.textContent === "Interrupted"
        ? "The connection is gone. The tickets come back with it."
        : isOpen
          ? "No tickets. The next order comes up here."
          : "The kitchen is closed. Open it, and every waiting order comes up as a ticket.",
    );
    setText(button, isOpen ? "Close kitchen" : "Open kitchen");
    button.classList.toggle("primary", !isOpen);
    name.readOnly = isOpen;
  };
  const setState = (key: string, text: string) => {
    state.className = `badge ${key}`;
    setText(state, text);
  };

  byId<HTMLFormElement>("kitchen-form").addEventListener("submit", (event) => {
    event.preventDefault();
    if (conversation !== undefined) {
      conversation.close();
      conversation = undefined;
      tickets.clear();
      setState("", "Closed");
      show();
      return;
    }
    const kitchen = name.value.trim();
    if (kitchen === "") {
      name.focus();
      return;
    }
    conversation = new Conversation();
    show();
    void converse(conversation, kitchen);
  });

  /** Talks until the kitchen is closed. After a break it comes back under its name and is reminded of its orders. */
  async function converse(mine: Conversation, kitchen: string): Promise<void> {
    while (!mine.isClosed) {
      setState("waiting", "Opening …");
      try {
        const requests = mine.begin();
        say({ case: "announce", value: { kitchen, ticketsOpenMax: 20 } });
        for await (const reply of orders.kitchen(requests, { signal: mine.signal })) {
          hear(reply);
          if (reply.said.case === "welcome") setState("ready", `Open as ${reply.said.value.kitchen}`);
        }
      } catch (error) {
        if (mine.isClosed) break;
        if (transport.state.name === "connected") {
          notice(words(error), "error");
          setState("cancelled", "Refused");
          mine.close();
          conversation = undefined;
          show();
          break;
        }
      }
      if (mine.isClosed) break;
      setState("waiting", "Interrupted");
      // What was accepted comes again, and what waits too.
      tickets.clear();
      show();
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
  }

  function say(said: Said): void {
    conversation?.say(create(KitchenRequestSchema, { said: said ?? { case: undefined } }));
    switch (said?.case) {
      case "announce":
        write("said", `I am kitchen “${said.value.kitchen ?? ""}”.`);
        break;
      case "accepted":
        write("said", `I begin with ${shortName(said.value.order ?? "")}.`);
        break;
      case "ready":
        write("said", `${shortName(said.value.order ?? "")} is ready.`);
        break;
      case "delayed":
        write("said", `${shortName(said.value.order ?? "")} takes ${DELAY_MINUTES} minutes.`);
        break;
    }
  }

  function hear({ said }: KitchenReply): void {
    switch (said.case) {
      case "welcome":
        write("heard", `Welcome, ${said.value.kitchen}. ${said.value.waiting} waiting.`);
        break;
      case "ticket": {
        const ticket = said.value;
        write("heard", `${ticket.accepted ? "Still yours" : "Ticket"}: ${shortName(ticket.order)} for ${ticket.customer}.`);
        tickets.set(ticket.order, { ticket, state: ticket.accepted ? "accepted" : "new" });
        break;
      }
      case "recall": {
        const why = RECALLED[said.value.cause];
        write("heard", `${shortName(said.value.order)} is void: ${why}.`);
        tickets.delete(said.value.order);
        break;
      }
      case "noted":
        write("heard", `${shortName(said.value.order)} noted as event ${said.value.sequence}.`);
        break;
      case "refusal":
        write("heard", `${shortName(said.value.order)} refused: ${said.value.message}.`);
        notice(said.value.message, "error");
        break;
    }
    show();
  }

  function write(who: "said" | "heard", text: string): void {
    const time = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" }).format();
    const isAtEnd = log.scrollHeight - log.scrollTop - log.clientHeight < log.clientHeight;
    log.append(
      h(
        "p",
        { class: who },
        h("time", {}, time),
        h("span", { class: "who" }, who === "said" ? "Kitchen" : "Café"),
        h("span", {}, text),
      ),
    );
    while (log.childElementCount > LOG_MAX) log.firstElementChild?.remove();
    if (isAtEnd) log.scrollTop = log.scrollHeight;
  }

  function ticketRow(first: Ticket, report: (said: Said) => void) {
    const { ticket } = first;
    const { order } = ticket;
    const title = `${ticket.customer}’s order`;
    const accept = h(
      "button",
      {
        type: "button",
        class: "primary",
        "aria-label": `Accept ${title}`,
        onclick: () => {
          report({ case: "accepted", value: { order, readyIn: durationFromMs(READY_IN_MINUTES * 60_000) } });
          first.state = "accepted";
          show();
        },
      },
      "Accept",
    );
    const delay = h(
      "button",
      {
        type: "button",
        class: "quiet",
        "aria-label": `Delay ${title}`,
        onclick: () =>
          report({
            case: "delayed",
            value: { order, readyIn: durationFromMs(DELAY_MINUTES * 60_000), reason: "the kitchen is busy" },
          }),
      },
      "Delay",
    );
    const ready = h(
      "button",
      {
        type: "button",
        class: "primary",
        "aria-label": `${title} is ready`,
        onclick: () => {
          report({ case: "ready", value: { order } });
          tickets.delete(order);
          show();
          // The button is gone; the keyboard goes on with the next ticket.
          (document.querySelector<HTMLElement>("#tickets button.primary:not([hidden])") ?? button).focus();
        },
      },
      "Ready",
    );
    const badge = h("span", { class: "badge" });
    const element = h(
      "li",
      { class: "ticket" },
      h(
        "div",
        { class: "head" },
        h("strong", {}, ticket.customer),
        h("span", { class: "sign" }, `${shortName(order)} · ${clock(ticket.createTime)}`),
        badge,
      ),
      h(
        "ul",
        { class: "make" },
        ...ticket.lines.map((line) =>
          h("li", {}, `${line.quantity} × ${line.title}`, line.note !== "" && h("em", {}, ` ${line.note}`)),
        ),
      ),
      ticket.note !== "" && h("p", { class: "note" }, ticket.note),
      h("div", { class: "foot" }, delay, accept, ready),
    );
    return {
      element,
      update(now: Ticket) {
        first = now;
        const isNew = now.state === "new";
        const hadFocus = document.activeElement === accept;
        element.dataset["state"] = now.state;
        badge.className = `badge ${isNew ? "confirmed" : "preparing"}`;
        setText(badge, isNew ? "New" : "In the making");
        accept.hidden = !isNew;
        delay.hidden = isNew;
        ready.hidden = isNew;
        if (hadFocus && !isNew) ready.focus();
      },
    };
  }

  show();
}

const RECALLED: Readonly<Record<KitchenRecall_Cause, string>> = {
  [KitchenRecall_Cause.CAUSE_UNSPECIFIED]: "nobody says why",
  [KitchenRecall_Cause.TAKEN]: "another kitchen has it",
  [KitchenRecall_Cause.CANCELLED]: "the customer took it back",
  [KitchenRecall_Cause.EXPIRED]: "the goods are no longer held",
};

/** What the kitchen says, as the stream of messages that a call wants. One stream after the other, after breaks. */
class Conversation {
  readonly #abort = new AbortController();
  #queue: KitchenRequest[] = [];
  #wake: (() => void) | undefined;

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  get isClosed(): boolean {
    return this.#abort.signal.aborted;
  }

  /** A new stream, which begins empty. */
  begin(): AsyncIterable<KitchenRequest> {
    const queue: KitchenRequest[] = [];
    this.#queue = queue;
    return this.#messages(queue);
  }

  say(request: KitchenRequest): void {
    this.#queue.push(request);
    this.#wake?.();
  }

  close(): void {
    this.#abort.abort();
    this.#wake?.();
  }

  async *#messages(queue: KitchenRequest[]): AsyncGenerator<KitchenRequest, void, undefined> {
    while (!this.isClosed && queue === this.#queue) {
      const request = queue.shift();
      if (request !== undefined) yield request;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}
