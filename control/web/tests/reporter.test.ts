// The reporter: order kept, nothing lost while the server is away, bounds respected.

import { expect, test } from "vitest";
import type { PlayEvent, PlayEventKind } from "../shared/api/types";
import { EVENTS_MAX, NEWS_MS, Reporter, type Wire } from "../shared/player/reporter";

function event(kind: PlayEventKind, position_ms = 0): PlayEvent {
  return {
    kind,
    position_ms,
    since_press_ms: 0,
    appliance: null,
    height: 0,
    buffer_ms: 0,
    bytes: 0,
    stall_ms: 0,
    detail: "",
  };
}

class Listener implements Wire {
  up = true;
  readonly heard: PlayEvent[] = [];
  readonly batches: number[] = [];

  async post(url: string, body: string): Promise<boolean> {
    expect(url).toBe("/v1/plays/p1/events");
    if (this.up) this.beacon(url, body);
    return this.up;
  }

  beacon(_url: string, body: string): boolean {
    const { events } = JSON.parse(body) as { events: PlayEvent[] };
    this.heard.push(...events);
    this.batches.push(events.length);
    return true;
  }
}

const settled = () => new Promise((done) => setTimeout(done, 0));

test("events arrive in order, however fast they come", async () => {
  const wire = new Listener();
  const reporter = new Reporter("p1", wire);
  for (let i = 0; i < 10; i += 1) reporter.tell(event("heartbeat", i));
  await settled();
  expect(wire.heard.map((each) => each.position_ms)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
});

test("an absent server costs heartbeats only, and never more than one report's worth", async () => {
  const wire = new Listener();
  wire.up = false;
  const reporter = new Reporter("p1", wire);
  reporter.tell(event("started"));
  await settled();
  for (let i = 0; i < 3 * EVENTS_MAX; i += 1) {
    reporter.tell(event("heartbeat", i));
    await settled();
  }
  wire.up = true;
  reporter.tell(event("paused", 7));
  await settled();
  await settled();
  expect(Math.max(...wire.batches)).toBeLessThanOrEqual(EVENTS_MAX);
  expect(wire.heard.at(-1)).toMatchObject({ kind: "paused", position_ms: 7 });
});

test("the last word leaves by beacon together with what was waiting", async () => {
  const wire = new Listener();
  wire.up = false;
  const reporter = new Reporter("p1", wire);
  reporter.tell(event("paused", 3));
  await settled();
  reporter.tellLast(event("stopped", 3));
  expect(wire.heard.map((each) => each.kind)).toEqual(["paused", "stopped"]);
});

test("what was wrong is told while it is news, and the event without it later", async () => {
  const wire = new Listener();
  let now = 0;
  const reporter = new Reporter("p1", wire, () => now);
  const accused: PlayEvent = { ...event("error"), trouble: { kind: "refused", object: null } };
  wire.up = false;
  reporter.tell(accused, { ...event("switched"), first_byte_ms: 2_400 });
  await settled();
  now = NEWS_MS - 1;
  reporter.tell(accused);
  await settled();
  wire.up = true;
  now = NEWS_MS;
  reporter.tell(event("paused"));
  await settled();
  expect(wire.heard.map((each) => each.kind)).toEqual(["switched", "error", "paused"]);
  expect(wire.heard[0]).not.toHaveProperty("first_byte_ms");
  expect(wire.heard[1]?.trouble?.kind).toBe("refused");
});

test("troubles make room for what the play was", async () => {
  const wire = new Listener();
  wire.up = false;
  const reporter = new Reporter("p1", wire, () => 0);
  reporter.tell(event("started"));
  await settled();
  for (let i = 0; i < 2 * EVENTS_MAX; i += 1) {
    reporter.tell({ ...event("error"), trouble: { kind: "timeout", object: null } });
  }
  wire.up = true;
  await settled();
  reporter.tell(event("paused"));
  await settled();
  await settled();
  expect(wire.heard[0]?.kind).toBe("started");
  expect(Math.max(...wire.batches)).toBeLessThanOrEqual(EVENTS_MAX);
});
