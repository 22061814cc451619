// Fresh tickets for a play that outlasts its first. URLs keep the ticket they were written with; the
// fresh one travels beside them in a header, which appliances try first.
// Knows no engine, and asks nothing while the first ticket is fresh: most plays never come here.

import { ApiError, call } from "../api/http";
import type { PlayTicket } from "../api/types";

/** CTA-5007 names it. */
export const TICKET_HEADER = "CTA-Common-Access-Token";
/** This machine's clock may be hours off: never ask more often than this. */
export const RENEW_MS_MIN = 60_000;
/** After a failure, and after an appliance said that a ticket ended. */
export const RETRY_MS = 10_000;
/** Browsers count timers in 31 bits; a day is more than any play lasts. */
const WAIT_MS_MAX = 24 * 3_600_000;

/** Media of an appliance: the only requests that a ticket may travel with. */
export function isMedia(url: string): boolean {
  return /^https?:\/\/[^/]+\/t\/[^/]+\/v\//.test(url);
}

/** What this needs of the world; a test brings its own. */
export interface World {
  /** Milliseconds since 1970. */
  now(): number;
  /** Calls once after `ms`; the answer takes it back. */
  after(ms: number, react: () => void): () => void;
  fetchTicket(play: string): Promise<PlayTicket>;
}

export const browser: World = {
  now: () => Date.now(),
  after: (ms, react) => {
    const timer = window.setTimeout(react, ms);
    return () => window.clearTimeout(timer);
  },
  fetchTicket: (play) => call<PlayTicket>(`/v1/plays/${encodeURIComponent(play)}/ticket`),
};

export class Renewal {
  private readonly play: string;
  private readonly renewed: (ticket: string) => void;
  private readonly world: World;
  private cancel: () => void = () => {};
  private askedAt = Number.NEGATIVE_INFINITY;
  private asking = false;
  private over = false;

  /** `renewAt` as the press was answered; `undefined` when there will be no other ticket. */
  constructor(
    play: string,
    renewAt: number | undefined,
    renewed: (ticket: string) => void,
    world: World = browser,
  ) {
    this.play = play;
    this.renewed = renewed;
    this.world = world;
    this.plan(renewAt);
  }

  /** An appliance says that the ticket ended: this machine's clock is late. */
  ended(): void {
    const { world } = this;
    if (this.over || this.asking || world.now() - this.askedAt < RETRY_MS) return;
    void this.ask();
  }

  stop(): void {
    this.over = true;
    this.cancel();
  }

  private plan(renewAt: number | undefined): void {
    if (renewAt === undefined) return;
    const wait = Math.max(RENEW_MS_MIN, renewAt - this.world.now());
    this.again(Math.min(wait, WAIT_MS_MAX));
  }

  private again(ms: number): void {
    this.cancel();
    if (!this.over) this.cancel = this.world.after(ms, () => void this.ask());
  }

  private async ask(): Promise<void> {
    this.asking = true;
    this.askedAt = this.world.now();
    try {
      const fresh = await this.world.fetchTicket(this.play);
      if (this.over) return;
      this.renewed(fresh.ticket);
      this.plan(fresh.renew_at);
    } catch (cause) {
      // Control said no for good: taken back, not paid for, over. Otherwise it is only away.
      const { status } = cause instanceof ApiError ? cause : { status: 0 };
      if ([402, 403, 404].includes(status)) this.stop();
      else this.again(RETRY_MS);
    } finally {
      this.asking = false;
    }
  }
}
