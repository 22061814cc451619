// Where the viewer is, kept in the address's fragment so that any static file server can serve it.

import { useEffect, useState } from "preact/hooks";

export type Route =
  | { page: "home" }
  | { page: "title"; title: string }
  | { page: "watch"; title: string }
  | { page: "search"; query: string }
  | { page: "profiles" }
  | { page: "account" };

export function parseRoute(hash: string): Route {
  const [path = "", search = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const [page, rest = ""] = path.split("/", 2);
  const title = safeDecode(rest);
  if (page === "title" && title) return { page, title };
  if (page === "watch" && title) return { page, title };
  if (page === "search") return { page, query: new URLSearchParams(search).get("q") ?? "" };
  if (page === "profiles" || page === "account") return { page };
  return { page: "home" };
}

/** What the browser's tab says; pages that show a title say the title's name themselves. */
export function nameOf(route: Route): string {
  const words: string[] = [];
  if (route.page === "search") words.push(route.query.trim(), "Search");
  if (route.page === "profiles") words.push("Profiles");
  if (route.page === "account") words.push("Account");
  return [...words.filter(Boolean), "Nightfill"].join(" – ");
}

/** Names the tab after a title once it is known. */
export function useTitleName(name: string | undefined): void {
  useEffect(() => {
    if (name) document.title = `${name} – Nightfill`;
  }, [name]);
}

function safeDecode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}

export const hrefs = {
  home: "#/",
  title: (title: string) => `#/title/${encodeURIComponent(title)}`,
  watch: (title: string) => `#/watch/${encodeURIComponent(title)}`,
  search: (query: string) => `#/search?q=${encodeURIComponent(query)}`,
  profiles: "#/profiles",
  account: "#/account",
};

export function go(href: string): void {
  window.location.hash = href.slice(1);
}

/** Rewrites the address without a history entry: typing a search is one visit, not one a letter. */
export function rewrite(href: string): void {
  window.history.replaceState(null, "", href);
  window.dispatchEvent(new HashChangeEvent("hashchange"));
}

export function useRoute(): Route {
  const [route, setRoute] = useState(() => parseRoute(window.location.hash));
  useEffect(() => {
    const follow = () => setRoute(parseRoute(window.location.hash));
    window.addEventListener("hashchange", follow);
    return () => window.removeEventListener("hashchange", follow);
  }, []);
  return route;
}
