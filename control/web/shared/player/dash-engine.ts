// dash.js, tuned like hls.js: little patience with one host, because another is a line further down.
// Loaded only when asked for; nothing on the usual path imports this file statically.

import { MediaPlayer, type MediaPlayerClass, type Representation } from "dashjs";
import { failureOf, firstByteMs, type PlayerError, type SegmentRequest } from "./dash-requests";
import {
  BUFFER_SECONDS,
  BUFFER_SECONDS_MAX,
  type Engine,
  type EngineSignals,
  FIRST_BYTE_MS_MAX,
  PENALTY_MS,
  START_BPS_MAX,
} from "./engine";
import { isMedia, TICKET_HEADER } from "./renewal";

interface SegmentLoaded {
  request?: SegmentRequest;
  response?: ArrayBuffer;
  mediaType?: string;
}

export class DashEngine implements Engine {
  private readonly player: MediaPlayerClass = MediaPlayer().create();
  private readonly video: HTMLVideoElement;
  private readonly signals: EngineSignals;
  private url = "";
  private begun = false;
  private ticket: string | null = null;

  constructor(video: HTMLVideoElement, signals: EngineSignals) {
    this.video = video;
    this.signals = signals;
    this.tune();
    this.listen();
  }

  load(url: string, startMs: number): void {
    this.url = url;
    const start = startMs > 0 ? startMs / 1000 : undefined;
    if (this.begun) {
      this.player.attachSource(url, start);
      return;
    }
    this.begun = true;
    this.player.initialize(this.video, url, true, start);
  }

  again(): void {
    // dash.js stops for good on a fatal error; only `reload` helps.
  }

  reload(atMs: number): void {
    this.load(this.url, atMs);
  }

  carry(ticket: string): void {
    const first = this.ticket === null;
    this.ticket = ticket;
    if (!first) return;
    // Only once there is a fresh ticket: until then no request needs a preflight.
    this.player.addRequestInterceptor((request) => {
      if (isMedia(request.url) && this.ticket !== null) {
        request.headers = { ...request.headers, [TICKET_HEADER]: this.ticket };
      }
      return Promise.resolve(request);
    });
  }

  choose(height: number | null): void {
    const auto = height === null;
    this.player.updateSettings({ streaming: { abr: { autoSwitchBitrate: { video: auto } } } });
    if (auto) return;
    const chosen = this.representations().find((each) => each.height === height);
    if (chosen) this.player.setRepresentationForTypeById("video", chosen.id);
  }

  destroy(): void {
    this.player.destroy();
  }

  private representations(): Representation[] {
    try {
      return this.player.getRepresentationsByType("video");
    } catch {
      return [];
    }
  }

  private tune(): void {
    this.player.updateSettings({
      debug: { logLevel: 0 },
      streaming: {
        applyContentSteering: true,
        blacklistExpiryTime: PENALTY_MS / 1000,
        fragmentRequestTimeout: FIRST_BYTE_MS_MAX + 1_500,
        fragmentRequestProgressTimeout: FIRST_BYTE_MS_MAX,
        retryAttempts: { MediaSegment: 0, InitializationSegment: 0, IndexSegment: 0, MPD: 3 },
        retryIntervals: { MPD: 300 },
        buffer: {
          bufferTimeDefault: BUFFER_SECONDS,
          bufferTimeAtTopQuality: BUFFER_SECONDS_MAX,
          bufferTimeAtTopQualityLongForm: BUFFER_SECONDS_MAX,
          bufferToKeep: 30,
          fastSwitchEnabled: true,
        },
        lastBitrateCachingInfo: { enabled: false },
        lastMediaSettingsCachingInfo: { enabled: false },
        abr: {
          limitBitrateByPortal: true,
          initialBitrate: { video: START_BPS_MAX / 1000 },
        },
      },
    });
  }

  private listen(): void {
    const { player, signals } = this;
    const names = MediaPlayer.events;
    player.on(names.FRAGMENT_LOADING_COMPLETED, (event: SegmentLoaded) => {
      const bytes = event.response?.byteLength ?? event.request?.bytesLoaded;
      // Index requests answer neither bytes nor a count that is a number.
      if (!bytes || !Number.isSafeInteger(bytes)) return;
      const kind = event.mediaType === "audio" ? "audio" : "video";
      const request = event.request ?? {};
      signals.fetched({
        appliance: request.serviceLocation ?? null,
        url: request.url ?? "",
        bytes,
        kind,
        firstByteMs: firstByteMs(request),
      });
    });
    player.on(names.STREAM_INITIALIZED, () => {
      signals.ladder(
        this.representations().map((each) => ({ height: each.height, bps: each.bandwidth })),
      );
    });
    player.on(names.ERROR, (event: { error?: PlayerError | string }) => {
      const { error } = event;
      if (typeof error === "string") return signals.exhausted(error, null);
      signals.exhausted(`${error?.code}: ${error?.message}`, error ? failureOf(error) : null);
    });
  }
}
