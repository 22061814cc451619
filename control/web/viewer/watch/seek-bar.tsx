// Where we are, what is buffered, and a thumb to go elsewhere.
// A range input underneath, so that keyboards and screen readers need nothing special.

import { useState } from "preact/hooks";
import type { Playback } from "../../shared/player/playback";
import { clock, percent } from "../../shared/ui/format";

export function SeekBar({ playback }: { playback: Playback }) {
  // While a thumb is dragged the bar follows the hand, and the picture follows when it lets go.
  const [dragged, setDragged] = useState<number | null>(null);
  const [hover, setHover] = useState<number | null>(null);
  const duration = playback.readings.durationMs;
  const position = dragged ?? playback.readings.positionMs;
  const place = (ms: number) => `${percent(ms, duration)}%`;

  const onHover = (event: PointerEvent) => {
    const box = (event.currentTarget as HTMLElement).getBoundingClientRect();
    setHover(Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)) * duration);
  };
  return (
    <div class="seek" onPointerMove={onHover} onPointerLeave={() => setHover(null)}>
      <div class="seek-rail" aria-hidden="true">
        {playback.bufferedRanges().map((range) => (
          <span
            key={range.startMs}
            class="seek-buffered"
            style={{ left: place(range.startMs), width: place(range.endMs - range.startMs) }}
          />
        ))}
        <span class="seek-done" style={{ width: place(position) }} />
        <span class="seek-thumb" style={{ left: place(position) }} />
      </div>
      {hover !== null && (
        <span class="seek-hint" style={{ left: place(hover) }} aria-hidden="true">
          {clock(hover)}
        </span>
      )}
      <input
        type="range"
        min={0}
        max={Math.max(1, duration)}
        step={250}
        value={position}
        aria-label="Seek"
        aria-valuetext={`${clock(position)} of ${clock(duration)}`}
        onInput={(event) => setDragged(Number(event.currentTarget.value))}
        onChange={(event) => {
          setDragged(null);
          playback.seek(Number(event.currentTarget.value));
        }}
      />
    </div>
  );
}
