// A profile's face: its initial on a colour of its own.

import type { Profile } from "../../shared/api/types";

/** A stable number for a name, 0 to 359. */
export function hue(text: string): number {
  let sum = 7;
  for (const letter of text) sum = (sum * 31 + (letter.codePointAt(0) ?? 0)) % 360_007;
  return sum % 360;
}

export function Avatar({ profile, large = false }: { profile: Profile; large?: boolean }) {
  const turn = hue(profile.id);
  const paint = `linear-gradient(145deg, hsl(${turn} 46% 44%), hsl(${(turn + 50) % 360} 52% 24%))`;
  return (
    <span class={`avatar${large ? " large" : ""}`} style={{ background: paint }} aria-hidden="true">
      {(Array.from(profile.name)[0] ?? "?").toUpperCase()}
    </span>
  );
}
