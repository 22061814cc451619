// The player page: a press becomes a picture, and everything around the picture stays out of its way.

import { useCallback, useEffect, useReducer, useRef, useState } from "preact/hooks";
import { ApiError } from "../../shared/api/http";
import { member } from "../../shared/api/member";
import type { TitlePage } from "../../shared/api/types";
import { Playback } from "../../shared/player/playback";
import {
  chosenEngine,
  type Press,
  pressPlay,
  takePress,
  warmEngine,
} from "../../shared/player/press";
import { Art } from "../parts/art";
import { Icon } from "../parts/icons";
import { Refused } from "../parts/refused";
import { go, hrefs, useTitleName } from "../route";
import { Controls } from "./controls";
import { useKeys } from "./keys";
import { Stats } from "./stats";

/** Controls go away after this long without a hand on them. */
const QUIET_MS = 3_000;

export function WatchPage({ title, profile }: { title: string; profile: string }) {
  const [press, setPress] = useState<Press | null>(() => takePress(title));
  const [page, setPage] = useState<TitlePage | null>(null);
  const [refusal, setRefusal] = useState<ApiError | null>(null);
  const [attempt, setAttempt] = useState(0);
  useTitleName(page?.card.name);

  useEffect(() => {
    setRefusal(null);
    void warmEngine(chosenEngine());
    // With a press under way the picture goes first; the name above it can wait for a moment.
    const refused = (cause: unknown) => cause instanceof ApiError && setRefusal(cause);
    const timer = window.setTimeout(
      () => member.title(title, profile).then(setPage, refused),
      press ? 600 : 0,
    );
    return () => window.clearTimeout(timer);
    // A later press changes nothing here.
  }, [title, profile, attempt]);

  // A picture that plays needs no name; a gate without a film behind it leads nowhere.
  if (!press && refusal) {
    const { message, status } = refusal;
    const again = () => setAttempt((count) => count + 1);
    return <Refused absent={status === 404} message={message} again={again} />;
  }
  if (!press) {
    return (
      <Gate
        page={page}
        title={title}
        onPlay={(fromStart) => {
          setPress(pressPlay(title, profile, fromStart));
          takePress(title);
        }}
      />
    );
  }
  return (
    <Screen
      key={press.at}
      press={press}
      name={page?.card.name ?? ""}
      onAgain={(fromStart) => {
        setPress(pressPlay(title, profile, fromStart));
        takePress(title);
      }}
    />
  );
}

interface GateProps {
  page: TitlePage | null;
  title: string;
  onPlay: (fromStart: boolean) => void;
}

/** After a reload or from a bookmark there is no gesture yet, and browsers want one for sound. */
function Gate({ page, title, onPlay }: GateProps) {
  const card = page?.card;
  const resumes = Boolean(card?.position_ms);
  return (
    <main class="gate">
      <div class="backdrop">
        <Art id={title} name="" artwork={card?.artwork} eager />
      </div>
      <a class="round-button gate-back" href={hrefs.title(title)} aria-label="Back to the title">
        <Icon name="back" />
      </a>
      <div class="gate-words">
        <h1>{card?.name ?? " "}</h1>
        <button
          type="button"
          class="button lamp large"
          disabled={!card}
          onClick={() => onPlay(false)}
        >
          <Icon name="play" />
          {resumes ? "Resume" : "Play"}
        </button>
        {resumes && (
          <button type="button" class="button" onClick={() => onPlay(true)}>
            Start over
          </button>
        )}
      </div>
    </main>
  );
}

interface ScreenProps {
  press: Press;
  name: string;
  onAgain: (fromStart: boolean) => void;
}

function Screen({ press, name, onAgain }: ScreenProps) {
  const frame = useRef<HTMLDivElement>(null);
  const video = useRef<HTMLVideoElement>(null);
  const [playback, setPlayback] = useState<Playback | null>(null);
  const [, redraw] = useReducer((count: number) => count + 1, 0);
  const [stats, setStats] = useState(false);
  const [awake, stir] = useAwake();

  useEffect(() => {
    if (!video.current) return;
    const begun = new Playback(video.current, press, chosenEngine(), () => redraw(undefined));
    setPlayback(begun);
    return () => begun.close();
  }, [press]);

  const back = useCallback(() => go(hrefs.title(press.title)), [press.title]);
  useKeys(playback, frame, { stir, back, toggleStats: () => setStats((shown) => !shown) });

  const state = playback?.readings.state ?? "starting";
  const held = state === "paused" || state === "ended" || state === "failed";
  const shown = awake || held || playback?.needsGesture;
  return (
    <div
      class={`screen${shown ? "" : " quiet"}`}
      ref={frame}
      onPointerMove={stir}
      onPointerDown={stir}
      data-state={state}
    >
      {/* biome-ignore lint/a11y/useMediaCaption: the catalog carries no captions yet. */}
      <video
        ref={video}
        playsInline
        onClick={() => playback?.toggle()}
        aria-label={name || "Video"}
      />
      {(state === "starting" || state === "stalled" || state === "seeking") &&
        !playback?.failure && (
          <div class="spinner" role="status" aria-label="Loading the picture" />
        )}
      {playback?.hold() && (
        <p class="hold" role="status">
          {playback.hold()}
        </p>
      )}
      {stats && playback && <Stats playback={playback} />}
      {playback?.needsGesture && (
        <button type="button" class="button lamp large centre" onClick={() => playback.resume()}>
          <Icon name="play" />
          Play
        </button>
      )}
      {playback?.failure && (
        <div class="failed" role="alert">
          <h1>Playback stopped</h1>
          <p>{playback.failure}</p>
          <div class="actions">
            <button type="button" class="button lamp" onClick={() => onAgain(false)}>
              Try again
            </button>
            <button type="button" class="button" onClick={back}>
              Back to the title
            </button>
          </div>
        </div>
      )}
      {state === "ended" && (
        <div class="failed">
          <h1>The end</h1>
          <div class="actions">
            <button type="button" class="button lamp" onClick={() => onAgain(true)}>
              <Icon name="again" />
              Watch again
            </button>
            <a class="button" href={hrefs.home}>
              Home
            </a>
          </div>
        </div>
      )}
      {playback && !playback.failure && (
        <Controls
          playback={playback}
          name={name}
          frame={frame}
          stats={stats}
          onStats={() => setStats(!stats)}
          onBack={back}
        />
      )}
    </div>
  );
}

/** True for a while after every call of `stir`. */
function useAwake(): [boolean, () => void] {
  const [awake, setAwake] = useState(true);
  const timer = useRef(0);
  const stir = useCallback(() => {
    setAwake(true);
    window.clearTimeout(timer.current);
    timer.current = window.setTimeout(() => setAwake(false), QUIET_MS);
  }, []);
  useEffect(() => {
    stir();
    return () => window.clearTimeout(timer.current);
  }, [stir]);
  return [awake, stir];
}
