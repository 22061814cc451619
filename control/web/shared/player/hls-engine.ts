// hls.js, tuned so that the death of an appliance is noticed in milliseconds and never seen.
//
// Left to itself hls.js answers a failed request by trying every other rung of the same, dead host
// before it moves to another pathway, and takes a late failure from the host it has already left for
// a failure of the new one. `HostFirst` corrects both: any network failure moves the whole play to
// the next pathway at once, and failures of a pathway already left are only retried where we are now.
// After a switch the play stays: a penalized pathway returns only when steering puts it first again
// and its penalty is over.

import Hls, {
  type ErrorData,
  ErrorDetails,
  Events,
  type HlsConfig,
  type Level,
  type LoadPolicy,
} from "hls.js";
import {
  BUFFER_SECONDS,
  BUFFER_SECONDS_MAX,
  type Engine,
  type EngineSignals,
  FIRST_BYTE_MS_MAX,
  type Rung,
  SEGMENT_MS_MAX,
  startingRung,
} from "./engine";
import { Pathways } from "./pathways";
import { isMedia, TICKET_HEADER } from "./renewal";
import type { Failure } from "./troubles";

// Values of hls.js's NetworkErrorAction and ErrorActionFlags, which it declares as const enums.
const SEND_TO_PENALTY_BOX = 2;
const RETRY_REQUEST = 5;
const MOVE_ALL_MATCHING_HOST = 1;

const RETRY_ELSEWHERE = { maxNumRetry: 8, retryDelayMs: 120, maxRetryDelayMs: 1_000 };

const HOST_FAILURES = new Set<string>([
  ErrorDetails.FRAG_LOAD_ERROR,
  ErrorDetails.FRAG_LOAD_TIMEOUT,
  ErrorDetails.LEVEL_LOAD_ERROR,
  ErrorDetails.LEVEL_LOAD_TIMEOUT,
  ErrorDetails.AUDIO_TRACK_LOAD_ERROR,
  ErrorDetails.AUDIO_TRACK_LOAD_TIMEOUT,
]);

const TIMEOUTS = new Set<string>([
  ErrorDetails.FRAG_LOAD_TIMEOUT,
  ErrorDetails.LEVEL_LOAD_TIMEOUT,
  ErrorDetails.AUDIO_TRACK_LOAD_TIMEOUT,
]);

/** No retries against one host: the next pathway is the retry. */
function oneTry(maxTimeToFirstByteMs: number, maxLoadTimeMs: number): LoadPolicy {
  const none = { maxNumRetry: 0, retryDelayMs: 0, maxRetryDelayMs: 0 };
  return {
    default: {
      maxTimeToFirstByteMs,
      maxLoadTimeMs,
      timeoutRetry: none,
      errorRetry: none,
    },
  };
}

/** Control answers these; a play outlives its absence, so patience costs nothing. */
function patient(tries: number): LoadPolicy {
  const retry = { maxNumRetry: tries, retryDelayMs: 300, maxRetryDelayMs: 4_000 };
  return {
    default: {
      maxTimeToFirstByteMs: 5_000,
      maxLoadTimeMs: 8_000,
      timeoutRetry: retry,
      errorRetry: { ...retry, shouldRetry: (policy, count) => count < (policy?.maxNumRetry ?? 0) },
    },
  };
}

interface ErrorSteps {
  onError(event: Events.ERROR, data: ErrorData): void;
}
// The class is a documented extension point; its step is private only to the type checker.
const DefaultErrorController = Hls.DefaultConfig.errorController as unknown as new (
  hls: Hls,
) => ErrorSteps;

function hostFirst(pathways: Pathways): HlsConfig["errorController"] {
  class HostFirst extends DefaultErrorController {
    private readonly player: Hls;

    constructor(player: Hls) {
      super(player);
      this.player = player;
    }

    override onError(event: Events.ERROR, data: ErrorData): void {
      super.onError(event, data);
      if (data.fatal || !HOST_FAILURES.has(data.details) || !data.errorAction) return;
      const current = this.player.levels[0]?.pathwayId ?? ".";
      const failed = pathways.of(data.frag?.url ?? data.context?.url ?? data.url) ?? current;
      const action = data.errorAction;
      const now = performance.now();
      pathways.fail(failed, now);
      if (failed !== current) {
        action.action = RETRY_REQUEST;
        action.flags = 0;
        action.retryConfig = RETRY_ELSEWHERE;
        action.retryCount = 0;
      } else if (pathways.hasAlternative(current, now)) {
        action.action = SEND_TO_PENALTY_BOX;
        action.flags = MOVE_ALL_MATCHING_HOST;
        delete action.nextAutoLevel;
      }
    }
  }
  return HostFirst as unknown as HlsConfig["errorController"];
}

/** Sends the fresh ticket once there is one: until then no request needs a preflight. */
function carrying(ticket: () => string | null): NonNullable<HlsConfig["xhrSetup"]> {
  return (xhr, url) => {
    const fresh = ticket();
    if (fresh === null || !isMedia(url)) return;
    if (xhr.readyState === XMLHttpRequest.UNSENT) xhr.open("GET", url, true);
    xhr.setRequestHeader(TICKET_HEADER, fresh);
  };
}

