// The overlay behind the `i` key: where the picture comes from and how it is doing.

import type { Playback } from "../../shared/player/playback";
import { bytes } from "../../shared/ui/format";

export function Stats({ playback }: { playback: Playback }) {
  const { readings } = playback;
  const served = Object.entries(readings.bytesByAppliance).sort((a, b) => b[1] - a[1]);
  const lines: [string, string][] = [
    ["Start-up", readings.startupMs === null ? "…" : `${readings.startupMs} ms`],
    ["Picture", readings.height ? `${readings.height}p, ${readings.droppedFrames} dropped` : "…"],
    ["Buffer", `${(readings.bufferMs / 1000).toFixed(1)} s`],
    ["Stalls", `${readings.stalls} (${readings.stallMs} ms)`],
    ["Switches", String(readings.switches)],
    ["Format", readings.engine.toUpperCase()],
  ];
  return (
    <aside class="stats" aria-label="Streaming details">
      <p class="stats-head">
        <span class="pulse" aria-hidden="true" />
        Streaming from <strong>{readings.appliance ?? "…"}</strong>
      </p>
      <dl>
        {lines.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
        {served.map(([appliance, count]) => (
          <div key={appliance}>
            <dt>{appliance}</dt>
            <dd>{bytes(count)}</dd>
          </div>
        ))}
      </dl>
      {readings.trouble && <p class="stats-trouble">Overcame {readings.trouble}</p>}
    </aside>
  );
}
