// hls.js, dash.js and Shaka Player as their packages ship them, each with the few settings that we ask
// of whoever plays from Nightfill with them: a short buffer, because the test is about stalls; little
// patience with one host, because another is a line further down. `start` runs inside the page.

import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const modules = join(dirname(fileURLToPath(import.meta.url)), "../node_modules");

export const FILES = {
  hls: join(modules, "hls.js/dist/hls.min.js"),
  dash: join(modules, "dashjs/dist/modern/umd/dash.all.min.js"),
  shaka: join(modules, "shaka-player/dist/shaka-player.compiled.js"),
};

export const PAGE =
  '<!doctype html><meta charset="utf-8"><video muted playsinline width="640" height="360"></video>';

/** Starts `player` on `url`; what happens is in `window.__viewing`. Self-contained: sent to the page. */
export async function start({ player, url, bufferSeconds }) {
  const video = document.querySelector("video");
  const viewing = { positionMs: 0, stalls: 0, stallMs: 0, fatal: [], errors: 0 };
  window.__viewing = viewing;

  // A stall is a picture that stands though it should move, for longer than three ticks of the meter.
  let [before, since, inStall, begun] = [0, performance.now(), false, false];
  setInterval(() => {
    const now = performance.now();
    const at = video.currentTime;
    viewing.positionMs = Math.round(at * 1000);
    if (at > before + 0.001 || video.paused || video.ended) {
      if (inStall) viewing.stallMs += Math.round(now - since);
      [before, since, inStall, begun] = [at, now, false, begun || at > 0];
    } else if (begun && !inStall && now - since > 300) {
      inStall = true;
      viewing.stalls += 1;
    }
  }, 50);

  const play = () => video.play().catch(() => {});
  if (player === "hls") {
    const none = { maxNumRetry: 0, retryDelayMs: 0, maxRetryDelayMs: 0 };
    const impatient = (load) => ({
      default: {
        maxTimeToFirstByteMs: 2000,
        maxLoadTimeMs: load,
        timeoutRetry: none,
        errorRetry: none,
      },
    });
    const hls = new window.Hls({
      maxBufferLength: bufferSeconds,
      maxMaxBufferLength: bufferSeconds,
      fragLoadPolicy: impatient(6000),
      playlistLoadPolicy: impatient(4000),
    });
    hls.on(window.Hls.Events.ERROR, (_event, failure) => {
      viewing.errors += 1;
      if (failure.fatal) viewing.fatal.push(`${failure.details}: ${failure.error?.message}`);
    });
    hls.on(window.Hls.Events.MANIFEST_PARSED, play);
    hls.loadSource(url);
    hls.attachMedia(video);
  } else if (player === "dash") {
    const dash = window.dashjs.MediaPlayer().create();
    dash.updateSettings({
      debug: { logLevel: 0 },
      streaming: {
        buffer: {
          bufferTimeDefault: bufferSeconds,
          bufferTimeAtTopQuality: bufferSeconds,
          bufferTimeAtTopQualityLongForm: bufferSeconds,
        },
        fragmentRequestTimeout: 6000,
        fragmentRequestProgressTimeout: 2000,
        // dash.js keeps a base URL that failed once on its black list for longer than a restart takes.
        blacklistExpiryTime: 10,
        retryAttempts: { MediaSegment: 0, InitializationSegment: 0, IndexSegment: 0 },
      },
    });
    // A request that failed on one base URL is told as an error and then made on the next one.
    const failedRequests = [27, 28];
    dash.on(window.dashjs.MediaPlayer.events.ERROR, (event) => {
      viewing.errors += 1;
      if (failedRequests.includes(event.error?.code)) return;
      viewing.fatal.push(`${event.error?.code}: ${event.error?.message}`);
    });
    dash.initialize(video, url, true);
  } else {
    window.shaka.polyfill.installAll();
    const shaka = new window.shaka.Player();
    await shaka.attach(video);
    const retryParameters = { maxAttempts: 2, baseDelay: 150, backoffFactor: 2, timeout: 4000 };
    shaka.configure({
      streaming: { bufferingGoal: bufferSeconds, rebufferingGoal: 0.5, retryParameters },
      manifest: { retryParameters: { maxAttempts: 3, baseDelay: 300 } },
    });
    shaka.addEventListener("error", (event) => {
      viewing.errors += 1;
      const { severity, code, data } = event.detail;
      if (severity === 2) viewing.fatal.push(`${code}: ${String(data?.[0]).slice(0, 120)}`);
    });
    await shaka.load(url);
    play();
  }
}
