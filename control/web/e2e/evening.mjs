// One member's evening in a real browser, against a running Nightfill: sign up, browse, search, watch,
// lose the appliance in the middle of the film, pause, come back, and look at the operator's console.
//
//   NIGHTFILL_URL            where control serves the pages (required)
//   NIGHTFILL_OPERATOR_KEY   for the console (required)
//   NIGHTFILL_SHOTS          directory for screenshots; none are taken without it
//   NIGHTFILL_TITLE          title id to play; the first of the home page unless told
//   NIGHTFILL_SEARCH         what to type into the search box; the title's name unless told
//   NIGHTFILL_ENGINE         hls (default) or dash
//   NIGHTFILL_SPKI, NIGHTFILL_CHROMIUM                    see browser.mjs
//   NIGHTFILL_STARTUP_MS_MAX (2000), NIGHTFILL_STALL_MS_MAX (500)   what counts as a problem
//
// Prints {"event":"kill","appliance":…} when the appliance should die and waits for the line `killed` on
// standard input. The last line printed is one JSON verdict; exit 0 only when its `ok` is true.

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { EXIT, NoBrowser, openBrowser, until } from "./browser.mjs";

const CLICK_MS = 10_000;

/** `window.__nightfill`, as the player publishes it. */
export const readings = (page) => page.evaluate(() => ({ ...window.__nightfill }));

export async function signUp(page, url, shot) {
  await page.goto(url, { timeout: 20_000 });
  await page.getByRole("button", { name: "Sign up" }).click({ timeout: CLICK_MS });
  await shot("01-sign-up");
  const email = `evening-${Date.now()}-${Math.floor(Math.random() * 1e6)}@example.org`;
  const password = "a long enough password";
  await page.getByLabel("Your name").fill("Robin");
  await page.getByLabel("Email").fill(email);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Create account" }).click();
  await page.locator(".row .card").first().waitFor({ timeout: 15_000 });
  return { email, password };
}

export async function findTitle(page, { title, search, shot }) {
  const first = page.locator(".row .card").first();
  const id = title || (await first.getAttribute("data-title", { timeout: CLICK_MS }));
  const named = page.locator(`.card[data-title="${id}"] .card-name`).first();
  const query =
    search || (await named.textContent({ timeout: 3_000 }).catch(() => id.replaceAll("-", " ")));
  await page.getByRole("searchbox").pressSequentially(query, { delay: 25 });
  const hit = page.locator(`.found .card[data-title="${id}"]`);
  await hit.waitFor({ timeout: 10_000 }).catch(() => {
    throw new Error(`waited 10000 ms for "${id}" among the answers to "${query}"`);
  });
  await shot("03-search");
  await hit.click();
  await page.getByRole("heading", { level: 1 }).waitFor({ timeout: CLICK_MS });
  await page.locator(".marquee .actions .button.lamp").waitFor({ timeout: CLICK_MS });
  await settle(page, shot);
  await shot("04-title");
  return id;
}

/** Lets pictures and fades arrive, so that a screenshot shows what a member sees. */
async function settle(page, shot) {
  if (!shot.kept) return;
  await page
    .waitForFunction(() => [...document.images].every((image) => image.complete), null, {
      timeout: 5_000,
    })
    .catch(() => {});
  await page.waitForTimeout(600);
}

/** Plays on until `seconds` more of the film have been shown. */
export async function watch(page, seconds, what) {
  const from = (await readings(page)).positionMs;
  await until(`${seconds} s of film ${what}`, seconds * 1000 + 25_000, async () => {
    const now = await readings(page);
    if (now.state === "failed") throw new Error(`the player gave up ${what}: ${now.trouble}`);
    return now.positionMs - from >= seconds * 1000 || now.state === "ended";
  });
}

