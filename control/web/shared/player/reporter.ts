// Sends play events, in order and without ever holding the picture up.
// Keeps what could not be sent, up to a bound; the oldest heartbeats go first when it is reached.

import type { PlayEvent } from "../api/types";

/** The wire takes no more than this in one report. */
export const EVENTS_MAX = 64;
/** What was wrong with an appliance is news for this long; later it would accuse one that is well. */
export const NEWS_MS = 10_000;

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

/** An event and when it happened. */
interface Queued {
  event: PlayEvent;
  at: number;
}

function body(queue: readonly Queued[]): string {
  return JSON.stringify({ events: queue.map(({ event }) => event) });
}

/** What to give up first when there is too much. */
function leastMissed(queue: readonly Queued[]): number {
  const heartbeat = queue.findIndex(({ event }) => event.kind === "heartbeat");
  if (heartbeat >= 0) return heartbeat;
  return Math.max(
    0,
    queue.findIndex(({ event }) => event.trouble !== undefined),
  );
}

export class Reporter {
  private queue: Queued[] = [];
  private sending = false;
  private readonly url: string;
  private readonly wire: Wire;

  private readonly clock: () => number;

  constructor(play: string, wire: Wire = browserWire, clock = () => performance.now()) {
    this.url = `/v1/plays/${encodeURIComponent(play)}/events`;
    this.wire = wire;
    this.clock = clock;
  }

  /** Queues events and sends what is queued, unless a report is on its way already. */
  tell(...events: PlayEvent[]): void {
    this.add(events);
    void this.send();
  }

  /** The page is going: the last events leave by beacon. */
  tellLast(...events: PlayEvent[]): void {
    this.add(events);
    const last = this.timely(this.queue);
    if (this.wire.beacon(this.url, body(last))) this.queue = [];
  }

  private add(events: PlayEvent[]): void {
    const at = this.clock();
    for (const event of events) this.queue.push({ event, at });
    this.trim();
  }

  private trim(): void {
    while (this.queue.length > EVENTS_MAX) this.queue.splice(leastMissed(this.queue), 1);
  }

  /** Without what only mattered while it was new. */
  private timely(queue: readonly Queued[]): Queued[] {
    const now = this.clock();
    const timely: Queued[] = [];
    for (const queued of queue) {
      const { trouble, first_byte_ms: _, ...lasting } = queued.event;
      if (now - queued.at < NEWS_MS) timely.push(queued);
      else if (trouble === undefined) timely.push({ event: lasting, at: queued.at });
    }
    return timely;
  }

  private async send(): Promise<void> {
    if (this.sending || this.queue.length === 0) return;
    const batch = this.timely(this.queue);
    this.queue = [];
    if (batch.length === 0) return;
    this.sending = true;
    const taken = await this.wire.post(this.url, body(batch));
    this.sending = false;
    if (!taken) {
      this.queue = [...batch, ...this.queue];
      this.trim();
      return;
    }
    if (this.queue.length > 0) void this.send();
  }
}
