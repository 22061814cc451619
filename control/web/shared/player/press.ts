// A press of play: asked for at the moment of the press, before any page has changed.
// Holds at most one press, the one the watch page is about to take.

import { member } from "../api/member";
import type { PlayAnswer } from "../api/types";
import type { EngineName } from "./engine";

export interface Press {
  title: string;
  profile: string;
  /** `performance.now()` of the press: start-up is counted from here. */
  at: number;
  /** Begin at 0 whatever the server remembers. */
  fromStart: boolean;
  answer: Promise<PlayAnswer>;
}

let waiting: Press | null = null;

/** Starts the play and the player's code at once; the watch page joins them with `takePress`. */
export function pressPlay(title: string, profile: string, fromStart = false): Press {
  const at = performance.now();
  const answer = member.play(title, profile);
  // The watch page reports the failure; without this line the browser would report it first.
  answer.catch(() => {});
  // The connection to the first appliance opens while the playlist is still on its way.
  answer.then((play) => openConnection(play.ranked[0]?.base_url)).catch(() => {});
  void warmEngine(chosenEngine());
  waiting = { title, profile, at, fromStart, answer };
  return waiting;
}

/** The press that led here, once; `null` after a reload or from a bookmark. */
export function takePress(title: string): Press | null {
  const press = waiting?.title === title ? waiting : null;
  waiting = null;
  return press;
}

function openConnection(url: string | undefined): void {
  if (!url) return;
  const link = document.createElement("link");
  link.rel = "preconnect";
  link.href = new URL(url).origin;
  link.crossOrigin = "anonymous";
  document.head.append(link);
  setTimeout(() => link.remove(), 10_000);
}

const ENGINE_SETTING = "nightfill-engine";

/** `?engine=dash|hls` in the address wins over the saved setting; HLS is the default. */
export function chosenEngine(): EngineName {
  const hash = window.location.hash;
  const inHash = hash.includes("?") ? new URLSearchParams(hash.slice(hash.indexOf("?"))) : null;
  const asked =
    new URLSearchParams(window.location.search).get("engine") ?? inHash?.get("engine") ?? null;
  if (asked === "dash" || asked === "hls") return asked;
  return localStorage.getItem(ENGINE_SETTING) === "dash" ? "dash" : "hls";
}

export function saveEngine(name: EngineName): void {
  localStorage.setItem(ENGINE_SETTING, name);
}

export function loadHls() {
  return import("./hls-engine");
}

export function loadDash() {
  return import("./dash-engine");
}

/** Fetches and compiles the engine ahead of the press; harmless to call often. */
export function warmEngine(name: EngineName): Promise<unknown> {
  return (name === "dash" ? loadDash() : loadHls()).catch(() => undefined);
}
