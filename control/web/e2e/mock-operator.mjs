// The operator's half of the mock: a fleet whose appliances are real and whose disks, fill and origin are
// made up, so that the console has something to show.

import { randomUUID } from "node:crypto";
import { Refusal } from "./refusal.mjs";

export const OPERATOR_KEY = "mock-operator-key";
/** Like the fleet's own `silent_ms`: how long a death goes unnoticed. */
const SILENT_MS = 3_000;

export function isSilent(appliance) {
  return appliance.diedAt !== null && Date.now() - appliance.diedAt > SILENT_MS;
}

export function operatorRoute(world, request, url, body) {
  if (request.headers.authorization !== `Bearer ${OPERATOR_KEY}`) {
    throw new Refusal(401, "unauthenticated", "The operator key is not valid.");
  }
  const verb = `${request.method} ${url.pathname.slice("/v1/operator/".length)}`;
  const drain = /^POST appliances\/([a-z0-9-]+)\/(drain|undrain)$/.exec(verb);
  if (drain) {
    if (drain[2] === "drain") world.drained.add(drain[1]);
    else world.drained.delete(drain[1]);
    return { status: 204 };
  }
  const close = /^POST windows\/([a-z0-9-]+)\/close$/.exec(verb);
  if (close) {
    const window = world.windows.find((each) => each.id === close[1]);
    if (!window) throw new Refusal(404, "not_found", `No window named ${close[1]}.`);
    window.closed = true;
    return { json: window };
  }
  switch (verb) {
    case "GET appliances":
      return { json: fleetOf(world) };
    case "GET sites":
      return { json: SITES };
    case "GET fills":
      return { json: fillsOf(world) };
    case "GET live":
      return { json: liveOf(world) };
    case "GET windows":
      return { json: world.windows };
    case "POST windows":
      return openWindow(world, body);
    case "GET titles":
      return { json: world.titles.map((title) => recordOf(world, title)) };
    default:
      throw new Refusal(404, "not_found", `No such route: ${verb}.`);
  }
}

const SITES = [
  ["harbour", "northline", "Harbour exchange", 53.55, 9.99, ["203.0.113.0/24", "2001:db8:1::/48"]],
  ["old-mill", "northline", "Old mill", 54.32, 10.13, ["198.51.100.0/24"]],
  ["library", "nightfill", "The library", 50.11, 8.68, []],
].map(([id, isp, name, latitude, longitude, prefixes]) => ({
  id,
  isp,
  name,
  latitude,
  longitude,
  prefixes,
}));

function openWindow(world, body) {
  const opens_at = body.opens_at ?? Date.now();
  const window = {
    id: body.id,
    scope: body.scope,
    opens_at,
    closes_at: opens_at + body.length_ms,
    rate_bps_max: body.rate_bps_max ?? null,
    bytes_max: body.bytes_max ?? null,
    closed: false,
  };
  if (world.windows.some((each) => each.id === body.id)) {
    throw new Refusal(409, "conflict", `There is a window named ${body.id} already.`);
  }
  world.windows.push(window);
  return { status: 201, json: window };
}

function fleetOf(world) {
  const held = [...world.media.objects.values()].reduce((sum, each) => sum + each.length, 0);
  const boxes = world.appliances.map((each, i) => ({
    each,
    id: each.id,
    site: i < 2 ? "harbour" : "old-mill",
    role: "edge",
    figures: each.figures(),
  }));
  const origin = { sent: 47e9, requests: 18_300, connections: 2 };
  boxes.push({
    each: { diedAt: null, url: "" },
    id: "origin",
    site: "library",
    role: "origin",
    figures: origin,
  });
  return boxes.map(({ each, id, site, role, figures }) => {
    const draining = world.drained.has(id);
    const silent = isSilent(each);
    return {
      record: {
        id,
        site,
        role,
        link: role === "edge" ? "embedded" : "transit",
        capacity_bps: 1e10,
      },
      health: silent ? "silent" : draining ? "draining" : "healthy",
      drain: draining,
      report: {
        appliance: id,
        media_url: each.url,
        sequence: 1,
        run: randomUUID(),
        draining,
        connections: figures.connections,
        // A day of members before this one, so that the figures look like figures.
        sent_bytes_total: figures.sent + (role === "edge" ? 412e9 : 0),
        sending_bps: silent ? 0 : Math.round(figures.connections * 2.4e6),
        requests_total: figures.requests,
        errors_total: 0,
        volumes: [
          {
            path: "/srv/ssd0",
            class: "ssd",
            capacity_bytes: 4e12,
            used_bytes: 3.1e12,
            healthy: true,
          },
          {
            path: "/srv/hdd0",
            class: "hdd",
            capacity_bytes: 18e12,
            used_bytes: 11.7e12,
            healthy: true,
          },
        ],
        content_digest: "",
        content: null,
        quarantined: [],
      },
      heard_at: silent ? each.diedAt : Date.now() - 400,
      objects: world.media.objects.size,
      held_bytes: held,
    };
  });
}

function fillsOf(world) {
  const share = Math.min(1, 0.35 + (Date.now() - world.fillBegan) / 120_000);
  return world.appliances.map((each, i) => {
    const done = Math.min(1, share + i * 0.12);
    const bytes = 48e9;
    return {
      report: {
        appliance: each.id,
        plan: randomUUID(),
        state: done === 1 ? "done" : "filling",
        objects_planned: 240,
        objects_done: Math.floor(240 * done),
        bytes_planned: bytes,
        bytes_done: Math.floor(bytes * done),
        bytes_from: {
          peer: i === 0 ? 0 : Math.floor(bytes * done * 0.7),
          tier: Math.floor(bytes * done * 0.12),
          origin: Math.floor(bytes * done * (i === 0 ? 0.7 : 0.05)),
        },
        rate_bps: done === 1 ? 0 : 640e6 - i * 90e6,
        failures: [],
      },
      heard_at: Date.now() - 700,
    };
  });
}

function liveOf(world) {
  const sorted = [...world.startups].sort((a, b) => a - b);
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
  const sessions = [...world.plays.values()]
    .filter((play) => play.last && Date.now() - play.last.heard_at < 30_000)
    .map((play) => ({
      play: play.id,
      title: play.title,
      state: play.last.kind === "paused" ? "paused" : "playing",
      appliance: play.last.appliance,
      position_ms: play.last.position_ms,
      height: play.last.height,
      buffer_ms: play.last.buffer_ms,
      startup_ms: world.startups.at(-1) ?? null,
      stall_ms: play.last.stall_ms,
      began_at: play.began_at,
      heard_at: play.last.heard_at,
    }));
  return {
    sessions,
    plays_total: world.plays.size,
    startup_ms_p50: at(0.5),
    startup_ms_p95: at(0.95),
    stalled_ratio: 0,
  };
}

function recordOf(world, title) {
  return {
    ...title,
    credit: title.credit ?? "",
    regions: [],
    artwork: title.artwork.map((object) => ({ object, width: 960, height: 540, at_ms: 0 })),
    renditions: world.media.tracks.map((track) => ({
      media: track.object,
      media_bytes: track.bytes.length,
      peak_bps: track.peak,
      codecs: track.codecs,
      track:
        track.kind === "video"
          ? {
              kind: "video",
              width: track.width,
              height: track.height,
              frames_per_kilosecond: 12_000,
            }
          : { kind: "audio", language: "und", channels: 2, sample_rate: 48_000 },
    })),
  };
}
