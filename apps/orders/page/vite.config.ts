import { defineConfig } from "vitest/config";

// The page is three files with fixed names, so that the server can name them: index.html, page.js, page.css.
export default defineConfig({
  base: "./",
  // polywire-web is linked, not copied; without this its peers would be bundled a second time.
  resolve: { dedupe: ["@bufbuild/protobuf", "@connectrpc/connect"] },
  build: {
    target: "es2022",
    modulePreload: false,
    assetsInlineLimit: 1 << 20,
    rollupOptions: {
      output: {
        entryFileNames: "page.js",
        assetFileNames: "page[extname]",
        postBanner: "/*! Contains @connectrpc/connect (Apache-2.0) and @bufbuild/protobuf (Apache-2.0 AND BSD-3-Clause). */",
      },
    },
  },
  test: { include: ["tests/**/*.test.ts"], testTimeout: 30_000, hookTimeout: 60_000 },
});
