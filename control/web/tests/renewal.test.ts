// Tickets of a long play: asked for in time, never in a rush, and not after control said no.

import { expect, test } from "vitest";
import { ApiError } from "../shared/api/http";
import type { PlayTicket } from "../shared/api/types";
import { isMedia, RENEW_MS_MIN, RETRY_MS, Renewal, type World } from "../shared/player/renewal";

const HOUR = 3_600_000;

/** A world whose clock is moved by hand. */
class Hand implements World {
  at = 1_000_000;
  asked: number[] = [];
  answer: (nth: number) => PlayTicket = (nth) => ({
    ticket: `ticket-${nth}`,
    expires_at: this.at + HOUR,
    renew_at: this.at + 0.75 * HOUR,
  });
  private timer: { at: number; react: () => void } | null = null;

  now(): number {
    return this.at;
  }

  after(ms: number, react: () => void): () => void {
    const timer = { at: this.at + ms, react };
    this.timer = timer;
    return () => {
      if (this.timer === timer) this.timer = null;
    };
  }

  async fetchTicket(): Promise<PlayTicket> {
    this.asked.push(this.at);
    return this.answer(this.asked.length);
  }

  async go(ms: number): Promise<void> {
    const until = this.at + ms;
    while (this.timer && this.timer.at <= until) {
      const { at, react } = this.timer;
      this.timer = null;
      this.at = at;
      react();
      await settled();
    }
    this.at = until;
    await settled();
  }
}

const settled = () => new Promise((done) => setTimeout(done, 0));

function begin(renewAfter: number | undefined) {
  const world = new Hand();
  const tickets: string[] = [];
  const renewAt = renewAfter === undefined ? undefined : world.at + renewAfter;
  const renewal = new Renewal("p1", renewAt, (ticket) => tickets.push(ticket), world);
  return { world, tickets, renewal };
}

test("a long play is renewed in time, again and again", async () => {
  const { world, tickets } = begin(0.75 * HOUR);
  await world.go(0.75 * HOUR - 1);
  expect(tickets).toEqual([]);
  await world.go(1);
  expect(tickets).toEqual(["ticket-1"]);
  await world.go(2 * HOUR);
  expect(tickets).toEqual(["ticket-1", "ticket-2", "ticket-3"]);
});

test("nothing is asked where there is nothing to come, or nobody watches any more", async () => {
  const last = begin(undefined);
  await last.world.go(24 * HOUR);
  expect(last.world.asked).toEqual([]);
  const left = begin(0.75 * HOUR);
  left.renewal.stop();
  left.renewal.ended();
  await left.world.go(24 * HOUR);
  expect(left.world.asked).toEqual([]);
});

test("a clock that is ahead asks once a minute at most", async () => {
  const { world } = begin(-9 * HOUR);
  world.answer = () => ({ ticket: "t", expires_at: 1, renew_at: world.at - 9 * HOUR });
  await world.go(10 * RENEW_MS_MIN);
  expect(world.asked.length).toBe(10);
});

test("a clock that is behind hears of it from appliances", async () => {
  const { world, tickets, renewal } = begin(9 * HOUR);
  renewal.ended();
  renewal.ended();
  await settled();
  expect(tickets).toEqual(["ticket-1"]);
  renewal.ended();
  await settled();
  expect(tickets).toEqual(["ticket-1"]);
  await world.go(RETRY_MS);
  renewal.ended();
  await settled();
  expect(tickets).toEqual(["ticket-1", "ticket-2"]);
});

test("control that is away is asked again; control that says no is not", async () => {
  const { world, tickets, renewal } = begin(0.75 * HOUR);
  const answer = world.answer;
  world.answer = () => {
    throw new ApiError("unreachable", "away", 0);
  };
  await world.go(0.75 * HOUR + 3 * RETRY_MS);
  expect(world.asked.length).toBe(4);
  world.answer = answer;
  await world.go(RETRY_MS);
  expect(tickets).toEqual(["ticket-5"]);
  world.answer = () => {
    throw new ApiError("forbidden", "taken back", 403);
  };
  await world.go(24 * HOUR);
  renewal.ended();
  await settled();
  expect(world.asked.length).toBe(6);
});

test("a ticket travels to appliances only", () => {
  expect(isMedia("https://edge.example:8443/t/abc/v/night/00ff.mp4")).toBe(true);
  expect(isMedia("https://control.example/v1/plays/p1/steering?pathways=a")).toBe(false);
  expect(isMedia("https://elsewhere.example/?u=/t/abc/v/night/00ff.mp4")).toBe(false);
  expect(isMedia("https://elsewhere.example/x/t/abc/v/night/00ff.mp4")).toBe(false);
});
