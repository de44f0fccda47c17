// The little of a framework that this page needs.

type Child = Node | string | false | undefined;
type Attributes = Record<string, string | boolean | EventListener | undefined>;

/** An element: `on…` are listeners, the rest are attributes; those which are false or undefined are left out. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (typeof value === "string") element.setAttribute(name, value);
  }
  for (const child of children) {
    if (child !== undefined && child !== false) element.append(child);
  }
  return element;
}

/** The element of the page with this id. */
export function byId<T extends HTMLElement>(id: string): T {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`the page has no #${id}`);
  return element as T;
}

/** Writes text only where it differs, so that screen readers are not told the same again. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Keeps the children of an element equal to a list. Elements stay the same from one time to the next, and are moved
 * only if they must, so that what has the focus keeps it.
 */
export class KeyedList<T> {
  readonly #parent: Element;
  readonly #key: (item: T) => string;
  readonly #create: (item: T) => Row<T>;
  readonly #rows = new Map<string, Row<T>>();

  constructor(parent: Element, key: (item: T) => string, create: (item: T) => Row<T>) {
    this.#parent = parent;
    this.#key = key;
    this.#create = create;
  }

  show(items: readonly T[]): void {
    const wanted = new Set(items.map(this.#key));
    for (const [key, row] of this.#rows) {
      if (wanted.has(key)) continue;
      row.element.remove();
      this.#rows.delete(key);
    }
    let place = this.#parent.firstElementChild;
    for (const item of items) {
      const key = this.#key(item);
      let row = this.#rows.get(key);
      if (row === undefined) {
        row = this.#create(item);
        this.#rows.set(key, row);
      }
      row.update(item);
      if (row.element === place) place = place.nextElementSibling;
      else this.#parent.insertBefore(row.element, place);
    }
  }
}

export interface Row<T> {
  readonly element: HTMLElement;
  update(item: T): void;
}

/** Runs the task with the button off, so that one click is one call. */
export async function busy(button: HTMLButtonElement, task: () => Promise<void>): Promise<void> {
  if (button.getAttribute("aria-disabled") === "true") return;
  // Not `disabled`: that would take the focus away from under the keyboard.
  button.setAttribute("aria-disabled", "true");
  try {
    await task();
  } finally {
    button.removeAttribute("aria-disabled");
  }
}

/** Says something to everybody, screen readers included. Errors stay until they are dismissed, the rest goes by itself. */
export function notice(text: string, kind: "done" | "error" = "done"): void {
  const element = h("div", { class: `notice ${kind}` }, h("p", {}, text));
  const dismiss = () => element.remove();
  element.append(h("button", { type: "button", class: "quiet", "aria-label": "Dismiss", onclick: dismiss }, "×"));
  const region = byId(kind === "error" ? "errors" : "notices");
  const most = kind === "error" ? 3 : 1;
  while (region.childElementCount >= most) region.firstElementChild?.remove();
  region.append(element);
  if (kind === "done") setTimeout(dismiss, 6_000);
}
