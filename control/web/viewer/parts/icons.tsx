// Every icon of the viewer, drawn as paths of one 24-unit grid.

const PATHS = {
  search: "M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13Zm5 11.5L20 20",
  play: "M7 4.5v15l12.5-7.5L7 4.5Z",
  pause: "M7 5h3.4v14H7V5Zm6.6 0H17v14h-3.4V5Z",
  back: "M14.5 5 7.5 12l7 7",
  volume: "M4 9.5v5h3.5L12 18.5v-13L7.5 9.5H4Zm11.5-1a5 5 0 0 1 0 7M18 6a8.5 8.5 0 0 1 0 12",
  muted: "M4 9.5v5h3.5L12 18.5v-13L7.5 9.5H4Zm11.5 0 5 5m0-5-5 5",
  enlarge: "M4.5 9.5v-5h5m5 0h5v5m0 5v5h-5m-5 0h-5v-5",
  shrink: "M9.5 4.5v5h-5m15 0h-5v-5m0 15v-5h5m-15 0h5v5",
  quality: "M5 7h14M5 12h14M5 17h14M9 5v4m7 1v4m-8 1v4",
  back10: "M11.5 5.5 8 3v5.5M8.2 5.7a7.5 7.5 0 1 1-3.4 4",
  forward10: "M12.5 5.5 16 3v5.5m-.2-2.8a7.5 7.5 0 1 0 3.4 4",
  plus: "M12 5v14M5 12h14",
  left: "M14 6l-6 6 6 6",
  right: "M10 6l6 6-6 6",
  signal: "M5 19v-4m4.7 4v-7.5M14.3 19V8.5M19 19V5",
  again: "M6 12a6.5 6.5 0 1 0 2-4.7M8 3.5v4h4",
} as const;

export type IconName = keyof typeof PATHS;

const FILLED = new Set<IconName>(["play", "pause"]);

export function Icon({ name }: { name: IconName }) {
  const filled = FILLED.has(name);
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true">
      <path
        d={PATHS[name]}
        fill={filled ? "currentColor" : "none"}
        stroke={filled ? "none" : "currentColor"}
        stroke-width="1.8"
        stroke-linecap="round"
        stroke-linejoin="round"
      />
      {name.endsWith("10") && (
        <text x="12" y="16.6" font-size="7.4" font-weight="700" text-anchor="middle">
          10
        </text>
      )}
    </svg>
  );
}
