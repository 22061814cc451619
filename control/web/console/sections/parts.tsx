// Small shapes the sections share: bars, words of state, spark lines, empty tables.

import type { ComponentChildren } from "preact";
import { percent } from "../../shared/ui/format";
import { sparkPoints } from "../figures";

interface BarProps {
  part: number;
  whole: number;
  label: string;
  tone?: "lamp" | "sky" | "bad" | "good";
}

export function Bar({ part, whole, label, tone = "lamp" }: BarProps) {
  const share = percent(part, whole);
  return (
    <span
      class={`bar ${tone}`}
      role="progressbar"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={Math.round(share)}
    >
      <span style={{ width: `${share}%` }} />
    </span>
  );
}

const TONES: Record<string, string> = {
  healthy: "good",
  playing: "good",
  done: "good",
  open: "good",
  filling: "sky",
  waiting: "calm",
  unheard: "calm",
  starting: "calm",
  paused: "calm",
  scheduled: "calm",
  closed: "calm",
  over: "calm",
  draining: "warn",
  stalled: "bad",
  silent: "bad",
  sick: "bad",
  stuck: "bad",
};

export function Word({ word }: { word: string }) {
  return (
    <span class={`word ${TONES[word] ?? "calm"}`}>
      <span class="dot" aria-hidden="true" />
      {word}
    </span>
  );
}

export function Spark({ values, label }: { values: number[]; label: string }) {
  const [width, height] = [240, 44];
  const points = sparkPoints(values, width, height - 4);
  return (
    <svg class="spark" viewBox={`0 0 ${width} ${height}`} preserveAspectRatio="none" role="img">
      <title>{label}</title>
      {values.length > 1 && (
        <>
          <polygon points={`0,${height} ${points} ${width},${height}`} />
          <polyline points={points} />
        </>
      )}
    </svg>
  );
}

export function Table({ heads, children }: { heads: string[]; children: ComponentChildren }) {
  return (
    <div class="table-frame">
      <table>
        <thead>
          <tr>
            {heads.map((head) => (
              <th key={head} scope="col">
                {head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  );
}

export function Empty({ children }: { children: ComponentChildren }) {
  return <p class="empty">{children}</p>;
}
