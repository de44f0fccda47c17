// The table of what is on the shelves.

import { busy, byId, h, KeyedList, setText } from "./dom.js";
import { money } from "./format.js";
import type { Item } from "./generated/stock/v1/stock_pb.js";
import type { Shelves } from "./shelves.js";

const DELIVERY = 10;
const LOW = 5n;

export function showStock(shelves: Shelves): void {
  const summary = byId("stock-summary");
  const rows = new KeyedList<Item>(
    byId("stock"),
    (item) => item.name,
    (first) => {
      let item = first;
      const unitPrice = h("td", { class: "number" });
      const onHand = h("td", { class: "number" });
      const reserved = h("td", { class: "number" });
      const available = h("td", { class: "number" });
      const deliver: HTMLButtonElement = h(
        "button",
        {
          type: "button",
          class: "small",
          "aria-label": `Deliver ${DELIVERY} × ${first.title}`,
          onclick: () => void busy(deliver, () => shelves.add(item, DELIVERY)),
        },
        `+${DELIVERY}`,
      );
      return {
        element: h(
          "tr",
          {},
          h("th", { scope: "row" }, first.title),
          unitPrice,
          onHand,
          reserved,
          available,
          h("td", {}, deliver),
        ),
        update(now) {
          item = now;
          setText(unitPrice, money(now.unitPrice));
          setText(onHand, String(now.onHand));
          setText(reserved, String(now.reserved));
          setText(available, String(now.available));
          available.className = `number ${now.available === 0n ? "out" : now.available <= LOW ? "low" : ""}`;
        },
      };
    },
  );
  shelves.onChange(() => {
    rows.show(shelves.items);
    const out = shelves.items.filter((item) => item.available === 0n).length;
    setText(summary, `${shelves.items.length} items${out > 0 ? `, ${out} sold out` : ""}`);
  });
}
