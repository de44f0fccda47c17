// What is committed under dist is what the sources give.

import { readdirSync, readFileSync } from "node:fs";
import { resolve } from "node:path";

import { build } from "vite";
import { expect, test, vi } from "vitest";

const page = resolve(import.meta.dirname, "..");

test("the committed page is the one of these sources: otherwise `npm run build` and commit", async () => {
  // The tests' own would make it a build for development.
  vi.stubEnv("NODE_ENV", "production");
  const built = await build({ root: page, logLevel: "silent", build: { write: false } });
  const [first] = Array.isArray(built) ? built : [built];
  if (first === undefined || !("output" in first)) throw new Error("nothing was built");
  const files = new Map(
    first.output.map((file) => [
      file.fileName,
      file.type === "chunk" ? file.code : typeof file.source === "string" ? file.source : Buffer.from(file.source).toString(),
    ]),
  );
  const dist = resolve(page, "dist");
  expect(readdirSync(dist).sort()).toEqual([...files.keys()].sort());
  for (const [name, content] of files) {
    expect(readFileSync(resolve(dist, name), "utf8") === content, `dist/${name} is up to date`).toBe(true);
  }
});
