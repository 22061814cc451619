// One title: what it is, who made it, and the button that matters.

import { useEffect } from "preact/hooks";
import { member } from "../../shared/api/member";
import type { TitlePage } from "../../shared/api/types";
import { chosenEngine, pressPlay, warmEngine } from "../../shared/player/press";
import { length } from "../../shared/ui/format";
import { Art } from "../parts/art";
import { Card, facts, Progress } from "../parts/card";
import { Icon } from "../parts/icons";
import { useLoaded } from "../parts/load";
import { Refused } from "../parts/refused";
import { go, hrefs, useTitleName } from "../route";

/** The best picture is on the card already, often with the name in it; here the next one serves. */
export function backdropOf(page: TitlePage): string | null {
  return page.artwork[1] ?? page.artwork[0] ?? page.card.artwork;
}

export function TitlePageView({ title, profile }: { title: string; profile: string }) {
  const page = useLoaded(`${title} ${profile}`, () => member.title(title, profile));
  useEffect(() => {
    void warmEngine(chosenEngine());
  }, []);
  if (page.kind === "waiting") {
    return (
      <div role="status" aria-label="Loading the title">
        <div class="marquee tall waiting" />
      </div>
    );
  }
  if (page.kind === "refused") return <Refused {...page} />;
  return <TitleShown page={page.answer} profile={profile} />;
}

function TitleShown({ page, profile }: { page: TitlePage; profile: string }) {
  const { card } = page;
  useTitleName(card.name);
  const backdrop = backdropOf(page);
  const stills = page.artwork.filter((still) => still !== backdrop).slice(0, 4);
  const play = (fromStart: boolean) => {
    pressPlay(card.id, profile, fromStart);
    go(hrefs.watch(card.id));
  };
  const left = card.position_ms ? card.duration_ms - card.position_ms : 0;
  return (
    <article>
      <section class="marquee tall" aria-label={card.name}>
        <div class="backdrop">
          <Art id={card.id} name="" artwork={backdrop} eager />
        </div>
        <div class="marquee-words">
          <h1>{card.name}</h1>
          <p class="facts">{facts(card)}</p>
          <p class="synopsis">{page.synopsis}</p>
          {left > 0 && (
            <div class="so-far">
              <Progress card={card} />
              <span>{length(left)} left</span>
            </div>
          )}
          <div class="actions">
            <button type="button" class="button lamp" onClick={() => play(false)}>
              <Icon name="play" />
              {left > 0 ? "Resume" : "Play"}
            </button>
            {left > 0 && (
              <button type="button" class="button" onClick={() => play(true)}>
                <Icon name="again" />
                Start over
              </button>
            )}
          </div>
        </div>
      </section>
      <div class="about">
        {page.people.length > 0 && (
          <p>
            <span>With</span> {page.people.join(", ")}
          </p>
        )}
        {card.genres.length > 0 && (
          <p>
            <span>Genres</span> {card.genres.join(", ")}
          </p>
        )}
        {page.credit && (
          <p class="credit">
            <span>Credit</span> {page.credit}
          </p>
        )}
      </div>
      {stills.length > 0 && (
        <section class="stills" aria-label="Stills">
          {stills.map((still) => (
            <Art key={still} id={card.id} name={card.name} artwork={still} />
          ))}
        </section>
      )}
      {page.more_like_this.length > 0 && (
        <section class="grid-section" aria-labelledby="more-like-this">
          <h2 id="more-like-this">More like this</h2>
          <ul class="grid">
            {page.more_like_this.map((other) => (
              <li key={other.id}>
                <Card card={other} />
              </li>
            ))}
          </ul>
        </section>
      )}
    </article>
  );
}
