// Sends play events, in order and without ever holding the picture up.
// Keeps what could not be sent, up to a bound; the oldest heartbeats go first when it is reached.

import type { PlayEvent } from "../api/types";

/** The wire takes no more than this in one report. */
export const EVENTS_MAX = 64;

export interface Wire {
  /** Resolves false when the report should be kept and tried again. */
  post(url: string, body: string): Promise<boolean>;
  /** For a page that is going away. */
  beacon(url: string, body: string): boolean;
}

export const browserWire: Wire = {
  async post(url, body) {
    try {
      const answer = await fetch(url, {
        method: "POST",
        body,
        headers: { "content-type": "application/json" },
        signal: AbortSignal.timeout(8_000),
        credentials: "omit",
      });
      // A refused report stays refused: sending it again would only repeat the refusal.
      return answer.ok || (answer.status >= 400 && answer.status < 500 && answer.status !== 429);
    } catch {
      return false;
    }
  },
  beacon(url, body) {
    return navigator.sendBeacon(url, new Blob([body], { type: "text/plain" }));
  },
};

export class Reporter {
  private queue: PlayEvent[] = [];
  private sending = false;
  private readonly url: string;
  private readonly wire: Wire;

  constructor(play: string, wire: Wire = browserWire) {
    this.url = `/v1/plays/${encodeURIComponent(play)}/events`;
    this.wire = wire;
  }

  /** Queues one event and sends what is queued, unless a report is on its way already. */
  tell(event: PlayEvent): void {
    this.queue.push(event);
    while (this.queue.length > EVENTS_MAX) {
      const heartbeat = this.queue.findIndex((each) => each.kind === "heartbeat");
      this.queue.splice(Math.max(0, heartbeat), 1);
    }
    void this.send();
  }

  /** The page is going: the last events leave by beacon. */
  tellLast(event: PlayEvent): void {
    this.queue.push(event);
    const events = this.queue.slice(-EVENTS_MAX);
    if (this.wire.beacon(this.url, JSON.stringify({ events }))) this.queue = [];
  }

  private async send(): Promise<void> {
    if (this.sending || this.queue.length === 0) return;
    this.sending = true;
    const batch = this.queue;
    this.queue = [];
    const taken = await this.wire.post(this.url, JSON.stringify({ events: batch }));
    this.sending = false;
    if (!taken) {
      this.queue = [...batch, ...this.queue].slice(-EVENTS_MAX);
      return;
    }
    if (this.queue.length > 0) void this.send();
  }
}