export async function evening(options) {
  const {
    url,
    operatorKey,
    shots,
    engine = "hls",
    kill,
    firstSeconds = 20,
    thenSeconds = 15,
  } = options;
  const { context, close } = await openBrowser(options.browser);
  const problems = [];
  const verdict = { played_seconds: 0, startup_ms: null, stalls: 0, stall_ms: 0, failover: false };
  Object.assign(verdict, {
    resumed_at: null,
    paused_at: null,
    appliances: [],
    bytes_by_appliance: {},
  });
  const page = context.pages()[0] ?? (await context.newPage());
  page.setDefaultTimeout(CLICK_MS);
  page.on("pageerror", (error) => problems.push(`the page threw: ${error.message}`));
  const shot = async (name) => {
    if (shots) await page.screenshot({ path: join(shots, `${name}.png`), timeout: 15_000 });
  };
  shot.kept = Boolean(shots);
  try {
    if (shots) await mkdir(shots, { recursive: true });
    await signUp(page, engine === "dash" ? `${url}/?engine=dash` : url, shot);
    await settle(page, shot);
    await shot("02-home");
    const title = await findTitle(page, { ...options, shot });
    await film(page, { title, kill, firstSeconds, thenSeconds, shot, verdict, problems });
    await comeBack(page, { shot, verdict, problems });
    await atHome(page, { url, title, shot });
    await atTheDesk(page, { url, operatorKey, shot });
  } catch (cause) {
    problems.push(cause.message.split("\n")[0]);
    await shot("99-problem").catch(() => {});
  } finally {
    await close();
  }
  judge(verdict, problems, options);
  return { ...verdict, ok: problems.length === 0, problems };
}

async function film(page, { kill, firstSeconds, thenSeconds, shot, verdict, problems }) {
  await page.locator(".marquee .actions .button.lamp").click();
  await until("the first frame", 20_000, async () => {
    const now = await readings(page);
    if (now.state === "failed") throw new Error(`the player could not start: ${now.trouble}`);
    return now.startupMs !== null && now.startupMs !== undefined;
  });
  await watch(page, firstSeconds / 2, "before the kill");
  await page.keyboard.press("i");
  await page.mouse.move(700, 400);
  if (shot.kept) await page.waitForTimeout(400);
  await shot("05-playing");
  await watch(page, firstSeconds / 2, "before the kill");
  const before = await readings(page);
  verdict.appliances.push(before.appliance);
  await kill(before.appliance);
  await watch(page, thenSeconds, "after the kill");
  await until("another appliance to take over", 15_000, async () => {
    const now = await readings(page);
    return now.appliance !== before.appliance && now.switches > 0;
  }).catch((cause) => problems.push(cause.message));
  await page.mouse.move(720, 420);
  if (shot.kept) await page.waitForTimeout(400);
  await shot("06-after-failover");
  await page.keyboard.press("k");
  const after = await until("the pause", 5_000, async () => {
    const now = await readings(page);
    return now.state === "paused" && now;
  });
  verdict.appliances.push(after.appliance);
  verdict.failover = after.appliance !== before.appliance;
  verdict.startup_ms = after.startupMs;
  verdict.stalls = after.stalls;
  verdict.stall_ms = after.stallMs;
  verdict.played_seconds = Math.round(after.watchedMs / 100) / 10;
  verdict.bytes_by_appliance = after.bytesByAppliance;
  verdict.paused_at = after.positionMs / 1000;
  // The report of the pause is on its way; a member who closes the laptop is not that quick either.
  await page.waitForTimeout(700);
}

async function comeBack(page, { shot, verdict, problems }) {
  await page.reload({ timeout: 20_000 });
  const resume = page.getByRole("button", { name: "Resume" });
  await resume.waitFor({ timeout: 15_000 }).catch(() => {
    throw new Error("waited 15000 ms for the Resume button after the reload");
  });
  await settle(page, shot);
  await shot("07-resume");
  await resume.click();
  const now = await until("the picture after the reload", 20_000, async () => {
    const seen = await readings(page);
    return seen.startupMs !== null && seen.startupMs !== undefined && seen;
  });
  verdict.resumed_at = now.positionMs / 1000;
  if (Math.abs(verdict.resumed_at - verdict.paused_at) > 3) {
    problems.push(`resumed at ${verdict.resumed_at} s, paused at ${verdict.paused_at} s`);
  }
  await watch(page, 2, "after the reload");
}

