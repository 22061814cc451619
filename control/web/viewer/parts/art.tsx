// A title's picture, or a painted stand-in that carries its name when there is none.

import { useState } from "preact/hooks";
import { artworkUrl } from "../../shared/api/member";
import { hue } from "./avatar";

interface Props {
  id: string;
  name: string;
  artwork: string | null | undefined;
  /** Above the fold: fetched at once. */
  eager?: boolean;
}

export function Art({ id, name, artwork, eager = false }: Props) {
  const [broken, setBroken] = useState(false);
  if (!artwork || broken) {
    const turn = hue(id);
    const paint = [
      `radial-gradient(90% 120% at 20% 10%, hsl(${turn} 38% 32%), transparent 70%)`,
      `linear-gradient(150deg, hsl(${(turn + 40) % 360} 32% 20%), hsl(${turn} 30% 9%))`,
    ].join(", ");
    return (
      <span class="art painted" style={{ background: paint }} aria-hidden="true">
        <span>{name}</span>
      </span>
    );
  }
  return (
    <img
      class="art"
      src={artworkUrl(artwork)}
      alt=""
      loading={eager ? "eager" : "lazy"}
      decoding="async"
      draggable={false}
      onError={() => setBroken(true)}
    />
  );
}
