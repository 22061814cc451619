// The quick page test: builds the pages, serves them from the mock, and drives them in Chromium from
// sign-up to failover. Needs ffmpeg and Chromium; starts everything itself on ports of its own choosing.
//
//   node e2e/pages.mjs       NIGHTFILL_SHOTS=dir keeps screenshots, NIGHTFILL_WEB_DIST=dir skips the build

import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { EXIT, NoBrowser, openBrowser, until } from "./browser.mjs";
import { evening, findTitle, readings, signUp, watch } from "./evening.mjs";
import { startMock } from "./mock.mjs";

const WEB = fileURLToPath(new URL("..", import.meta.url));
const WHOLE_MS_MAX = 150_000;

async function buildTo(outDir) {
  const { build } = await import("vite");
  await build({ root: WEB, logLevel: "warn", build: { outDir, emptyOutDir: true } });
}

function expect(what, held, seen) {
  if (!held) throw new Error(`${what}; saw ${JSON.stringify(seen)}`);
}

let passed = 0;

async function step(name, work) {
  const began = Date.now();
  await work();
  passed += 1;
  console.log(`ok   ${name} (${((Date.now() - began) / 1000).toFixed(1)} s)`);
}

/** Waits until control was told that `appliance` met its members with `kind`; the event. */
async function toldOf(mock, appliance, kind, from = 0) {
  const named = (each) => each.appliance === appliance && each.trouble?.kind === kind;
  const event = await until(`control to be told "${kind}" of ${appliance}`, 10_000, () =>
    mock.events.slice(from).find(named),
  );
  expect("the object is one of the film's", mock.isObject(event.trouble.object), event);
  return event;
}

/** The whole evening, with a crash in the middle of the film. */
async function anEvening(mock, shots) {
  const verdict = await evening({
    url: mock.url,
    operatorKey: mock.operatorKey,
    shots,
    search: "holm",
    title: "night-train",
    kill: async (appliance) => mock.kill(appliance),
    firstSeconds: 3,
    thenSeconds: 3,
  });
  console.log(`     ${JSON.stringify(verdict)}`);
  expect("the evening went well", verdict.ok, verdict.problems);
  expect("nothing stalled", verdict.stalls === 0, verdict.stalls);
  const play = mock.events[0].play;
  const told = mock.events.filter((each) => each.play === play);
  const kinds = told.map((each) => each.kind);
  expect("the first event is the start", kinds[0] === "started", kinds);
  for (const kind of ["heartbeat", "switched", "paused", "stopped"]) {
    expect(`a "${kind}" event was sent`, kinds.includes(kind), kinds);
  }
  const bytes = told.reduce((sum, each) => sum + each.bytes, 0);
  const counted = Object.values(verdict.bytes_by_appliance).reduce((sum, each) => sum + each, 0);
  expect("every byte was reported", Math.abs(bytes - counted) < 1, { bytes, counted });
  const moved = told.find((each) => each.kind === "switched");
  expect("the switch names the new appliance", moved.appliance === verdict.appliances[1], moved);
  const dead = await toldOf(mock, verdict.appliances[0], "refused");
  expect("it was told before the switch", mock.events.indexOf(dead) < mock.events.indexOf(moved));
  const timed = told.filter((each) => each.kind === "heartbeat" && each.first_byte_ms >= 0);
  expect("heartbeats say when the first byte came", timed.length > 0, kinds);
  const accused = told.filter((each) => each.trouble && each.appliance !== dead.appliance);
  expect("nobody else is accused", accused.length === 0, accused);
}

/** A power cut: the sockets stay open and nothing comes. Needs the timeouts, not the errors. */
async function aSilentAppliance(mock, page) {
  await page.evaluate(() => window.location.assign("#/watch/salt-and-iron"));
  await page.getByRole("button", { name: "Play" }).click();
  await until("the first frame", 15_000, async () => (await readings(page)).startupMs);
  await watch(page, 1, "before the silence");
  const before = await readings(page);
  mock.freeze(before.appliance);
  const after = await until("another appliance", 20_000, async () => {
    const now = await readings(page);
    return now.appliance && now.appliance !== before.appliance && now;
  });
  expect("silence was not seen", after.stallMs === 0, after);
  await toldOf(mock, before.appliance, "timeout");
  await page.keyboard.press("ArrowRight");
  await watch(page, 1, "after a jump");
}

