// The first page after signing in: one film on the marquee, then the rows.

import { useEffect, useState } from "preact/hooks";
import { member } from "../../shared/api/member";
import type { Home, Profile, RowKind, TitleCard, TitlePage } from "../../shared/api/types";
import { chosenEngine, pressPlay, warmEngine } from "../../shared/player/press";
import { Art } from "../parts/art";
import { facts } from "../parts/card";
import { Icon } from "../parts/icons";
import { useLoaded } from "../parts/load";
import { Refused } from "../parts/refused";
import { TitleRow } from "../parts/row";
import { go, hrefs } from "../route";
import { backdropOf } from "./title";

/** Rows whose first title deserves the marquee, in this order. */
const MARQUEE: RowKind[] = ["top_picks", "trending", "new_here", "because_you_watched"];

function marqueeOf(home: Home): TitleCard | null {
  for (const kind of MARQUEE) {
    const first = home.rows.find((row) => row.kind === kind)?.titles[0];
    if (first) return first;
  }
  return home.rows[0]?.titles[0] ?? null;
}

export function HomePage({ profile }: { profile: Profile }) {
  const home = useLoaded(profile.id, () => member.home(profile.id));

  useEffect(() => {
    // The player's code is fetched while the member looks around, so that a press need not wait.
    const idle = window.setTimeout(() => void warmEngine(chosenEngine()), 400);
    return () => window.clearTimeout(idle);
  }, []);

  if (home.kind === "waiting") return <HomeSkeleton />;
  if (home.kind === "refused") return <Refused {...home} />;
  const marquee = marqueeOf(home.answer);
  if (!marquee) {
    return (
      <div class="middle">
        <h1>Nothing is showing yet</h1>
        <p class="muted">New films arrive overnight. Come back tomorrow.</p>
      </div>
    );
  }
  return (
    <>
      <h1 class="visually-hidden">Home</h1>
      <Marquee card={marquee} profile={profile.id} />
      <div class="rows">
        {home.answer.rows.map((row, index) => (
          <TitleRow key={`${row.kind}-${row.heading}`} row={row} eager={index < 2} />
        ))}
      </div>
    </>
  );
}

function Marquee({ card, profile }: { card: TitleCard; profile: string }) {
  const [page, setPage] = useState<TitlePage | null>(null);
  const [alone, setAlone] = useState(false);
  useEffect(() => {
    let current = true;
    // The card has neither synopsis nor backdrop; the marquee can do without both.
    member
      .title(card.id, profile)
      .then((answer) => current && setPage(answer))
      .catch(() => current && setAlone(true));
    return () => {
      current = false;
    };
  }, [card.id, profile]);
  const play = () => {
    pressPlay(card.id, profile);
    go(hrefs.watch(card.id));
  };
  return (
    <section class="marquee" aria-label={card.name}>
      <div class="backdrop">
        {(page || alone) && (
          <Art id={card.id} name="" artwork={page ? backdropOf(page) : card.artwork} eager />
        )}
      </div>
      <div class="marquee-words">
        <h2>{card.name}</h2>
        <p class="facts">{facts(card)}</p>
        <p class="synopsis">{page?.synopsis ?? " "}</p>
        <div class="actions">
          <button type="button" class="button lamp" onClick={play}>
            <Icon name="play" />
            {card.position_ms ? "Resume" : "Play"}
          </button>
          <a class="button" href={hrefs.title(card.id)}>
            Details
          </a>
        </div>
      </div>
    </section>
  );
}

function HomeSkeleton() {
  return (
    <div role="status" aria-label="Loading titles">
      <div class="marquee waiting" />
      <div class="rows">
        {["first", "second"].map((name) => (
          <div key={name} class="row waiting">
            <span />
            <span />
            <span />
            <span />
            <span />
          </div>
        ))}
      </div>
    </div>
  );
}
