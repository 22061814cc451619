// Builds two pages from one tree: the viewer at `/` and the console at `/console/`.
// Never bundles for old browsers: Media Source Extensions set the floor anyway.
import { defineConfig } from "vite";

export default defineConfig({
  base: "/",
  build: {
    target: "es2022",
    // Sources stay readable to whoever debugs a live page; the maps are not loaded otherwise.
    sourcemap: false,
    // dash.js is one lazy chunk of about 900 KB that only `?engine=dash` ever loads.
    chunkSizeWarningLimit: 1100,
    rollupOptions: {
      input: { viewer: "index.html", console: "console/index.html" },
    },
  },
  test: { include: ["tests/**/*.test.ts"], environment: "node" },
});