/** Control disappears while a film runs: the film must not notice, and nothing told may be lost. */
async function withoutControl(mock, page) {
  mock.goAway();
  await watch(page, 3, "without control");
  await page.keyboard.press("k");
  await page.keyboard.press("k");
  const now = await readings(page);
  expect("control was not missed", now.stalls === 0, now);
  const heard = mock.events.length;
  mock.comeBack();
  await until("what was told meanwhile", 10_000, () =>
    mock.events.slice(heard).some((each) => each.kind === "paused"),
  );
}

/** All appliances die and two come back: the buffer carries the picture across. */
async function anOutage(mock, page) {
  await page.evaluate(() => window.location.assign("#/watch/forty-fathoms"));
  await page.getByRole("button", { name: "Play" }).click();
  await until("the first frame", 15_000, async () => (await readings(page)).startupMs);
  await until("some buffer", 10_000, async () => (await readings(page)).bufferMs > 15_000);
  const here = mock.alive();
  for (const id of here) mock.kill(id);
  await until("the player to notice", 10_000, async () => (await readings(page)).trouble !== "");
  const before = await readings(page);
  for (const id of ["edge-a1", "edge-b1"]) await mock.revive(id);
  const after = await until("bytes again", 15_000, async () => {
    const now = await readings(page);
    const sum = (each) => Object.values(each.bytesByAppliance).reduce((all, one) => all + one, 0);
    return sum(now) > sum(before) && now;
  });
  expect("the outage was not seen", after.stallMs === 0 && after.state === "playing", after);
}

/** Nobody answers the press: the page says so, and goes on by itself when somebody does. */
async function nobodyThere(mock, page) {
  for (const id of mock.alive()) mock.kill(id);
  await page.evaluate(() => window.location.assign("#/watch/winter-signal"));
  await page.getByRole("button", { name: "Play" }).click();
  await page.locator(".hold").waitFor({ timeout: 30_000 });
  for (const id of ["edge-a1", "edge-b1"]) await mock.revive(id);
  await until("the first frame", 20_000, async () => (await readings(page)).startupMs);
  await page.locator(".hold").waitFor({ state: "detached", timeout: 5_000 });
}

/** An appliance without the objects control believes in, then a late one: only players can tell. */
async function anUnwellAppliance(mock, page) {
  await page.evaluate(() => window.location.assign("#/watch/paper-moons"));
  await page.getByRole("button", { name: "Play" }).click();
  await until("the first frame", 15_000, async () => (await readings(page)).startupMs);
  const before = await readings(page);
  const from = mock.events.length;
  mock.forget(before.appliance);
  await toldOf(mock, before.appliance, "not_found", from);
  const after = await until("another appliance", 15_000, async () => {
    const now = await readings(page);
    return now.appliance && now.appliance !== before.appliance && now;
  });
  expect("the 404s were not seen", after.stallMs === 0, after);
  mock.forget(before.appliance, false);
  mock.delay(after.appliance, 700);
  await until("control to be told how late it is", 15_000, () =>
    mock.events.find((each) => each.appliance === after.appliance && each.first_byte_ms >= 700),
  );
  mock.delay(after.appliance, 0);
}

/** The same through dash.js, on what is left of the fleet. */
async function byDash(mock, page) {
  await page.evaluate(() => {
    window.localStorage.setItem("nightfill-engine", "dash");
    window.location.assign("#/watch/low-tide");
  });
  await page.getByRole("button", { name: "Play" }).click();
  await until("the first DASH frame", 15_000, async () => (await readings(page)).startupMs);
  await watch(page, 1, "through dash.js");
  const before = await readings(page);
  const from = mock.events.length;
  mock.kill(before.appliance);
  await toldOf(mock, before.appliance, "refused", from);
  const now = await until("another appliance", 15_000, async () => {
    const seen = await readings(page);
    return seen.appliance && seen.appliance !== before.appliance && seen;
  });
  expect("dash.js played it", now.engine === "dash" && now.stalls === 0, now);
  expect("bytes are told by appliance", Object.keys(now.bytesByAppliance).length > 0, now);
  await page.evaluate(() => window.localStorage.removeItem("nightfill-engine"));
  expect("start events came", mock.events.filter((each) => each.kind === "started").length >= 3);
}

