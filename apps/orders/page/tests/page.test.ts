// The page in a real browser, before the real server.

import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";

import { hasChromium, OrderServer, PICTURES, startBrowser } from "./server.js";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

describe.runIf(hasChromium)("the page in Chromium", () => {
  let server: OrderServer;
  let browser: Browser;
  let page: Page;
  let requests: string[];
  let webSockets: string[];
  let complaints: string[];

  beforeAll(async () => {
    mkdirSync(PICTURES, { recursive: true });
    server = await OrderServer.start();
    browser = await startBrowser();
  });

  afterAll(async () => {
    await browser?.close();
    await server?.stop();
  });

  beforeEach(async () => {
    page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
    page.setDefaultTimeout(15_000);
    requests = [];
    webSockets = [];
    complaints = [];
    page.on("request", (request) => requests.push(request.url()));
    page.on("websocket", (webSocket) => webSockets.push(webSocket.url()));
    page.on("pageerror", (error) => complaints.push(String(error)));
    page.on("console", (message) => {
      if (message.type() === "error") complaints.push(message.text());
    });
    await page.goto(server.http);
    await page.getByText("Connected", { exact: true }).waitFor();
  });

  afterEach(async () => {
    await page.close();
  });

  const picture = (name: string) => page.screenshot({ path: join(PICTURES, `${name}.png`) });

  async function place(customer: string, ...items: string[]): Promise<void> {
    await page.getByLabel("Name", { exact: true }).fill(customer);
    for (const item of items) await page.getByRole("button", { name: `One ${item} more` }).click();
    await page.getByRole("button", { name: "Place order" }).click();
    await orderOf(customer).waitFor();
  }

  const orderOf = (customer: string) => page.locator("#orders .order", { has: page.getByText(customer, { exact: true }) });
  const ticketOf = (customer: string) => page.locator("#tickets .ticket", { has: page.getByText(customer, { exact: true }) });
  const statusOf = (customer: string, status: string) =>
    orderOf(customer).locator(".badge", { hasText: status }).waitFor();

  test("an order goes its way from the counter to the customer, and the kitchen talks both ways", async () => {
    await place("Ada", "Flat white", "Flat white", "Cinnamon roll");
    await statusOf("Ada", "Confirmed");
    expect(await orderOf("Ada").textContent()).toContain("2 × Flat white");

    await page.getByRole("button", { name: "Open kitchen" }).click();
    await page.getByText("Open as main").waitFor();
    await place("Grace", "Soup of the day");
    await ticketOf("Ada").getByText("2 × Flat white").waitFor();
    await picture("kitchen-tickets");

    await page.getByRole("button", { name: "Accept Ada’s order" }).click();
    await statusOf("Ada", "Preparing");
    await orderOf("Ada").getByText("ready in about 10 min").waitFor();
    await page.getByRole("button", { name: "Delay Ada’s order" }).click();
    await orderOf("Ada").getByText("ready in about 15 min (the kitchen is busy)").waitFor();
    await page.getByRole("button", { name: "Ada’s order is ready" }).click();
    await statusOf("Ada", "Ready");
    expect(await ticketOf("Ada").count()).toBe(0);
    await picture("kitchen-ready");

    const log = await page.locator("#log").innerText();
    for (const said of ["I am kitchen “main”", "Welcome, main", "I begin with", "noted as event", "is ready"]) {
      expect(log).toContain(said);
    }

    await page.getByRole("button", { name: "Hand over Ada’s order" }).click();
    await orderOf("Ada").waitFor({ state: "detached" });
    await page.getByRole("button", { name: /^All/ }).click();
    await statusOf("Ada", "Handed over");

    // A customer who changes her mind has her ticket recalled.
    await page.getByRole("button", { name: "Cancel Grace’s order" }).click();
    await statusOf("Grace", "Cancelled");
    await page.locator("#log").getByText("the customer took it back").waitFor();
    await ticketOf("Grace").waitFor({ state: "detached" });

    expect(webSockets.length).toBe(1);
    expect(requests.filter((url) => !url.startsWith(server.http) && !url.startsWith("data:"))).toEqual([]);
    expect(complaints).toEqual([]);
  });

  test("two people see the same", async () => {
    const other = await browser.newPage();
    await other.goto(server.http);
    await other.getByText("Connected", { exact: true }).waitFor();
    await place("Edsger", "Espresso");
    await other.locator("#orders .order", { hasText: "Edsger" }).waitFor();
    await other.close();
  });

  test("the stock follows, and what is sold out cannot be ordered", async () => {
    await place("Barbara", "The last slice");
    const item = page.locator("#menu li", { hasText: "The last slice" });
    await item.getByText("sold out").waitFor();
    expect(await item.getByRole("button", { name: "One The last slice more" }).isDisabled()).toBe(true);
    await page.locator("summary").click();
    await page.locator("summary").scrollIntoViewIfNeeded();
    await picture("stock");
    await page.getByRole("button", { name: "Deliver 10 × The last slice" }).click();
    await item.getByText("10 left").waitFor();
  });

  test("a form that is not complete says so and moves there", async () => {
    await page.getByRole("button", { name: "Place order" }).click();
    await page.getByText("Whose name shall we call out?").waitFor();
    await page.getByText("Choose something first.").waitFor();
    expect(await page.evaluate(() => document.activeElement?.id)).toBe("customer");
  });

  test("the keyboard is enough", async () => {
    await page.getByLabel("Name", { exact: true }).focus();
    await page.keyboard.type("Alan");
    await page.keyboard.press("Tab");
    await page.keyboard.type("cortado");
    await page.locator("#menu li").first().getByText("Cortado").waitFor();
    // The list can be scrolled and is a stop of its own in some browsers.
    for (let i = 0; i < 3; i++) {
      await page.keyboard.press("Tab");
      if ((await page.evaluate(() => document.activeElement?.getAttribute("aria-label"))) === "One Cortado more") break;
    }
    await page.keyboard.press("Enter");
    await page.getByLabel(/^Note for the kitchen/).focus();
    await page.keyboard.press("Enter");
    await statusOf("Alan", "Confirmed");
  });

  test("it comes back when the server does", async () => {
    await page.getByRole("button", { name: "Open kitchen" }).click();
    await page.getByText("Open as main").waitFor();
    await server.kill();
    await page.getByText("Not connected").waitFor();
    await page.getByText("Interrupted").or(page.getByText("Opening …")).first().waitFor();
    await picture("not-connected");
    await server.run();
    await page.getByText("Connected", { exact: true }).waitFor();
    await page.getByText("Open as main").waitFor();
    await place("Tony", "Lemonade");
    await page.getByRole("button", { name: "Accept Tony’s order" }).click();
    await statusOf("Tony", "Preparing");
  });

  test.each(["light", "dark"] as const)("nothing stands in the way of people, in %s", async (colorScheme) => {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    await page.getByRole("button", { name: "Open kitchen" }).click();
    await page.getByText("Open as main").waitFor();
    await place(`Niklaus ${colorScheme}`, "Cappuccino", "Apple cake");
    await page.getByRole("button", { name: `Accept Niklaus ${colorScheme}’s order` }).click();
    await statusOf(`Niklaus ${colorScheme}`, "Preparing");
    await picture(`page-${colorScheme}`);
    await page.evaluate(axe);
    const violations = await page.evaluate(async () => {
      const { axe } = window as unknown as {
        axe: { run(): Promise<{ violations: { id: string; nodes: { html: string; failureSummary: string }[] }[] }> };
      };
      return (await axe.run()).violations.flatMap(({ id, nodes }) =>
        nodes.map(({ html, failureSummary }) => `${id}: ${html.slice(0, 120)} ${failureSummary}`),
      );
    });
    expect(violations).toEqual([]);
  });

  test("it fits a telephone", async () => {
    await page.setViewportSize({ width: 375, height: 812 });
    await page.locator("#menu").getByText("Americano").waitFor();
    await picture("telephone");
    const [content, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    expect(content).toBeLessThanOrEqual(window ?? 0);
  });
});
