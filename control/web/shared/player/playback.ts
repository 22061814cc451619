// One play from press to leave: joins the video element, an engine, the stall meter and the reporter,
// and publishes what is happening. Draws nothing.
//
//   starting -> playing <-> paused | seeking | stalled -> ended
//        \________________________________________________-> failed

import type { PlayAnswer, PlayEvent, PlayEventKind } from "../api/types";
import type { Engine, EngineName, EngineSignals, Fetched, Rung } from "./engine";
import { Pathways } from "./pathways";
import { loadDash, loadHls, type Press } from "./press";
import { newReadings, type PlaybackState, type Readings } from "./readings";
import { Renewal } from "./renewal";
import { Reporter } from "./reporter";
import { StallMeter } from "./stall-meter";
import { type Failure, FirstBytes, plainDetail, type Told, Troubles, troubleOf } from "./troubles";

const TICK_MS = 100;
/** With less than this ahead there is nothing left to save by waiting. */
const BUFFER_LOW_MS = 1_500;
const AGAIN_EVERY_MS = 1_500;
const RELOAD_EVERY_MS = 4_000;
/** Segments begin on their own boundaries, so a restored picture may begin a little early. */
const RESTORED_WITHIN_MS = 1_000;
/** No bytes and no buffer for this long: say so instead of spinning on. */
const GIVE_UP_MS = 45_000;
/** No server answered for this long before the first picture: a spinner alone says too little. */
const HOLD_SAID_AFTER_MS = 3_000;
const SLUG = /^[a-z0-9][a-z0-9-]{0,63}$/;

export class Playback {
  readonly readings: Readings;
  rungs: Rung[] = [];
  pinnedHeight: number | null = null;
  failure: string | null = null;
  /** The browser wants a gesture before it lets sound out. */
  needsGesture = false;

  private readonly video: HTMLVideoElement;
  private readonly press: Press;
  private readonly changed: () => void;
  private readonly meter = new StallMeter();
  private readonly troubles = new Troubles();
  private readonly firstBytes = new FirstBytes();
  /** Where the answer to the press said its appliances are. */
  private readonly offered = new Pathways();
  private readonly unlisten = new AbortController();
  private engine: Engine | null = null;
  private answer: PlayAnswer | null = null;
  private reporter: Reporter | null = null;
  private renewal: Renewal | null = null;
  private timer = 0;
  private ticks = 0;
  private unreportedBytes = 0;
  private reportedAt = 0;
  private firstFrame = false;
  private exhaustedAt: number | null = null;
  private retriedAt = 0;
  private reloadedAt = 0;
  /** Where the picture should be while the video element, freshly loaded, still says 0. */
  private restoreMs: number | null = null;
  private closed = false;
  private gone = false;

  constructor(video: HTMLVideoElement, press: Press, engine: EngineName, changed: () => void) {
    this.video = video;
    this.press = press;
    this.changed = changed;
    this.readings = newReadings(engine);
    window.__nightfill = this.readings;
    this.listen();
    this.timer = window.setInterval(() => this.tick(), TICK_MS);
    void this.start(engine);
  }

  toggle(): void {
    if (this.video.paused) this.resume();
    else this.video.pause();
  }

  resume(): void {
    this.needsGesture = false;
    this.video.play().catch((cause: unknown) => {
      if (cause instanceof DOMException && cause.name === "NotAllowedError") {
        this.needsGesture = true;
        this.changed();
      }
    });
  }

  seek(positionMs: number): void {
    const end = this.durationMs();
    const target = Math.min(Math.max(0, positionMs), Math.max(0, end - 250));
    this.video.currentTime = target / 1000;
    if (this.restoreMs !== null) this.restoreMs = target;
    this.measure();
    this.changed();
  }

  choose(height: number | null): void {
    this.pinnedHeight = height;
    this.engine?.choose(height);
    this.changed();
  }

  durationMs(): number {
    const own = this.video.duration;
    return Number.isFinite(own) && own > 0 ? own * 1000 : (this.answer?.duration_ms ?? 0);
  }

  bufferedRanges(): { startMs: number; endMs: number }[] {
    const { buffered } = this.video;
    return Array.from({ length: buffered.length }, (_, i) => ({
      startMs: buffered.start(i) * 1000,
      endMs: buffered.end(i) * 1000,
    }));
  }

  /** What keeps the first picture away, once that is more than a moment. */
  hold(): string | null {
    if (this.firstFrame || this.failure || this.exhaustedAt === null) return null;
    if (performance.now() - this.exhaustedAt < HOLD_SAID_AFTER_MS) return null;
    return "No server that holds this title answers. Trying again… Does this browser trust their certificates?";
  }

  /** Leaves: the last word goes out, everything opened here is closed. Safe to call twice. */
  close(): void {
    if (this.closed) return;
    this.leave();
    this.closed = true;
    window.clearInterval(this.timer);
    this.unlisten.abort();
    this.renewal?.stop();
    this.engine?.destroy();
    this.readings.state = "idle";
  }