/** Addresses of films that are gone say so, and tabs are named. */
async function addresses(page) {
  for (const hash of ["#/title/no-such-film", "#/watch/no-such-film"]) {
    await page.evaluate((next) => window.location.assign(next), hash);
    const alert = page.getByRole("alert");
    await alert.waitFor({ timeout: 5_000 });
    await alert.getByRole("link", { name: "Home" }).waitFor({ timeout: 5_000 });
    await page.evaluate(() => window.location.assign("#/"));
    await alert.waitFor({ state: "detached", timeout: 5_000 });
  }
  await page.evaluate(() => window.location.assign("#/title/winter-signal"));
  const name = await page.locator(".marquee.tall h1").textContent();
  const named = async () => (await page.title()).startsWith(`${name} – `);
  await until("the tab to be named after the film", 5_000, named);
}

async function theDoor(page, url) {
  await page.getByRole("button", { name: /open menu/ }).click();
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByLabel("Email").fill("nobody@example.org");
  await page.getByLabel("Password").fill("not the password");
  await page.getByRole("button", { name: "Sign in" }).click();
  const alert = page.getByRole("alert");
  await alert.waitFor({ timeout: 5_000 });
  const words = await alert.textContent();
  expect("a wrong password is refused in words", /do not match/.test(words), words);
  const complaints = [];
  page.on("console", (said) => said.type() === "error" && complaints.push(said.text()));
  await page.reload();
  await page.getByRole("button", { name: "Sign in" }).waitFor({ timeout: 5_000 });
  expect("who is nobody asks for no session", complaints.length === 0, complaints);
  page.removeAllListeners("console");
  expect("signing out survives a reload", page.url().startsWith(url), page.url());
}

async function profiles(page) {
  await page.getByRole("button", { name: /open menu/ }).click();
  await page.getByRole("link", { name: "Switch profile" }).click();
  await page.getByRole("button", { name: "Add profile" }).click();
  await page.getByLabel("Name of the new profile").fill("Kim");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("button", { name: "Kim" }).click();
  await page.locator(".row .card").first().waitFor({ timeout: 5_000 });
  const begun = await page.locator('.row[data-kind="continue_watching"]').count();
  expect("a new profile has begun nothing", begun === 0, begun);
}

async function atPhoneWidth(page, shot) {
  await page.setViewportSize({ width: 390, height: 844 });
  for (const [name, hash] of [
    ["home", "#/"],
    ["title", "#/title/winter-signal"],
    ["account", "#/account"],
    ["player", "#/watch/winter-signal"],
  ]) {
    await page.evaluate((next) => window.location.assign(next), hash);
    await page.waitForTimeout(700);
    const { wide, unnamed } = await page.evaluate(() => ({
      wide: document.documentElement.scrollWidth - window.innerWidth,
      unnamed: [...document.querySelectorAll("button:not([aria-hidden]), a[href], input")].filter(
        (each) => !(each.ariaLabel || each.textContent?.trim() || each.labels?.length),
      ).length,
    }));
    expect(`${name} fits a phone`, wide <= 0, wide);
    expect(`every control of ${name} has a name`, unnamed === 0, unnamed);
    await shot(`phone-${name}`);
  }
  await page.setViewportSize({ width: 1440, height: 810 });
}

