// One title in a row or a grid.

import type { TitleCard } from "../../shared/api/types";
import { length, percent } from "../../shared/ui/format";
import { hrefs } from "../route";
import { Art } from "./art";

/** How far a member is, for eyes and for screen readers. */
export function Progress({ card }: { card: TitleCard }) {
  if (!card.position_ms) return null;
  const done = percent(card.position_ms, card.duration_ms);
  return (
    <span
      class="progress"
      role="progressbar"
      aria-label={`Watched of ${card.name}`}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={Math.round(done)}
    >
      <span style={{ width: `${Math.max(2, done)}%` }} />
    </span>
  );
}

export function facts(card: TitleCard): string {
  return [String(card.year), length(card.duration_ms), ...card.genres.slice(0, 2)].join(" · ");
}

export function Card({ card, eager = false }: { card: TitleCard; eager?: boolean }) {
  const left = card.position_ms ? card.duration_ms - card.position_ms : 0;
  return (
    <a class="card" href={hrefs.title(card.id)} data-title={card.id}>
      <span class="card-frame">
        <Art id={card.id} name={card.name} artwork={card.artwork} eager={eager} />
        <Progress card={card} />
      </span>
      <span class="card-name">{card.name}</span>
      <span class="card-facts">
        {left > 0
          ? `${length(left)} left`
          : [card.year, card.genres[0]].filter(Boolean).join(" · ")}
      </span>
    </a>
  );
}