  private async start(name: EngineName): Promise<void> {
    try {
      const signals = this.signals();
      const engine = await this.makeEngine(name, signals);
      if (this.closed) return engine.destroy();
      this.engine = engine;
      const answer = await this.press.answer;
      if (this.closed) return;
      this.answer = answer;
      for (const each of answer.ranked) this.offered.learn(each.appliance, each.base_url);
      this.reporter = new Reporter(answer.play);
      this.renewal = new Renewal(answer.play, answer.ticket_renew_at, (ticket) =>
        engine.carry(ticket),
      );
      this.readings.durationMs = answer.duration_ms;
      const start = this.press.fromStart ? 0 : answer.resume_ms;
      if (start > 0) this.restoreMs = start;
      engine.load(name === "dash" ? answer.dash_url : answer.hls_url, start);
      this.resume();
      this.changed();
    } catch (cause) {
      this.fail(cause instanceof Error ? cause.message : "The video could not be started.");
    }
  }

  private async makeEngine(name: EngineName, signals: EngineSignals): Promise<Engine> {
    if (name === "dash") return new (await loadDash()).DashEngine(this.video, signals);
    const { HlsEngine } = await loadHls();
    if (!HlsEngine.supported()) throw new Error("This browser cannot play this video.");
    return new HlsEngine(this.video, signals);
  }

  private signals(): EngineSignals {
    return {
      fetched: (media) => this.onFetched(media),
      ladder: (rungs) => {
        const byHeight = new Map<number, Rung>();
        for (const rung of rungs) byHeight.set(rung.height, rung);
        this.rungs = [...byHeight.values()].sort((a, b) => b.height - a.height);
        this.changed();
      },
      troubled: (detail, failure) => this.onTrouble(detail, failure),
      exhausted: (detail, failure) => {
        this.exhaustedAt ??= performance.now();
        this.onTrouble(detail, failure);
      },
    };
  }

  private onTrouble(words: string, failure: Failure | null): void {
    const detail = plainDetail(words);
    this.readings.trouble = detail;
    if (failure?.status === 403) this.renewal?.ended();
    const trouble = failure && troubleOf(failure);
    const appliance = failure && this.applianceOf(failure);
    // Without a line of its own the member has nothing to hold against anybody.
    if (!trouble || !appliance || !navigator.onLine) {
      this.tell("error", detail);
      return;
    }
    const now = performance.now();
    if (!this.troubles.note({ appliance, trouble, detail }, now)) return;
    this.tellTroubles(this.troubles.takeDue(now));
  }

  private applianceOf({ appliance, url }: { appliance: string | null; url: string }) {
    return appliance !== null && SLUG.test(appliance) ? appliance : this.offered.of(url);
  }

  private onFetched(media: Fetched): void {
    const { readings } = this;
    const { bytes, kind } = media;
    const appliance = this.applianceOf(media);
    this.exhaustedAt = null;
    this.unreportedBytes += bytes;
    if (!appliance) return;
    this.firstBytes.note(appliance, media.firstByteMs);
    readings.bytesByAppliance[appliance] = (readings.bytesByAppliance[appliance] ?? 0) + bytes;
    if (appliance === readings.appliance) return;
    // Sound may lag a pathway behind the picture for one segment; that is not a switch back.
    if (readings.appliance !== null && kind === "audio") return;
    const first = readings.appliance === null;
    readings.appliance = appliance;
    if (first) return;
    readings.switches += 1;
    this.tell("switched");
  }

  private listen(): void {
    const { video } = this;
    const on = (name: string, react: () => void) =>
      video.addEventListener(name, react, { signal: this.unlisten.signal });
    on("pause", () => {
      if (this.firstFrame && !video.ended && !this.gone) this.tell("paused");
      this.measure();
    });
    on("play", () => this.measure());
    on("seeked", () => {
      if (this.firstFrame) this.tell("seeked");
      this.measure();
    });
    on("ended", () => {
      this.measure();
      this.tell("ended");
    });
    on("playing", () => this.onFrame());
    on("volumechange", () => this.changed());
    video.requestVideoFrameCallback?.(() => this.onFrame());
    const page = { signal: this.unlisten.signal };
    window.addEventListener("pagehide", () => this.leave(), page);
    window.addEventListener(
      "pageshow",
      (event) => {
        if (event.persisted) this.gone = false;
      },
      page,
    );
  }

  /** The first frame ends start-up; later calls only refresh the readings. */
  private onFrame(): void {
    if (!this.firstFrame && this.video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA) {
      this.firstFrame = true;
      this.readings.startupMs = Math.round(performance.now() - this.press.at);
      this.reportedAt = performance.now();
      this.tell("started");
    }
    this.measure();
  }

  private tick(): void {
    const before = this.readings.state;
    this.measure();
    const now = performance.now();
    const due = this.answer?.report_ms ?? Number.POSITIVE_INFINITY;
    if (this.firstFrame && now - this.reportedAt >= due) this.tell("heartbeat");
    this.tellTroubles(this.troubles.takeDue(now));
    if (this.exhaustedAt !== null) this.rescue(now, this.exhaustedAt);
    // Measured ten times a second, drawn three times: software decoding needs the rest.
    this.ticks += 1;
    if (this.readings.state !== before || this.ticks % 3 === 0) this.changed();
  }

