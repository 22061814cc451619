// What a play publishes of itself while it runs; tests and the stats overlay read it.
// Only shapes: the numbers are measured in playback.ts.

import type { EngineName } from "./engine";

export type PlaybackState =
  | "idle"
  | "starting"
  | "playing"
  | "paused"
  | "seeking"
  | "stalled"
  | "ended"
  | "failed";

/** What tests read as `window.__nightfill`, and what the stats overlay shows. */
export interface Readings {
  state: PlaybackState;
  engine: EngineName;
  startupMs: number | null;
  stalls: number;
  stallMs: number;
  watchedMs: number;
  appliance: string | null;
  switches: number;
  bytesByAppliance: Record<string, number>;
  positionMs: number;
  durationMs: number;
  bufferMs: number;
  height: number;
  droppedFrames: number;
  /** Newest trouble the engine dealt with itself; empty when there was none. */
  trouble: string;
}

declare global {
  interface Window {
    __nightfill?: Readings;
  }
}

export function newReadings(engine: EngineName): Readings {
  return {
    state: "starting",
    engine,
    startupMs: null,
    stalls: 0,
    stallMs: 0,
    watchedMs: 0,
    appliance: null,
    switches: 0,
    bytesByAppliance: {},
    positionMs: 0,
    durationMs: 0,
    bufferMs: 0,
    height: 0,
    droppedFrames: 0,
    trouble: "",
  };
}
