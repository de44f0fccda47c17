// polywire-web before the real server, in Node and in Chromium.

import { resolve } from "node:path";

import type { Browser, Page } from "playwright-core";
import { build } from "vite";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";

import { CASES, run, WAYS } from "./cases.js";
import { hasChromium, OrderServer, startBrowser } from "./server.js";

const all = Object.keys(WAYS).flatMap((way) => Object.keys(CASES).map((name) => [way, name] as const));

let server: OrderServer;

beforeAll(async () => {
  server = await OrderServer.start();
});

afterAll(async () => {
  await server?.stop();
});

describe("polywire-web in Node", () => {
  test.each(all)("%s: %s", async (way, name) => {
    await run(name, way, { url: server.webSocket, webSocket: WebSocket });
  });
});

describe.runIf(hasChromium)("polywire-web in Chromium", () => {
  let browser: Browser;
  let page: Page;

  beforeAll(async () => {
    const built = await build({
      configFile: false,
      logLevel: "silent",
      resolve: { dedupe: ["@bufbuild/protobuf", "@connectrpc/connect"] },
      build: {
        write: false,
        minify: false,
        lib: { entry: resolve(import.meta.dirname, "cases.ts"), formats: ["iife"], name: "cases" },
      },
    });
    const [first] = Array.isArray(built) ? built : [built];
    if (first === undefined || !("output" in first)) throw new Error("the cases were not built");
    const content = first.output[0].code;
    browser = await startBrowser();
    // Any page of the server's will do: what counts is where it comes from. What it allows to be loaded does not.
    page = await browser.newPage({ bypassCSP: true });
    await page.goto(server.http);
    await page.addScriptTag({ content });
  });

  afterAll(async () => {
    await browser?.close();
  });

  test.each(all)("%s: %s", async (way, name) => {
    const problem = await page.evaluate(
      async ([way, name, url]) => {
        const { cases } = window as unknown as { cases: { run(...of: unknown[]): Promise<void> } };
        try {
          await cases.run(name, way, { url });
          return "";
        } catch (error) {
          return String(error);
        }
      },
      [way, name, server.webSocket] as const,
    );
    expect(problem).toBe("");
  });
});