  /** All pathways failed: keep what is buffered while it lasts, then start over, then give up. */
  private rescue(now: number, since: number): void {
    if (this.readings.state === "failed") return;
    if (this.readings.bufferMs > BUFFER_LOW_MS) {
      if (now - this.retriedAt < AGAIN_EVERY_MS) return;
      this.retriedAt = now;
      this.engine?.again();
      return;
    }
    if (now - since > GIVE_UP_MS) {
      // A browser does not tell a refused certificate from a cut line.
      const first = this.firstFrame ? "" : ", and that this browser trusts their certificates";
      this.fail(`We cannot reach any server that holds this title. Check your connection${first}.`);
      return;
    }
    if (now - this.reloadedAt < RELOAD_EVERY_MS) return;
    this.reloadedAt = now;
    const paused = this.video.paused && this.firstFrame;
    this.restoreMs = this.positionNow();
    this.engine?.reload(this.restoreMs);
    if (!paused) this.resume();
  }

  private measure(): void {
    const { video, readings, meter } = this;
    if (this.closed || readings.state === "failed") return;
    const moving = this.firstFrame && !video.paused && !video.seeking && !video.ended;
    const position = this.positionNow();
    const change = meter.take({ at: performance.now(), position, moving });
    readings.stalls = meter.stalls;
    readings.stallMs = Math.round(meter.stallMs);
    readings.watchedMs = Math.round(meter.watchedMs);
    readings.positionMs = Math.round(position);
    readings.durationMs = Math.round(this.durationMs());
    readings.bufferMs = Math.round(this.bufferAhead(position));
    readings.height = video.videoHeight;
    readings.droppedFrames = video.getVideoPlaybackQuality?.().droppedVideoFrames ?? 0;
    readings.state = this.stateNow();
    if (change) this.tell(change);
  }

  private stateNow(): PlaybackState {
    const { video } = this;
    if (video.ended) return "ended";
    if (!this.firstFrame) return "starting";
    if (video.seeking) return "seeking";
    if (video.paused) return "paused";
    return this.meter.stalled ? "stalled" : "playing";
  }

  /** A reload resets the element's clock; saying 0 then would lose the member's place. */
  private positionNow(): number {
    const own = this.video.currentTime * 1000;
    if (this.restoreMs === null) return own;
    if (own < this.restoreMs - RESTORED_WITHIN_MS) return this.restoreMs;
    this.restoreMs = null;
    return own;
  }

  private bufferAhead(position: number): number {
    for (const range of this.bufferedRanges()) {
      // 100 ms: the first frame of a range may start a hair after the position asked for.
      if (position >= range.startMs - 100 && position < range.endMs) return range.endMs - position;
    }
    return 0;
  }

  private event(kind: PlayEventKind, detail: string): PlayEvent {
    const { appliance } = this.readings;
    const bytes = this.unreportedBytes;
    this.unreportedBytes = 0;
    const measured = this.firstBytes.take(appliance);
    const event = { ...this.stateAs(kind), appliance, bytes, detail };
    return measured === undefined ? event : { ...event, first_byte_ms: measured };
  }

  /** Says whom the trouble was with; bytes and times stay for the event of who brought them. */
  private troubleEvent({ appliance, trouble, detail }: Told): PlayEvent {
    return { ...this.stateAs("error"), appliance, detail, trouble };
  }

  private stateAs(kind: PlayEventKind): PlayEvent {
    const { readings } = this;
    return {
      kind,
      position_ms: Math.max(0, Math.round(this.positionNow())),
      since_press_ms: Math.max(0, Math.round(performance.now() - this.press.at)),
      appliance: null,
      height: this.firstFrame ? readings.height : 0,
      buffer_ms: Math.max(0, readings.bufferMs),
      bytes: 0,
      stall_ms: Math.max(0, readings.stallMs),
      detail: "",
    };
  }

  private tell(kind: PlayEventKind, detail = ""): void {
    if (!this.reporter || this.closed) return;
    const now = performance.now();
    this.reportedAt = now;
    const before = this.troubles.takeAll(now).map((each) => this.troubleEvent(each));
    this.reporter.tell(...before, this.event(kind, detail));
    this.changed();
  }

  /** A report of nothing but troubles; it does not put the next heartbeat off. */
  private tellTroubles(told: Told[]): void {
    if (told.length === 0 || !this.reporter || this.closed || this.gone) return;
    this.reporter.tell(...told.map((each) => this.troubleEvent(each)));
    this.changed();
  }

  private leave(): void {
    if (this.gone || !this.reporter) return;
    this.gone = true;
    const before = this.troubles.takeAll(performance.now()).map((each) => this.troubleEvent(each));
    this.reporter.tellLast(...before, this.event("stopped", ""));
  }

  private fail(message: string): void {
    if (this.closed) return;
    this.failure = message;
    this.readings.state = "failed";
    if (this.reporter) this.tell("error", message);
    this.changed();
  }
}
