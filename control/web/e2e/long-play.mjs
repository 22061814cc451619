// hls.js as its package ships it plays a film that is longer than its ticket, against a running
// Nightfill, and sets no header: what it knows of fresh tickets it knows from steering.
//
//   NIGHTFILL_URL       the HLS manifest of a play
//   NIGHTFILL_FOR_MS    how much of the film to play
//   NIGHTFILL_SPKI, NIGHTFILL_CHROMIUM   see browser.mjs
//
// Prints one JSON verdict; exit 0 only when the film came so far. Whoever started it judges the rest.

import { EXIT, NoBrowser, openBrowser, until } from "./browser.mjs";
import { FILES, PAGE, start } from "./standard-players.mjs";

const BUFFER_S = 8;
/** Longest the film may stand, beyond its own length. */
const PATIENCE_MS = 60_000;

/** The ticket in the path of an appliance's URL. */
const ticketOf = (url) => url.pathname.match(/^\/t\/([^/]+)\//)?.[1];

async function main() {
  const { NIGHTFILL_URL: url, NIGHTFILL_FOR_MS: forMs } = process.env;
  if (!url || !forMs) {
    console.error("long-play: set NIGHTFILL_URL and NIGHTFILL_FOR_MS");
    return EXIT.usage;
  }
  let browser;
  try {
    browser = await openBrowser();
  } catch (cause) {
    console.error(`long-play: ${cause.message}`);
    return cause instanceof NoBrowser ? EXIT.noBrowser : EXIT.failed;
  }
  const page = await browser.context.newPage();
  const tickets = new Set();
  const refused = [];
  const headers = new Set();
  page.on("response", (response) => {
    const at = new URL(response.url());
    const ticket = ticketOf(at);
    if (!ticket) return;
    if (response.request().headers()["cta-common-access-token"]) headers.add(at.host);
    if (response.status() >= 400) refused.push(`${response.status()} ${at.pathname.slice(-40)}`);
    else if (at.pathname.endsWith(".mp4")) tickets.add(ticket);
  });
  let problem = null;
  try {
    // A page that a test makes up itself counts as a public one, which may not ask loopback hosts.
    await page.goto(`${new URL(url).origin}/healthz`);
    await page.setContent(PAGE);
    await page.addScriptTag({ path: FILES.hls });
    await page.evaluate(start, { player: "hls", url, bufferSeconds: BUFFER_S });
    await until("the film", Number(forMs) + PATIENCE_MS, async () => {
      const now = await page.evaluate(() => ({ ...window.__viewing }));
      if (now.fatal.length) throw new Error(`fatal: ${now.fatal[0]}`);
      return now.positionMs >= Number(forMs);
    });
  } catch (cause) {
    problem = cause.message;
  }
  const seen = await page.evaluate(() => ({ ...window.__viewing })).catch(() => ({}));
  await browser.close();
  const { stalls, fatal, errors, positionMs: position_ms } = seen;
  const verdict = { tickets: tickets.size, refused, headers: headers.size, stalls, fatal, errors };
  console.log(JSON.stringify({ ...verdict, position_ms, problem }));
  return problem ? EXIT.failed : EXIT.ok;
}

process.exitCode = await main();
