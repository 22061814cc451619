// The bar on top: home, search as you type, who is watching.

import { useEffect, useRef, useState } from "preact/hooks";
import type { Profile } from "../../shared/api/types";
import { Brand } from "../../shared/ui/brand";
import { go, hrefs, type Route, rewrite } from "../route";
import { Avatar } from "./avatar";
import { Icon } from "./icons";

interface Props {
  profile: Profile;
  route: Route;
  onSignOut: () => void;
}

export function Header({ profile, route, onSignOut }: Props) {
  const [solid, setSolid] = useState(false);
  useEffect(() => {
    const look = () => setSolid(window.scrollY > 24);
    look();
    window.addEventListener("scroll", look, { passive: true });
    return () => window.removeEventListener("scroll", look);
  }, []);
  return (
    <header class={`top${solid ? " solid" : ""}`}>
      <a href={hrefs.home} aria-label="Nightfill, home">
        <Brand />
      </a>
      <SearchBox query={route.page === "search" ? route.query : null} />
      <ProfileMenu profile={profile} onSignOut={onSignOut} />
    </header>
  );
}

function SearchBox({ query }: { query: string | null }) {
  const [text, setText] = useState(query ?? "");
  const field = useRef<HTMLInputElement>(null);

  useEffect(() => {
    // The address changed elsewhere (a link, the back button); what is being typed is left alone.
    if (document.activeElement !== field.current) setText(query ?? "");
  }, [query]);

  const type = (next: string) => {
    setText(next);
    if (query !== null) rewrite(hrefs.search(next));
    else if (next.trim()) go(hrefs.search(next));
  };
  const onKey = (event: KeyboardEvent) => {
    if (event.key !== "Escape") return;
    setText("");
    if (query !== null) go(hrefs.home);
  };
  return (
    <search class="find">
      <Icon name="search" />
      <input
        ref={field}
        type="search"
        value={text}
        placeholder="Titles, people, genres"
        aria-label="Search titles, people and genres"
        autoComplete="off"
        spellcheck={false}
        maxLength={100}
        onInput={(event) => type(event.currentTarget.value)}
        onKeyDown={onKey}
      />
    </search>
  );
}

function ProfileMenu({ profile, onSignOut }: { profile: Profile; onSignOut: () => void }) {
  const [open, setOpen] = useState(false);
  const box = useRef<HTMLDivElement>(null);

  useEffect(() => {
    if (!open) return;
    const away = (event: Event) => {
      if (event instanceof KeyboardEvent ? event.key === "Escape" : !inside(box.current, event)) {
        setOpen(false);
      }
    };
    document.addEventListener("pointerdown", away);
    document.addEventListener("keydown", away);
    return () => {
      document.removeEventListener("pointerdown", away);
      document.removeEventListener("keydown", away);
    };
  }, [open]);

  const close = () => setOpen(false);
  return (
    <div class="who" ref={box}>
      <button
        type="button"
        class="who-button"
        aria-haspopup="true"
        aria-expanded={open}
        aria-label={`Profile ${profile.name}: open menu`}
        onClick={() => setOpen(!open)}
      >
        <Avatar profile={profile} />
      </button>
      {open && (
        <nav class="who-menu" aria-label="Profile">
          <p>{profile.name}</p>
          <a href={hrefs.profiles} onClick={close}>
            Switch profile
          </a>
          <a href={hrefs.account} onClick={close}>
            Account and plan
          </a>
          <button type="button" onClick={onSignOut}>
            Sign out
          </button>
        </nav>
      )}
    </div>
  );
}

function inside(box: HTMLElement | null, event: Event): boolean {
  return event.target instanceof Node && box?.contains(event.target) === true;
}