function tuned(pathways: Pathways, ticket: () => string | null): Partial<HlsConfig> {
  return {
    xhrSetup: carrying(ticket),
    // CMAF needs no transmuxing worth a thread, and starting one costs more than it saves.
    enableWorker: false,
    errorController: hostFirst(pathways),
    maxBufferLength: BUFFER_SECONDS,
    maxMaxBufferLength: BUFFER_SECONDS_MAX,
    backBufferLength: 30,
    fragLoadPolicy: oneTry(FIRST_BYTE_MS_MAX, SEGMENT_MS_MAX),
    // A playlist is small, and a play that has not begun has no buffer to wait in.
    playlistLoadPolicy: oneTry(1_500, 6_000),
    manifestLoadPolicy: patient(3),
    steeringManifestLoadPolicy: patient(1),
    preserveManualLevelOnError: true,
    capLevelToPlayerSize: true,
    capLevelOnFPSDrop: true,
    startFragPrefetch: true,
    testBandwidth: false,
    abrEwmaDefaultEstimate: 1_500_000,
    // Nothing here is encrypted, captioned in-band or interstitial.
    emeEnabled: false,
    enableCEA708Captions: false,
    enableWebVTT: false,
    enableIMSC1: false,
  };
}

function rungsOf(levels: readonly Level[]): Rung[] {
  return levels.map((level) => ({ height: level.height, bps: level.bitrate }));
}

export class HlsEngine implements Engine {
  private hls: Hls;
  private pathways = new Pathways();
  private readonly video: HTMLVideoElement;
  private readonly signals: EngineSignals;
  private url = "";
  private pinned: number | null = null;
  private ticket: string | null = null;

  static supported(): boolean {
    return Hls.isSupported();
  }

  constructor(video: HTMLVideoElement, signals: EngineSignals) {
    this.video = video;
    this.signals = signals;
    this.hls = this.open();
  }

  private open(): Hls {
    this.pathways = new Pathways();
    const hls = new Hls(tuned(this.pathways, () => this.ticket));
    this.listen(hls);
    // Opening the media source overlaps with the press of play still being answered.
    hls.attachMedia(this.video);
    return hls;
  }

  load(url: string, startMs: number): void {
    this.url = url;
    this.hls.config.startPosition = startMs > 0 ? startMs / 1000 : -1;
    this.hls.loadSource(url);
  }

  again(): void {
    this.hls.startLoad(-1);
  }

  reload(atMs: number): void {
    // A new instance, because the old one's penalties would outlive the manifest they were about.
    this.hls.destroy();
    this.hls = this.open();
    this.load(this.url, atMs);
  }

  carry(ticket: string): void {
    this.ticket = ticket;
  }

  choose(height: number | null): void {
    this.pinned = height;
    const index = height === null ? -1 : this.hls.levels.findIndex((l) => l.height === height);
    this.hls.nextLevel = index;
  }

  destroy(): void {
    this.hls.destroy();
  }

  private listen(hls: Hls): void {
    const { signals } = this;
    hls.on(Events.MANIFEST_LOADED, (_event, manifest) => {
      for (const level of manifest.levels) {
        this.pathways.learn(level.attrs["PATHWAY-ID"] ?? ".", level.url);
      }
    });
    hls.on(Events.MANIFEST_PARSED, (_event, manifest) => {
      hls.startLevel = startingRung(rungsOf(manifest.levels));
      signals.ladder(rungsOf(manifest.levels));
    });
    hls.on(Events.LEVELS_UPDATED, (_event, { levels }) => {
      // Pathways that steering cloned are not in the manifest.
      for (const level of levels) this.pathways.learn(level.pathwayId, level.uri);
      signals.ladder(rungsOf(levels));
      if (this.pinned !== null) this.choose(this.pinned);
    });
    hls.on(Events.FRAG_LOADED, (_event, { frag }) => {
      const appliance = this.pathways.of(frag.url);
      if (appliance) this.pathways.recover(appliance);
      const { loaded, loading } = frag.stats;
      signals.fetched({
        appliance,
        url: frag.url,
        bytes: loaded,
        kind: frag.type === "audio" ? "audio" : "video",
        firstByteMs: loading.first > 0 ? loading.first - loading.start : null,
      });
    });
    hls.on(Events.ERROR, (_event, failure) => this.onFailure(failure));
  }

  private onFailure(failure: ErrorData): void {
    const detail = `${failure.details}: ${failure.error?.message ?? ""}`;
    const request = this.requestOf(failure);
    if (!failure.fatal) {
      if (HOST_FAILURES.has(failure.details)) this.signals.troubled(detail, request);
      return;
    }
    if (failure.type === "mediaError") {
      this.signals.troubled(detail, null);
      this.hls.recoverMediaError();
      return;
    }
    this.signals.exhausted(detail, request);
  }

  /** The request that failed, if it was one for a playlist or for media. */
  private requestOf(failure: ErrorData): Failure | null {
    if (!HOST_FAILURES.has(failure.details)) return null;
    const url = failure.frag?.url ?? failure.context?.url ?? failure.url;
    const timedOut = TIMEOUTS.has(failure.details);
    const status = failure.response?.code ?? (timedOut ? 0 : undefined);
    if (url === undefined || status === undefined) return null;
    return { appliance: this.pathways.of(url), url, status, timedOut };
  }
}
