// A small stand-in for `control` and three appliances: real answers of the right shape, kept in memory.
// It exists to exercise the pages without the rest of the system; it decides nothing a real one would.
//
//   node e2e/mock.mjs [--port N]     serves `dist/` beside it until interrupted

import { randomBytes, randomUUID } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { startAppliance } from "./appliances.mjs";
import { CATALOG } from "./catalog.mjs";
import { dashManifest, hlsManifest } from "./manifests.mjs";
import { makeMedia, TITLE_SECONDS } from "./media.mjs";
import { isSilent, OPERATOR_KEY, operatorRoute } from "./mock-operator.mjs";
import { Refusal } from "./refusal.mjs";

const APPLIANCES = ["edge-a1", "edge-a2", "edge-b1"];
const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".woff2": "font/woff2",
};

export async function startMock({ dist, port = 0 }) {
  const dir = await mkdtemp(join(tmpdir(), "nightfill-pages-"));
  const media = await makeMedia(dir, CATALOG.length);
  const appliances = await Promise.all(APPLIANCES.map((id) => startAppliance(id, media.objects)));
  const world = newWorld(media, appliances, dist);
  const server = createServer((request, response) => {
    if (world.away) request.socket.destroy();
    else void serve(world, request, response);
  });
  await new Promise((done) => server.listen(port, "127.0.0.1", done));
  world.origin = `http://127.0.0.1:${server.address().port}`;
  const named = (id) => appliances.find((each) => each.id === id);
  return {
    url: world.origin,
    operatorKey: OPERATOR_KEY,
    /** Every play event received, in order, with the play's id. */
    events: world.events,
    /** Why events were refused; a page that is right leaves this empty. */
    refused: world.refused,
    windows: world.windows,
    drained: world.drained,
    kill: (id) => named(id).kill(),
    freeze: (id) => named(id).freeze(),
    /** It answers 404 to everything until told otherwise. */
    forget: (id, now) => named(id).forget(now),
    delay: (id, ms) => named(id).delay(ms),
    /** Whether any appliance could hold an object of that name. */
    isObject: (name) => media.objects.has(name),
    revive: (id) => named(id).revive(),
    /** Control gone: connections are refused in the middle of whatever they were doing. */
    goAway() {
      world.away = true;
      server.closeAllConnections();
    },
    comeBack() {
      world.away = false;
    },
    alive: () => appliances.filter((each) => each.diedAt === null).map((each) => each.id),
    async close() {
      for (const each of appliances) each.kill();
      server.close();
      server.closeAllConnections();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

function newWorld(media, appliances, dist) {
  const posters = [...media.posters.keys()];
  const titles = CATALOG.map((each, i) => ({
    ...each,
    artwork: each.bare ? [] : [posters[i], posters[(i + 3) % posters.length]],
    duration_ms: TITLE_SECONDS * 1000,
  }));
  return {
    media,
    appliances,
    dist,
    titles,
    origin: "",
    away: false,
    accounts: new Map(),
    tokens: new Map(),
    cookies: new Map(),
    positions: new Map(),
    plays: new Map(),
    events: [],
    refused: [],
    windows: [],
    drained: new Set(),
    startups: [],
    fillBegan: Date.now(),
  };
}

async function serve(world, request, response) {
  try {
    const url = new URL(request.url, world.origin);
    const body = await readBody(request);
    const answer = await route(world, request, url, body);
    const head = { "x-request-id": randomUUID(), ...answer.head };
    if (answer.json !== undefined) {
      response.writeHead(answer.status ?? 200, { ...head, "content-type": "application/json" });
      response.end(JSON.stringify(answer.json));
    } else {
      response.writeHead(answer.status ?? 200, head).end(answer.bytes);
    }
  } catch (cause) {
    const status = cause.status ?? 500;
    const request_id = randomUUID();
    response.writeHead(status, { "content-type": "application/json", "x-request-id": request_id });
    response.end(
      JSON.stringify({ error: cause.error ?? "internal", message: cause.message, request_id }),
    );
  }
}

async function readBody(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  const text = Buffer.concat(parts).toString();
  return text ? JSON.parse(text) : undefined;
}

async function route(world, request, url, body) {
  const path = url.pathname;
  const verb = `${request.method} ${path}`;
  if (path.startsWith("/v1/operator/")) return operatorRoute(world, request, url, body);
  if (path.startsWith("/v1/plays/")) return playRoute(world, verb, path, body);
  if (path.startsWith("/v1/artwork/")) {
    const bytes = world.media.posters.get(path.slice("/v1/artwork/".length));
    if (!bytes) throw new Refusal(404, "not_found", "No such artwork.");
    return { bytes, head: { "content-type": "image/jpeg", "cache-control": "max-age=31536000" } };
  }
  if (path.startsWith("/v1/")) return memberRoute(world, request, url, body, verb);
  return page(world, path);
}

async function page(world, path) {
  const inside = normalize(path.endsWith("/") ? `${path}index.html` : path);
  if (inside.includes("..")) throw new Refusal(404, "not_found", "No such page.");
  try {
    const bytes = await readFile(join(world.dist, inside));
    return {
      bytes,
      head: { "content-type": TYPES[extname(inside)] ?? "application/octet-stream" },
    };
  } catch {
    throw new Refusal(404, "not_found", `No such page: ${path}.`);
  }
}

// Sessions: the access token goes in the answer, the refresh token in a cookie and once only.

function open(world, account) {
  const token = randomBytes(18).toString("base64url");
  const cookie = randomBytes(18).toString("base64url");
  world.tokens.set(token, account.id);
  world.cookies.set(cookie, account.id);
  const { password: _, ...shown } = account;
  return {
    json: {
      account: shown,
      access_token: token,
      access_expires_at: Date.now() + 15 * 60_000,
      refresh_token: cookie,
      refresh_expires_at: Date.now() + 86_400_000,
    },
    head: { "set-cookie": `nf_refresh=${cookie}; HttpOnly; SameSite=Strict; Path=/v1/sessions` },
  };
}

function sessionRoute(world, request, body, verb) {
  const byEmail = (email) =>
    [...world.accounts.values()].find((each) => each.email === email.toLowerCase());
  switch (verb) {
    case "POST /v1/accounts": {
      if (byEmail(body.email))
        throw new Refusal(409, "conflict", "That email has an account: sign in.");
      const account = {
        id: randomUUID(),
        email: body.email.toLowerCase(),
        password: body.password,
        profiles: [{ id: randomUUID(), name: body.profile_name }],
        plan: "standard",
        created_at: Date.now(),
      };
      world.accounts.set(account.id, account);
      return { ...open(world, account), status: 201 };
    }
    case "POST /v1/sessions": {
      const account = byEmail(body.email);
      if (account?.password !== body.password) {
        throw new Refusal(401, "unauthenticated", "Email and password do not match.");
      }
      return { ...open(world, account), status: 201 };
    }
    case "POST /v1/sessions/refresh": {
      const cookie = /nf_refresh=([\w-]+)/.exec(request.headers.cookie ?? "")?.[1];
      const account = world.accounts.get(world.cookies.get(cookie));
      if (!account) throw new Refusal(401, "unauthenticated", "No session.");
      world.cookies.delete(cookie);
      return open(world, account);
    }
    default:
      return null;
  }
}

function memberRoute(world, request, url, body, verb) {
  const session = sessionRoute(world, request, body, verb);
  if (session) return session;
  if (verb === "GET /v1/plans") return { json: PLANS };
  const token = (request.headers.authorization ?? "").replace(/^Bearer /, "");
  const account = world.accounts.get(world.tokens.get(token));
  if (!account) throw new Refusal(401, "unauthenticated", "Sign in first.");
  const profile = url.searchParams.get("profile") ?? "";
  if (verb === "DELETE /v1/sessions/current") {
    world.tokens.delete(token);
    for (const [cookie, id] of world.cookies) if (id === account.id) world.cookies.delete(cookie);
    return { status: 204 };
  }
  if (verb === "PUT /v1/account/plan") {
    account.plan = body.plan;
    return { json: { ...account, password: undefined } };
  }
  if (verb === "POST /v1/profiles") {
    const made = { id: randomUUID(), name: body.name };
    account.profiles.push(made);
    return { status: 201, json: made };
  }
  const home = /^GET \/v1\/profiles\/([\w-]+)\/home$/.exec(verb);
  if (home) return { json: homeOf(world, home[1]) };
  const title = /^GET \/v1\/titles\/([a-z0-9-]+)$/.exec(verb);
  if (title) return { json: titlePage(world, title[1], profile) };
  if (verb === "GET /v1/search")
    return { json: searchFor(world, url.searchParams.get("q"), profile) };
  if (verb === "POST /v1/plays") return pressPlay(world, body);
  throw new Refusal(404, "not_found", `No such route: ${verb}.`);
}

const PLANS = [
  ["basic", 1, 480, 499],
  ["standard", 2, 1080, 899],
  ["premium", 4, 2160, 1299],
].map(([name, streams_max, height_max, price_cents]) => ({
  name,
  streams_max,
  height_max,
  price_cents,
  currency: "EUR",
}));

function card(world, title, profile) {
  return {
    id: title.id,
    name: title.name,
    year: title.year,
    duration_ms: title.duration_ms,
    genres: title.genres,
    artwork: title.artwork[0] ?? null,
    position_ms: world.positions.get(`${profile} ${title.id}`) ?? null,
  };
}

function homeOf(world, profile) {
  const all = world.titles.map((title) => card(world, title, profile));
  const begun = all.filter((each) => each.position_ms !== null);
  const rows = [
    ["continue_watching", "Continue watching", begun],
    [
      "because_you_watched",
      `Because you watched ${begun[0]?.name}`,
      begun.length ? all.slice(2, 8) : [],
    ],
    ["trending", "Trending now", all.slice(0, 7)],
    ["top_picks", "Top picks for you", [...all].reverse().slice(0, 7)],
    ["new_here", "New here", all.slice(3)],
  ];
  return {
    rows: rows
      .filter(([, , titles]) => titles.length > 0)
      .map(([kind, heading, titles]) => ({ kind, heading, titles })),
  };
}

function titlePage(world, id, profile) {
  const title = world.titles.find((each) => each.id === id);
  if (!title) throw new Refusal(404, "not_found", `No title named ${id}.`);
  return {
    card: card(world, title, profile),
    synopsis: title.synopsis,
    people: title.people,
    credit: title.credit ?? "",
    artwork: title.artwork,
    more_like_this: world.titles
      .filter((each) => each.id !== id)
      .slice(0, 6)
      .map((each) => card(world, each, profile)),
  };
}

function searchFor(world, query, profile) {
  const wanted = (query ?? "").toLowerCase();
  const text = (title) => [title.name, ...title.people, ...title.genres].join(" ").toLowerCase();
  const titles = world.titles.filter((title) => text(title).includes(wanted));
  return { query, titles: titles.map((title) => card(world, title, profile)) };
}

// Plays.

function ranking(world) {
  const alive = world.appliances.filter((each) => !isSilent(each) && !world.drained.has(each.id));
  return alive.length > 0 ? alive : world.appliances;
}

function pressPlay(world, { profile, title }) {
  const found = world.titles.find((each) => each.id === title);
  if (!found) throw new Refusal(404, "not_found", `No title named ${title}.`);
  const id = randomUUID();
  const ticket = randomBytes(24).toString("base64url");
  const ranked = ranking(world).map((each, i) => ({
    appliance: each.id,
    site: each.id.slice(0, 6),
    base_url: `${each.url}/t/${ticket}/v/${title}/`,
    reason: `p24 e${i}`,
  }));
  world.plays.set(id, { id, title, profile, ranked, began_at: Date.now(), last: null });
  return {
    status: 201,
    json: {
      play: id,
      hls_url: `${world.origin}/v1/plays/${id}/main.m3u8`,
      dash_url: `${world.origin}/v1/plays/${id}/manifest.mpd`,
      steering_url: `${world.origin}/v1/plays/${id}/steering`,
      ranked,
      ticket,
      ticket_expires_at: Date.now() + 6 * 3_600_000,
      resume_ms: world.positions.get(`${profile} ${title}`) ?? 0,
      duration_ms: found.duration_ms,
      report_ms: 2_000,
    },
  };
}

function playRoute(world, verb, path, body) {
  const [, , , id, what] = path.split("/");
  const play = world.plays.get(id);
  if (!play) throw new Refusal(404, "not_found", "No such play.");
  const head = { "access-control-allow-origin": "*" };
  switch (verb.replace(id, "ID")) {
    case "GET /v1/plays/ID/main.m3u8":
      return {
        bytes: hlsManifest(play, world.media),
        head: { ...head, "content-type": "application/vnd.apple.mpegurl" },
      };
    case "GET /v1/plays/ID/manifest.mpd":
      return {
        bytes: dashManifest(play, world.media, world.origin),
        head: { ...head, "content-type": "application/dash+xml" },
      };
    case "GET /v1/plays/ID/steering":
      return {
        json: {
          VERSION: 1,
          TTL: 5,
          "RELOAD-URI": `${world.origin}${path}`,
          "PATHWAY-PRIORITY": ranking(world).map((each) => each.id),
        },
        head,
      };
    case "POST /v1/plays/ID/events":
      if (body.events.length > EVENTS_MAX) {
        world.refused.push(`${body.events.length} events in one report`);
      }
      for (const event of body.events) takeEvent(world, play, event);
      return { status: 204, head };
    default:
      throw new Refusal(404, "not_found", `No such part of a play: ${what}.`);
  }
}

function takeEvent(world, play, event) {
  try {
    checkEvent(event);
  } catch (cause) {
    world.refused.push(cause.message);
    throw cause;
  }
  world.events.push({ play: play.id, ...event });
  if (event.kind === "started") world.startups.push(event.since_press_ms);
  play.last = { ...event, heard_at: Date.now() };
  world.positions.set(`${play.profile} ${play.title}`, event.position_ms);
}

const EVENTS_MAX = 64;
const EVENT_FIELDS = [
  "appliance",
  "buffer_ms",
  "bytes",
  "detail",
  "first_byte_ms",
  "height",
  "kind",
  "position_ms",
  "since_press_ms",
  "stall_ms",
  "trouble",
];
const TROUBLE_KINDS = ["refused", "timeout", "not_found", "failed", "corrupt"];

/** The real server refuses unknown fields and fractions, so the mock does too. */
function checkEvent(event) {
  const fields = Object.keys(event).sort();
  const wrong = fields.filter((field) => !EVENT_FIELDS.includes(field));
  if (wrong.length) throw new Refusal(400, "bad_request", `Unknown fields: ${wrong}.`);
  for (const field of [
    "position_ms",
    "since_press_ms",
    "height",
    "buffer_ms",
    "bytes",
    "stall_ms",
  ]) {
    if (!Number.isSafeInteger(event[field]) || event[field] < 0) {
      throw new Refusal(
        400,
        "bad_request",
        `${field} must be a whole number, not ${event[field]}.`,
      );
    }
  }
  const { first_byte_ms: late, trouble } = event;
  if (late !== undefined && !(Number.isSafeInteger(late) && late >= 0 && late < 2 ** 32)) {
    throw new Refusal(400, "bad_request", `first_byte_ms must not be ${late}.`);
  }
  if (trouble !== undefined) checkTrouble(event, trouble);
}

function checkTrouble({ kind, appliance, detail }, trouble) {
  const wrong = Object.keys(trouble).filter((field) => !["kind", "object"].includes(field));
  const object = trouble.object ?? "0".repeat(64);
  const isRight =
    wrong.length === 0 && TROUBLE_KINDS.includes(trouble.kind) && /^[0-9a-f]{64}$/.test(object);
  if (!isRight || kind !== "error" || !APPLIANCES.includes(appliance)) {
    throw new Refusal(400, "bad_request", `Not a trouble: ${JSON.stringify(trouble)}.`);
  }
  if (detail.includes("/t/")) throw new Refusal(400, "bad_request", "A ticket was told.");
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const at = process.argv.indexOf("--port");
  const dist = fileURLToPath(new URL("../dist", import.meta.url));
  const mock = await startMock({ dist, port: at > 0 ? Number(process.argv[at + 1]) : 0 });
  console.log(JSON.stringify({ url: mock.url, operator_key: mock.operatorKey }));
  for (const signal of ["SIGINT", "SIGTERM"]) {
    process.on(signal, () => mock.close().then(() => process.exit(0)));
  }
}
