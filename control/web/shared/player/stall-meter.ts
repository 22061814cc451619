// Counts how long the picture stood still when it should have moved (CTA-2066 stalls).
// Pure: samples carry their own time. Never counts start-up, pauses, seeks or the end.

/** Shorter stops are the media clock's own grain, not something a member sees. */
export const STALL_FLOOR_MS = 200;

export interface Sample {
  /** Monotonic clock, milliseconds. */
  at: number;
  /** Media position, milliseconds. */
  position: number;
  /** Whether the picture is supposed to move now. */
  moving: boolean;
}

export class StallMeter {
  stalls = 0;
  /** Only the time stopped, milliseconds. */
  stallMs = 0;
  /** Time in front of a moving or stalled picture, milliseconds. */
  watchedMs = 0;
  /** A stall is under way. */
  stalled = false;

  private before: Sample | null = null;
  private movedAt = 0;
  private movedTo = 0;
  /** `stallMs` when the stall under way began. */
  private base = 0;

  /** Answers what changed with this sample. */
  take(sample: Sample): "stalled" | "resumed" | null {
    const before = this.before;
    this.before = sample;
    if (!sample.moving || !before?.moving) return this.rest(sample);
    const elapsed = sample.at - before.at;
    this.watchedMs += elapsed;
    const advance = sample.position - this.movedTo;
    const since = sample.at - this.movedAt;
    // A jump is a seek that began and ended between two samples.
    if (advance < -1 || advance > since + 1_000) return this.rest(sample);
    const stopped = Math.max(0, since - advance);
    const moved = sample.position - before.position > 1;
    if (!moved && !this.stalled && stopped < STALL_FLOOR_MS) return null;
    if (moved) return this.move(sample, stopped);
    return this.stop(stopped);
  }

  private rest(sample: Sample): "resumed" | null {
    this.movedAt = sample.at;
    this.movedTo = sample.position;
    if (!this.stalled) return null;
    this.stalled = false;
    return "resumed";
  }

  private move(sample: Sample, stopped: number): "resumed" | null {
    if (this.stalled) {
      this.stallMs = this.base + stopped;
    } else if (stopped >= STALL_FLOOR_MS) {
      // Began and ended between two samples of a busy page: still a stall.
      this.stalls += 1;
      this.stallMs += stopped;
    }
    return this.rest(sample);
  }

  private stop(stopped: number): "stalled" | null {
    const fresh = !this.stalled;
    if (fresh) {
      this.stalled = true;
      this.stalls += 1;
      this.base = this.stallMs;
    }
    this.stallMs = this.base + stopped;
    return fresh ? "stalled" : null;
  }
}
