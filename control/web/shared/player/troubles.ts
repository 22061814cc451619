// What appliances did wrong and how late they answered, in the words steering wants to hear.
// Pure: times are handed in. Accuses nobody of what the ticket, the film or the player did.

import type { PlayTrouble, TroubleKind } from "../api/types";
import { FIRST_BYTE_MS_MAX } from "./engine";

/** A request that did not bring what was asked for. */
export interface Failure {
  /** Pathway that was asked; `null` when the engine does not know. */
  appliance: string | null;
  url: string;
  /** HTTP status; 0 when there was no answer. */
  status: number;
  /** Given up by our own clock. */
  timedOut: boolean;
}

/** A trouble waiting to be told. */
export interface Told {
  appliance: string;
  trouble: PlayTrouble;
  detail: string;
}

/** Reports that exist only to tell troubles are at least this far apart. */
export const TROUBLES_EVERY_MS = 1_000;
/** Most troubles that wait for a report; more in one second say nothing new. */
export const TROUBLES_MAX = 16;
/** Steering counts words, so the same one is not said again within this. */
export const REPEAT_MS = 5_000;
/** Longer than any request is waited for: the page slept, and the time is not the appliance's. */
const FIRST_BYTE_MS_BELIEVED = 2 * FIRST_BYTE_MS_MAX;
const OBJECT = /\/([0-9a-f]{64})(?:\.[a-z0-9]+)?$/;
const DETAIL_MAX = 200;

/** The object a URL names, when it names one. */
export function objectOf(url: string): string | null {
  try {
    return OBJECT.exec(new URL(url).pathname)?.[1] ?? null;
  } catch {
    return null;
  }
}

function kindOf({ status, timedOut }: Failure): TroubleKind | null {
  if (timedOut) return "timeout";
  if (status === 0) return "refused";
  if (status === 404) return "not_found";
  return status >= 500 && status <= 599 ? "failed" : null;
}

/** `null` for what is not the appliance's doing: a ticket that ended (401, 403) is ours. */
export function troubleOf(failure: Failure): PlayTrouble | null {
  const kind = kindOf(failure);
  return kind && { kind, object: objectOf(failure.url) };
}

/** An engine's words without the ticket that its URLs carry, and short enough for a log. */
export function plainDetail(text: string): string {
  return text.replace(/\bhttps?:\/\/[^\s"'<>]+/gi, (url) => hostOf(url)).slice(0, DETAIL_MAX);
}

function hostOf(url: string): string {
  try {
    return new URL(url).host;
  } catch {
    return "an address";
  }
}

/** Troubles on their way to the reporter: at once when it was quiet, else together. */
export class Troubles {
  private waiting: Told[] = [];
  private readonly saidAt = new Map<string, number>();
  private takenAt = Number.NEGATIVE_INFINITY;

  /** Keeps what is new; says whether it was. */
  note(told: Told, now: number): boolean {
    for (const [word, at] of this.saidAt) if (now - at >= REPEAT_MS) this.saidAt.delete(word);
    const { kind, object } = told.trouble;
    // Only a missing object is a word about the object; the others are about the appliance.
    const word = `${told.appliance} ${kind} ${kind === "not_found" ? object : ""}`;
    if (this.saidAt.has(word) || this.waiting.length >= TROUBLES_MAX) return false;
    this.saidAt.set(word, now);
    this.waiting.push(told);
    return true;
  }

  /** What may be told in a report of its own now. */
  takeDue(now: number): Told[] {
    return now - this.takenAt < TROUBLES_EVERY_MS ? [] : this.takeAll(now);
  }

  /** What rides along in a report that leaves anyway. */
  takeAll(now: number): Told[] {
    if (this.waiting.length === 0) return [];
    const taken = this.waiting;
    this.waiting = [];
    this.takenAt = now;
    return taken;
  }
}

/** Longest time to the first byte since the last event, by appliance. */
export class FirstBytes {
  private readonly longest = new Map<string, number>();

  note(appliance: string, ms: number | null): void {
    if (ms === null || !(ms >= 0 && ms <= FIRST_BYTE_MS_BELIEVED)) return;
    this.longest.set(appliance, Math.max(this.longest.get(appliance) ?? 0, Math.round(ms)));
  }

  /** The figure of the appliance an event names; whatever was measured before is forgotten. */
  take(appliance: string | null): number | undefined {
    const ms = appliance === null ? undefined : this.longest.get(appliance);
    this.longest.clear();
    return ms;
  }
}