async function theDesk(mock, page, shot) {
  await page.goto(`${mock.url}/console/`);
  await page.getByLabel("Operator key").fill("wrong");
  await page.getByRole("button", { name: "Open the console" }).click();
  await page.getByRole("alert").waitFor({ timeout: 5_000 });
  await page.getByLabel("Operator key").fill(mock.operatorKey);
  await page.getByRole("button", { name: "Open the console" }).click();
  await page.getByRole("link", { name: "appliances" }).click();
  await page.getByRole("button", { name: "Drain edge-b1", exact: true }).click();
  await page.getByRole("button", { name: "Undrain edge-b1" }).waitFor({ timeout: 5_000 });
  expect("the drain reached control", mock.drained.has("edge-b1"), [...mock.drained]);
  await page.getByRole("link", { name: "windows" }).click();
  await page.getByLabel("Name", { exact: true }).fill("tonight");
  await page.getByLabel("Mb/s, each").fill("600");
  await page.getByRole("button", { name: "Open", exact: true }).click();
  await page.getByRole("button", { name: "Close tonight" }).waitFor({ timeout: 5_000 });
  const [window] = mock.windows;
  expect(
    "the window is as typed",
    window.rate_bps_max === 6e8 && window.scope === "everyone",
    window,
  );
  await shot("console-windows");
  await page.getByRole("button", { name: "Close tonight" }).click();
  await until("the window to close", 5_000, () => mock.windows[0].closed);
  for (const tab of ["live", "sites", "titles"]) {
    await page.getByRole("link", { name: tab }).click();
    await page.locator(".panel").first().waitFor({ timeout: 5_000 });
    await page.waitForTimeout(300);
    await shot(`console-${tab}`);
  }
}

async function main() {
  const shots = process.env.NIGHTFILL_SHOTS;
  const work = await mkdtemp(join(tmpdir(), "nightfill-web-"));
  if (shots) await mkdir(shots, { recursive: true });
  let mock;
  let browser;
  try {
    const dist = process.env.NIGHTFILL_WEB_DIST ?? join(work, "dist");
    await step("build, and a mock beside it", async () => {
      const built = process.env.NIGHTFILL_WEB_DIST ? undefined : buildTo(dist);
      mock = await startMock({ dist });
      await built;
    });
    await step("an evening, with a crash", () => anEvening(mock, shots));
    browser = await openBrowser();
    const page = browser.context.pages()[0];
    page.setDefaultTimeout(10_000);
    const thrown = [];
    page.on("pageerror", (error) => thrown.push(error.message));
    const shot = async (name) => {
      if (shots) await page.screenshot({ path: join(shots, `${name}.png`) });
    };
    await step("sign-up and search", async () => {
      await signUp(page, mock.url, async () => {});
      await findTitle(page, { title: "winter-signal", search: "vogt", shot: async () => {} });
    });
    await step("an appliance falls silent", () => aSilentAppliance(mock, page));
    await step("control gone for a while", () => withoutControl(mock, page));
    await step("all appliances gone for a while", () => anOutage(mock, page));
    await step("nobody answers the press", () => nobodyThere(mock, page));
    await step("an appliance answers 404, another late", () => anUnwellAppliance(mock, page));
    await step("DASH, and its first appliance dead", () => byDash(mock, page));
    await step("phone width and names", () => atPhoneWidth(page, shot));
    await step("profiles", async () => {
      await page.goto(`${mock.url}/#/`);
      await profiles(page);
    });
    await step("addresses and names", () => addresses(page));
    await step("the door", () => theDoor(page, mock.url));
    await step("the desk", () => theDesk(mock, page, shot));
    expect("no page threw", thrown.length === 0, thrown);
    expect("every event was as the wire wants it", mock.refused.length === 0, mock.refused);
    return EXIT.ok;
  } catch (cause) {
    console.error(`FAILED ${cause.message}`);
    return cause instanceof NoBrowser ? EXIT.noBrowser : EXIT.failed;
  } finally {
    await browser?.close();
    await mock?.close();
    await rm(work, { recursive: true, force: true });
  }
}

setTimeout(() => {
  console.error(`FAILED the whole test took more than ${WHOLE_MS_MAX} ms`);
  process.exit(EXIT.failed);
}, WHOLE_MS_MAX).unref();
const began = Date.now();
const code = await main();
console.log(
  `${code === EXIT.ok ? "pages: ok" : "pages: failed"} in ${Math.round((Date.now() - began) / 1000)} s`,
);
console.log(`${passed} passed, ${code === EXIT.ok ? 0 : 1} failed`);
process.exit(code);
