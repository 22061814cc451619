// What a playback engine is to the rest of the player: hls.js and dash.js behind one small surface.
// Not a player: it fetches and appends; pressing, measuring and reporting live elsewhere.

import type { Failure } from "./troubles";

/** One quality a member may pick. */
export interface Rung {
  /** Pixels. */
  height: number;
  /** Peak, bits per second. */
  bps: number;
}

/** One piece of media as it came in. */
export interface Fetched {
  /** Pathway it came from; `null` when the engine does not know. */
  appliance: string | null;
  url: string;
  bytes: number;
  kind: "video" | "audio";
  /** From the request to its first byte; `null` when not measured. */
  firstByteMs: number | null;
}

/** What an engine tells, as it happens. */
export interface EngineSignals {
  /** Media arrived. */
  fetched(media: Fetched): void;
  /** The ladder is known, or changed. */
  ladder(rungs: Rung[]): void;
  /** Something failed that the engine is dealing with itself; `failure` when it was a request. */
  troubled(detail: string, failure: Failure | null): void;
  /** Every pathway failed or the engine gave up; it needs `reload`. */
  exhausted(detail: string, failure: Failure | null): void;
}

export interface Engine {
  /** Begins to load; `startMs` is where the picture should begin. */
  load(url: string, startMs: number): void;
  /** Tries to go on after `exhausted` without dropping what is buffered. */
  again(): void;
  /** Loads the same title again from `atMs`, with a fresh ranked list. */
  reload(atMs: number): void;
  /** A fresh ticket to send to appliances beside the URLs, from now on. */
  carry(ticket: string): void;
  /** Pins a height, or gives the choice back with `null`. */
  choose(height: number | null): void;
  destroy(): void;
}

export type EngineName = "hls" | "dash";

/** Media kept ahead of the picture: what an appliance's death has to be noticed within. */
export const BUFFER_SECONDS = 24;
/** Ceiling for the same when bandwidth is plentiful. */
export const BUFFER_SECONDS_MAX = 30;
/** Without a first byte for this long a host is taken for dead. */
export const FIRST_BYTE_MS_MAX = 2_500;
/** A segment that takes longer than this is taken for lost. */
export const SEGMENT_MS_MAX = 10_000;
/** Starting rungs: cheap to fetch and to decode in software, decent to look at. */
export const START_HEIGHT_MAX = 360;
export const START_BPS_MAX = 1_200_000;
/** A pathway that failed is not chosen again for this long, unless all have failed. */
export const PENALTY_MS = 300_000;

/** The best rung that is still cheap to begin with; the lowest one when none is. */
export function startingRung(rungs: readonly Rung[]): number {
  let best = -1;
  let lowest = 0;
  rungs.forEach((rung, index) => {
    const held = rungs[lowest];
    if (held && rung.bps < held.bps) lowest = index;
    if (rung.height > START_HEIGHT_MAX || rung.bps > START_BPS_MAX) return;
    const chosen = rungs[best];
    if (!chosen || rung.bps > chosen.bps) best = index;
  });
  return best === -1 ? lowest : best;
}
