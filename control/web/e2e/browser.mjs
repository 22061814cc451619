// Opens Chromium for the page tests, or says in words what is missing.
//
// Exit codes of the scripts here: 0 all well, 1 a check failed, 2 called wrongly, 3 no browser.

import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const EXIT = { ok: 0, failed: 1, usage: 2, noBrowser: 3 };

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--autoplay-policy=no-user-gesture-required",
  "--mute-audio",
];

export class NoBrowser extends Error {}

async function playwright() {
  try {
    return await import("playwright-core");
  } catch (cause) {
    throw new NoBrowser(
      `playwright-core is missing: run "npm ci" in control/web (${cause.message})`,
    );
  }
}

/**
 * Answers `{ context, close }`: a context with a profile directory of its own.
 * `spki` is the base64 SHA-256 of a certificate's public key to trust; without it every certificate is
 * accepted, which suits a demo authority on one machine and nothing else.
 */
export async function openBrowser({
  spki = process.env.NIGHTFILL_SPKI,
  width = 1440,
  height = 810,
} = {}) {
  const executablePath = process.env.NIGHTFILL_CHROMIUM ?? "/usr/bin/chromium";
  const { chromium } = await playwright();
  if (!existsSync(executablePath)) {
    throw new NoBrowser(
      `Chromium is missing at ${executablePath}: install it ("apt-get install chromium") or name another in NIGHTFILL_CHROMIUM`,
    );
  }
  const dir = await mkdtemp(join(tmpdir(), "nightfill-browser-"));
  const args = spki ? [...FLAGS, `--ignore-certificate-errors-spki-list=${spki}`] : FLAGS;
  let context;
  try {
    context = await chromium.launchPersistentContext(dir, {
      executablePath,
      headless: true,
      args,
      viewport: { width, height },
      ignoreHTTPSErrors: !spki,
      timeout: 30_000,
    });
  } catch (cause) {
    await rm(dir, { recursive: true, force: true });
    throw new NoBrowser(`Chromium at ${executablePath} did not start: ${cause.message}`);
  }
  return {
    context,
    async close() {
      await context.close().catch(() => {});
      await rm(dir, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/** Polls until `look` answers something truthy; the error names what was waited for. */
export async function until(what, boundMs, look, everyMs = 100) {
  const end = Date.now() + boundMs;
  for (;;) {
    const seen = await look();
    if (seen) return seen;
    if (Date.now() > end) throw new Error(`waited ${boundMs} ms for ${what}`);
    await new Promise((done) => setTimeout(done, everyMs));
  }
}
