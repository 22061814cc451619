// Three standard players under steering, against a running Nightfill: each plays a film while its
// appliance is drained, killed, the next one killed, the first one brought back, and a new one added
// that the manifest did not name.
//
//   NIGHTFILL_PLAYS       JSON: [{"player":"hls"|"dash"|"shaka","url":…}], played one after the other
//   NIGHTFILL_HOSTS       JSON: {"host:port":"appliance"}
//   NIGHTFILL_ONLY        one of the players, and not the others
//   NIGHTFILL_STEPS       what happens to each, in this order, instead of all of it: blackout, drain,
//                         kill, return, add; "blackout" is the end of control, and appliances steer on
//   NIGHTFILL_TRACE       print what steering answered
//   NIGHTFILL_SPKI, NIGHTFILL_CHROMIUM   see browser.mjs
//
// Prints {"event":"blackout"|"drain"|"kill"|"return"|"add"|"reset","appliance":…,"current":…} and waits for a line on
// standard input: JSON with the hosts as they are now. A session is not torn from a box that serves it
// well, so with "return" and "add" the current box is to be drained once the other can serve. The last line printed is one JSON verdict; exit 0 only when
// its `ok` is true.

import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { EXIT, NoBrowser, openBrowser, until } from "./browser.mjs";
import { FILES, PAGE, start } from "./standard-players.mjs";

/** What a player has ahead, seconds; the stalls are counted with that and no more. */
const BUFFER_S = 8;
/** How long a player may take to stream from where it should. A crash: the request that failed, or a
 *  buffer. Else what control takes to move sessions without a rush, steering's TTL, and a buffer. */
const MOVED_WITHIN_MS = { kill: 20_000, drain: 55_000, return: 55_000, add: 55_000 };
/** Film shown between two events, so that each meets a player at rest. */
const REST_MS = 2_500;
/** Film shown after the end of control: longer than steering's TTL, so that somebody had to answer. */
const BLACKOUT_MS = 12_000;
const STEPS = ["drain", "kill", "kill", "return", "add"];

class Viewing {
  constructor(page, hosts) {
    this.page = page;
    this.hosts = hosts;
    this.last = null;
    this.path = [];
    /** Steering answers that appliances gave since control ended. */
    this.steered = 0;
    this.isAlone = false;
    page.on("response", (response) => this.note(response));
  }

  note(response) {
    const url = new URL(response.url());
    if (process.env.NIGHTFILL_TRACE && url.pathname.endsWith("/steering")) {
      response.text().then(
        (text) => console.log(`${url.search} ${text}`),
        () => {},
      );
    }
    const isSteering = url.pathname.endsWith("/steering") && response.status() === 200;
    if (isSteering && this.isAlone && this.hosts[url.host]) this.steered += 1;
    if (!url.pathname.endsWith(".mp4") || ![200, 206].includes(response.status())) return;
    const appliance = this.hosts[url.host];
    if (!appliance) return;
    this.last = { appliance, at: Date.now() };
    if (this.path.at(-1) !== appliance) this.path.push(appliance);
  }

  readings() {
    return this.page.evaluate(() => ({ ...window.__viewing }));
  }

  /** Shows `ms` more of the film. */
  async rest(ms) {
    const from = (await this.readings()).positionMs;
    await until(`${ms} ms of film`, ms + 20_000, async () => {
      const now = await this.readings();
      if (now.fatal.length) throw new Error(`fatal: ${now.fatal[0]}`);
      return now.positionMs >= from + ms;
    });
  }

  /** Waits until media comes from where `is` says, and from nowhere else for a moment. */
  async arrives(event, what, is) {
    const asked = Date.now();
    await until(what, MOVED_WITHIN_MS[event], async () => {
      const now = await this.readings();
      if (now.fatal.length) throw new Error(`fatal while waiting for ${what}: ${now.fatal[0]}`);
      return this.last && this.last.at > asked && is(this.last.appliance);
    }).catch(async (cause) => {
      const now = await this.readings();
      throw new Error(
        `${cause.message}; came from ${this.path.join(" > ")}; ${JSON.stringify(now)}`,
      );
    });
    return { appliance: this.last.appliance, ms: Date.now() - asked };
  }
}

