// The member's side of the API: one session, its token in memory only, renewed by an HttpOnly cookie.
// Never writes a token to storage: what a script cannot read after a reload, it cannot leak.

import { ApiError, call } from "./http";
import type {
  Account,
  Home,
  Plan,
  PlayAnswer,
  Profile,
  SearchAnswer,
  Session,
  TitlePage,
} from "./types";

/** Renew this long before the token's end, so that a press of play never waits for it. */
const RENEW_AHEAD_MS = 60_000;

/** Says that this browser has a session, so that a first visit asks for none. Not the token. */
const SIGNED_IN_SETTING = "nightfill-signed-in";

let token: string | null = null;
let tokenEndsAt = 0;
let renewing: Promise<Session> | null = null;
let onSignedOut: () => void = () => {};

/** Called when the server ends the session; the page then shows the sign-in form. */
export function whenSignedOut(react: () => void): void {
  onSignedOut = react;
}

/** Whether somebody signed in here and did not sign out. */
export function wasSignedIn(): boolean {
  return localStorage.getItem(SIGNED_IN_SETTING) !== null;
}

function forget(): void {
  token = null;
  localStorage.removeItem(SIGNED_IN_SETTING);
}

function keep(session: Session): Session {
  localStorage.setItem(SIGNED_IN_SETTING, "yes");
  token = session.access_token;
  tokenEndsAt = session.access_expires_at;
  return session;
}

/**
 * A refresh token may be used once; a second use ends the session. So one renewal runs at a time in
 * this tab (the promise) and across tabs (the lock, where the browser offers locks).
 */
export function renew(): Promise<Session> {
  renewing ??= inTurn(() => call<Session>("/v1/sessions/refresh", { method: "POST" }))
    .then(keep)
    .catch((error: unknown) => {
      if (error instanceof ApiError && error.status === 401) forget();
      throw error;
    })
    .finally(() => {
      renewing = null;
    });
  return renewing;
}

function inTurn<T>(work: () => Promise<T>): Promise<T> {
  if (!navigator.locks) return work();
  return navigator.locks.request("nightfill-renew", work) as Promise<T>;
}

/** A call as the member: renews ahead of the token's end, and once more if the server disagrees. */
async function asMember<T>(
  path: string,
  options: { method?: string; body?: unknown; signal?: AbortSignal } = {},
): Promise<T> {
  try {
    if (token === null || Date.now() > tokenEndsAt - RENEW_AHEAD_MS) await renewIfPossible();
    try {
      return await call<T>(path, { ...options, bearer: token });
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 401) throw error;
      await renew();
      return await call<T>(path, { ...options, bearer: token });
    }
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) {
      forget();
      onSignedOut();
    }
    throw error;
  }
}

/** A token that still has some life is used when renewal fails for want of a server. */
async function renewIfPossible(): Promise<void> {
  try {
    await renew();
  } catch (error) {
    const stillGood = token !== null && Date.now() < tokenEndsAt;
    if (!stillGood || (error instanceof ApiError && error.status === 401)) throw error;
  }
}

export const member = {
  signUp: (email: string, password: string, profile_name: string) =>
    call<Session>("/v1/accounts", {
      method: "POST",
      body: { email, password, profile_name },
    }).then(keep),
  signIn: (email: string, password: string) =>
    call<Session>("/v1/sessions", { method: "POST", body: { email, password } }).then(keep),
  async signOut(): Promise<void> {
    try {
      await asMember<void>("/v1/sessions/current", { method: "DELETE" });
    } finally {
      forget();
    }
  },
  account: () => asMember<Account>("/v1/account"),
  plans: () => call<Plan[]>("/v1/plans"),
  choosePlan: (plan: string) =>
    asMember<unknown>("/v1/account/plan", { method: "PUT", body: { plan } }),
  addProfile: (name: string) =>
    asMember<Profile>("/v1/profiles", { method: "POST", body: { name } }),
  removeProfile: (profile: string) =>
    asMember<void>(`/v1/profiles/${encodeURIComponent(profile)}`, { method: "DELETE" }),
  home: (profile: string) => asMember<Home>(`/v1/profiles/${encodeURIComponent(profile)}/home`),
  title: (title: string, profile: string) =>
    asMember<TitlePage>(
      `/v1/titles/${encodeURIComponent(title)}?profile=${encodeURIComponent(profile)}`,
    ),
  search: (query: string, profile: string, signal: AbortSignal) =>
    asMember<SearchAnswer>(
      `/v1/search?q=${encodeURIComponent(query)}&profile=${encodeURIComponent(profile)}`,
      { signal },
    ),
  play: (title: string, profile: string) =>
    asMember<PlayAnswer>("/v1/plays", { method: "POST", body: { title, profile } }),
};

/** Public and immutable: the object's name is the hash of its bytes. */
export function artworkUrl(object: string): string {
  return `/v1/artwork/${object}`;
}
