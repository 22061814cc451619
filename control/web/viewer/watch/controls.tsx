// The bar under the picture. Everything here is also on the keyboard; see `keys.ts`.

import type { RefObject } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { Playback } from "../../shared/player/playback";
import { clock } from "../../shared/ui/format";
import { Icon, type IconName } from "../parts/icons";
import { toggleFullscreen } from "./fullscreen";
import { SeekBar } from "./seek-bar";

interface Props {
  playback: Playback;
  name: string;
  frame: RefObject<HTMLDivElement | null>;
  stats: boolean;
  onStats: () => void;
  onBack: () => void;
}

const STEP_MS = 10_000;

export function Controls({ playback, name, frame, stats, onStats, onBack }: Props) {
  const { readings } = playback;
  const full = useFullscreen();
  const stopped = readings.state === "paused" || readings.state === "ended";
  return (
    <div class="controls">
      <div class="controls-top">
        <Tool icon="back" label="Back to the title" onClick={onBack} />
        <h1>{name}</h1>
      </div>
      <div class="controls-foot">
        <SeekBar playback={playback} />
        <div class="controls-line">
          <Tool
            icon={stopped ? "play" : "pause"}
            label={stopped ? "Play" : "Pause"}
            onClick={() => playback.toggle()}
          />
          <Tool
            icon="back10"
            label="Back 10 seconds"
            onClick={() => playback.seek(readings.positionMs - STEP_MS)}
          />
          <Tool
            icon="forward10"
            label="Forward 10 seconds"
            onClick={() => playback.seek(readings.positionMs + STEP_MS)}
          />
          <Volume frame={frame} />
          <span class="time">
            {clock(readings.positionMs)} <span>/ {clock(readings.durationMs)}</span>
          </span>
          <span class="controls-gap" />
          <Tool icon="signal" label="Streaming details" pressed={stats} onClick={onStats} />
          <Quality playback={playback} />
          <Tool
            icon={full ? "shrink" : "enlarge"}
            label={full ? "Leave full screen" : "Full screen"}
            onClick={() => toggleFullscreen(frame.current)}
          />
        </div>
      </div>
    </div>
  );
}

interface ToolProps {
  icon: IconName;
  label: string;
  pressed?: boolean;
  onClick: () => void;
}

function Tool({ icon, label, pressed, onClick }: ToolProps) {
  return (
    <button
      type="button"
      class="round-button"
      aria-label={label}
      title={label}
      aria-pressed={pressed}
      onClick={onClick}
    >
      <Icon name={icon} />
    </button>
  );
}

function useFullscreen(): boolean {
  const [full, setFull] = useState(document.fullscreenElement !== null);
  useEffect(() => {
    const look = () => setFull(document.fullscreenElement !== null);
    document.addEventListener("fullscreenchange", look);
    return () => document.removeEventListener("fullscreenchange", look);
  }, []);
  return full;
}

function Volume({ frame }: { frame: RefObject<HTMLDivElement | null> }) {
  const video = frame.current?.querySelector("video");
  if (!video) return null;
  const level = video.muted ? 0 : video.volume;
  return (
    <div class="volume">
      <Tool
        icon={level === 0 ? "muted" : "volume"}
        label={video.muted ? "Sound on" : "Mute"}
        onClick={() => {
          video.muted = !video.muted;
        }}
      />
      <input
        type="range"
        min={0}
        max={1}
        step={0.05}
        value={level}
        aria-label="Volume"
        style={{ "--filled": `${level * 100}%` }}
        onInput={(event) => {
          video.volume = Number(event.currentTarget.value);
          video.muted = video.volume === 0;
        }}
      />
    </div>
  );
}

function Quality({ playback }: { playback: Playback }) {
  const [open, setOpen] = useState(false);
  const choose = (height: number | null) => {
    playback.choose(height);
    setOpen(false);
  };
  const choices: (number | null)[] = [null, ...playback.rungs.map((rung) => rung.height)];
  const word = (height: number | null) => (height === null ? "Auto" : `${height}p`);
  return (
    <div class="quality">
      <button
        type="button"
        class="round-button"
        aria-label={`Quality: ${word(playback.pinnedHeight)}`}
        title="Quality"
        aria-haspopup="menu"
        aria-expanded={open}
        onClick={() => setOpen(!open)}
      >
        <Icon name="quality" />
      </button>
      {open && (
        <div class="quality-menu" role="menu" aria-label="Quality">
          {choices.map((height) => (
            <button
              type="button"
              key={word(height)}
              role="menuitemradio"
              aria-checked={playback.pinnedHeight === height}
              onClick={() => choose(height)}
            >
              {word(height)}
              {height === null && playback.readings.height > 0 && (
                <span> {playback.readings.height}p</span>
              )}
            </button>
          ))}
        </div>
      )}
    </div>
  );
}