async function play(page, { player, url }, hosts, tell, steps) {
  const viewing = new Viewing(page, hosts);
  const verdict = { player, steps: [] };
  await page.evaluate(start, { player, url, bufferSeconds: BUFFER_S });
  await until(`${player} to show a picture`, 20_000, async () => {
    const now = await viewing.readings();
    if (now.fatal.length) throw new Error(`fatal at the start: ${now.fatal[0]}`);
    return now.positionMs > 500;
  });
  const first = viewing.last?.appliance;
  const step = async (event, appliance, what, is) => {
    await viewing.rest(REST_MS);
    const said = await tell({ event, appliance, current: viewing.last.appliance });
    viewing.hosts = said.hosts ?? viewing.hosts;
    const { appliance: now, ms } = await viewing.arrives(event, what, is(said));
    verdict.steps.push({ event, appliance, went_to: now, ms });
  };
  const gone = new Set();
  const leave = async (event) => {
    const { appliance } = viewing.last;
    gone.add(appliance);
    await step(event, appliance, `${player} to leave ${appliance} (${event})`, () => (to) => {
      return !gone.has(to);
    });
  };
  const does = {
    blackout: async () => {
      await viewing.rest(REST_MS);
      await tell({ event: "blackout", appliance: "", current: viewing.last.appliance });
      viewing.isAlone = true;
      await viewing.rest(BLACKOUT_MS);
    },
    drain: () => leave("drain"),
    kill: () => leave("kill"),
    return: () =>
      step("return", first, `${player} to go back to ${first}`, () => (to) => to === first),
    // Shaka Player 5.2 passes over a clone it is given and takes the next pathway that it knows.
    add: async () => {
      if (player === "shaka") return;
      await step("add", first, `${player} to go to the new appliance`, (said) => (to) => {
        return to === said.added;
      });
    },
  };
  for (const name of steps) await does[name]();
  await viewing.rest(REST_MS);
  if (viewing.isAlone && !viewing.steered) throw new Error("no appliance was asked for steering");
  verdict.steered_without_control = viewing.steered;
  const { stalls, stallMs, fatal, positionMs } = await viewing.readings();
  return Object.assign(verdict, { stalls, stall_ms: stallMs, fatal, position_ms: positionMs });
}

/** Says what should happen to the appliances, and hears when it has. */
function teller() {
  const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
  return async (event) => {
    console.log(JSON.stringify(event));
    const { value, done } = await lines.next();
    if (done) throw new Error(`nobody answered ${event.event}`);
    return JSON.parse(value);
  };
}

async function main() {
  const { env } = process;
  if (!env.NIGHTFILL_PLAYS || !env.NIGHTFILL_HOSTS) {
    console.error(
      "players: set NIGHTFILL_PLAYS and NIGHTFILL_HOSTS; the head of the file says how",
    );
    return EXIT.usage;
  }
  let hosts = JSON.parse(env.NIGHTFILL_HOSTS);
  const tell = teller();
  const problems = [];
  const verdicts = [];
  let browser;
  try {
    browser = await openBrowser();
  } catch (cause) {
    console.error(`players: ${cause.message}`);
    return cause instanceof NoBrowser ? EXIT.noBrowser : EXIT.failed;
  }
  const { NIGHTFILL_ONLY: only } = env;
  const steps = env.NIGHTFILL_STEPS?.split(",") ?? STEPS;
  const plays = JSON.parse(env.NIGHTFILL_PLAYS).filter(({ player }) => !only || player === only);
  for (const each of plays) {
    const page = await browser.context.newPage();
    try {
      // A page that a test makes up itself counts as a public one, which may not ask loopback hosts.
      await page.goto(`${new URL(each.url).origin}/healthz`);
      await page.setContent(PAGE);
      await page.addScriptTag({ path: FILES[each.player] });
      const verdict = await play(page, each, hosts, tell, steps);
      verdicts.push(verdict);
      if (verdict.stalls)
        problems.push(`${each.player}: ${verdict.stalls} stalls, ${verdict.stall_ms} ms`);
      if (verdict.fatal.length) problems.push(`${each.player}: ${verdict.fatal[0]}`);
    } catch (cause) {
      problems.push(`${each.player}: ${cause.message}`);
    } finally {
      await page.close();
    }
    if (each !== plays.at(-1)) hosts = (await tell({ event: "reset" })).hosts ?? hosts;
  }
  await browser.close();
  const ok = problems.length === 0 && verdicts.length > 0;
  console.log(JSON.stringify({ players: verdicts, problems, ok }));
  return ok ? EXIT.ok : EXIT.failed;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exit(await main());
