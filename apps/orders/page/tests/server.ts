// Starts the order system for a test, and the browser.

import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

import { chromium } from "playwright-core";
import type { Browser } from "playwright-core";

/** The server's program: `ORDERS_PROGRAM`, or what `cargo build --release` has left. */
export const PROGRAM = process.env["ORDERS_PROGRAM"] ?? resolve(import.meta.dirname, "../../../../target/release/orders");

/** Where pictures go. */
export const PICTURES = process.env["PICTURES"] ?? resolve(import.meta.dirname, "../../../../target/page");

const CHROMIUM = process.env["CHROMIUM"] ?? "/usr/bin/chromium";
export const hasChromium = existsSync(CHROMIUM);

/** A running order system with a database of its own, which outlives a restart. */
export class OrderServer {
  readonly port: number;
  readonly #data = mkdtempSync(join(tmpdir(), "orders-page-"));
  #process: ChildProcess | undefined;

  static async start(): Promise<OrderServer> {
    const server = new OrderServer(await freePort());
    await server.run();
    return server;
  }

  private constructor(port: number) {
    this.port = port;
  }

  get http(): string {
    return `http://127.0.0.1:${this.port}/`;
  }

  get webSocket(): string {
    return `ws://127.0.0.1:${this.port}/`;
  }

  async run(): Promise<void> {
    if (!existsSync(PROGRAM)) {
      throw new Error(`${PROGRAM} is missing: cargo build --release -p orders, or name it in ORDERS_PROGRAM`);
    }
    const child = spawn(PROGRAM, ["--listen", `127.0.0.1:${this.port}`, "--data", this.#data]);
    this.#process = child;
    let log = "";
    await new Promise<void>((resolve, reject) => {
      const hear = (chunk: Buffer) => {
        log += chunk.toString();
        if (log.includes("listening on")) resolve();
      };
      child.stdout.on("data", hear);
      child.stderr.on("data", hear);
      child.on("error", reject);
      child.on("exit", (code) => reject(new Error(`the order system ended with ${code}:\n${log}`)));
    });
  }

  /** Pulls the plug. */
  async kill(): Promise<void> {
    const child = this.#process;
    if (child === undefined || child.exitCode !== null) return;
    const gone = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await gone;
  }

  async stop(): Promise<void> {
    await this.kill();
    rmSync(this.#data, { recursive: true, force: true });
  }
}

export function startBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: CHROMIUM,
    // Nothing leaves this machine: without these it looks for its maker at each start.
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      const { port } = probe.address() as AddressInfo;
      probe.close(() => resolve(port));
    });
  });
}