async function atHome(page, { url, title, shot }) {
  await page.goto(`${url}/#/`);
  const begun = page.locator(`.row[data-kind="continue_watching"] .card[data-title="${title}"]`);
  await until("the title in the row Continue watching", 15_000, async () => {
    if (await begun.count()) return true;
    await page.reload({ timeout: 20_000 });
    await page.locator(".row .card").first().waitFor({ timeout: 15_000 });
    return (await begun.count()) > 0;
  });
  await begun.locator(".progress").waitFor({ timeout: 5_000 });
  await begun.scrollIntoViewIfNeeded();
  await settle(page, shot);
  await shot("08-continue-watching");
}

async function atTheDesk(page, { url, operatorKey, shot }) {
  await page.goto(`${url}/console/`, { timeout: 20_000 });
  await page.getByLabel("Operator key").fill(operatorKey);
  await page.getByRole("button", { name: "Open the console" }).click();
  await page.getByRole("region", { name: "Offload" }).waitFor({ timeout: 15_000 });
  // Two polls make the first stroke of a spark line.
  if (shot.kept) await page.waitForTimeout(2_500);
  await shot("09-console-overview");
  await page.getByRole("link", { name: "appliances" }).click();
  await page.locator("tr[data-appliance]").first().waitFor({ timeout: CLICK_MS });
  await shot("10-console-appliances");
  await page.getByRole("link", { name: "fill" }).click();
  await page.getByRole("heading", { name: "Fill" }).waitFor({ timeout: CLICK_MS });
  if (shot.kept) await page.waitForTimeout(300);
  await shot("11-console-fill");
}

function judge(verdict, problems, { startupMsMax = 2_000, stallMsMax = 500 }) {
  if (verdict.startup_ms === null) return;
  if (!verdict.failover) problems.push("the appliance did not change after the kill");
  if (verdict.startup_ms > startupMsMax) {
    problems.push(`start-up took ${verdict.startup_ms} ms, more than ${startupMsMax}`);
  }
  if (verdict.stall_ms > stallMsMax) {
    problems.push(`stalled for ${verdict.stall_ms} ms, more than ${stallMsMax}`);
  }
}

/** Asks whoever started us to kill the appliance, and waits until they say it is done. */
function askToKill(boundMs = 60_000) {
  const lines = createInterface({ input: process.stdin });
  return (appliance) =>
    new Promise((done, fail) => {
      const late = setTimeout(
        () => fail(new Error(`waited ${boundMs} ms for the line "killed"`)),
        boundMs,
      );
      lines.on("line", (line) => {
        if (line.trim() !== "killed") return;
        clearTimeout(late);
        lines.close();
        done();
      });
      console.log(JSON.stringify({ event: "kill", appliance }));
    });
}

async function main() {
  const { env } = process;
  const missing = ["NIGHTFILL_URL", "NIGHTFILL_OPERATOR_KEY"].filter((name) => !env[name]);
  if (missing.length) {
    console.error(
      `evening: set ${missing.join(" and ")}; the head of e2e/evening.mjs lists the rest`,
    );
    return EXIT.usage;
  }
  try {
    const verdict = await evening({
      url: env.NIGHTFILL_URL.replace(/\/$/, ""),
      operatorKey: env.NIGHTFILL_OPERATOR_KEY,
      shots: env.NIGHTFILL_SHOTS,
      title: env.NIGHTFILL_TITLE,
      search: env.NIGHTFILL_SEARCH,
      engine: env.NIGHTFILL_ENGINE || "hls",
      startupMsMax: Number(env.NIGHTFILL_STARTUP_MS_MAX || 2_000),
      stallMsMax: Number(env.NIGHTFILL_STALL_MS_MAX || 500),
      kill: askToKill(),
    });
    console.log(JSON.stringify(verdict));
    return verdict.ok ? EXIT.ok : EXIT.failed;
  } catch (cause) {
    console.error(`evening: ${cause.message}`);
    const ok = { ok: false, problems: [cause.message] };
    console.log(JSON.stringify(ok));
    return cause instanceof NoBrowser ? EXIT.noBrowser : EXIT.failed;
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exit(await main());
