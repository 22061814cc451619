// The keyboard of the player page. Keys work wherever the focus is, except where text is typed.
//
//   space, k  play or pause      left, right  10 s back, on       j, l  the same
//   up, down  louder, softer     m  mute      f  full screen       i  stats
//   0-9  to that tenth           home, end    Escape  back (or out of full screen)

import type { RefObject } from "preact";
import { useEffect } from "preact/hooks";
import type { Playback } from "../../shared/player/playback";
import { toggleFullscreen } from "./fullscreen";

const STEP_MS = 10_000;

interface Hands {
  stir: () => void;
  back: () => void;
  toggleStats: () => void;
}

export function useKeys(
  playback: Playback | null,
  frame: RefObject<HTMLElement | null>,
  hands: Hands,
): void {
  useEffect(() => {
    if (!playback) return;
    const onKey = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (!act(event, playback, frame.current, hands)) return;
      event.preventDefault();
      hands.stir();
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  });
}

/** Whether the key meant something here. */
function act(
  event: KeyboardEvent,
  playback: Playback,
  frame: HTMLElement | null,
  hands: Hands,
): boolean {
  const video = frame?.querySelector("video");
  if (!video) return false;
  const target = event.target instanceof HTMLElement ? event.target : null;
  const onButton = target?.closest("button, a, [role=menu]") != null;
  const onVolume = target?.closest(".volume input") != null;
  const position = video.currentTime * 1000;
  const { key } = event;
  // A focused button keeps its own space bar, the volume its own arrows.
  if (key === " " && onButton) return false;
  if (onVolume && key.startsWith("Arrow")) return false;
  if (/^[0-9]$/.test(key)) {
    playback.seek((playback.durationMs() * Number(key)) / 10);
    return true;
  }
  switch (key.length === 1 ? key.toLowerCase() : key) {
    case " ":
    case "k":
      playback.toggle();
      return true;
    case "ArrowLeft":
    case "j":
      playback.seek(position - STEP_MS);
      return true;
    case "ArrowRight":
    case "l":
      playback.seek(position + STEP_MS);
      return true;
    case "ArrowUp":
      video.volume = Math.min(1, video.volume + 0.1);
      video.muted = false;
      return true;
    case "ArrowDown":
      video.volume = Math.max(0, video.volume - 0.1);
      return true;
    case "Home":
      playback.seek(0);
      return true;
    case "End":
      playback.seek(playback.durationMs());
      return true;
    case "m":
      video.muted = !video.muted;
      return true;
    case "f":
      toggleFullscreen(frame);
      return true;
    case "i":
      hands.toggleStats();
      return true;
    case "Escape":
      // The browser itself uses the key to leave full screen.
      if (!document.fullscreenElement) hands.back();
      return true;
    default:
      return false;
  }
}
