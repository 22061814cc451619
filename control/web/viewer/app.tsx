// Who is here and which page they see. Holds the account and the chosen profile, nothing else.

import { useEffect, useState } from "preact/hooks";
import { ApiError } from "../shared/api/http";
import { member, renew, wasSignedIn, whenSignedOut } from "../shared/api/member";
import type { Account, Profile } from "../shared/api/types";
import { AccountPage } from "./pages/account";
import { AuthPage } from "./pages/auth";
import { HomePage } from "./pages/home";
import { ProfilesPage } from "./pages/profiles";
import { SearchPage } from "./pages/search";
import { TitlePageView } from "./pages/title";
import { Header } from "./parts/header";
import { go, hrefs, nameOf, useRoute } from "./route";
import { WatchPage } from "./watch/watch";

const PROFILE_SETTING = "nightfill-profile";

type Who =
  | { kind: "asking" }
  | { kind: "nobody" }
  | { kind: "unreachable"; message: string }
  | { kind: "member"; account: Account; profile: Profile | null };

function rememberedProfile(account: Account): Profile | null {
  const saved = localStorage.getItem(PROFILE_SETTING);
  const found = account.profiles.find((each) => each.id === saved);
  if (found) return found;
  return account.profiles.length === 1 ? (account.profiles[0] ?? null) : null;
}

export function App() {
  const [who, setWho] = useState<Who>({ kind: "asking" });
  const route = useRoute();

  const enter = (account: Account) =>
    setWho({ kind: "member", account, profile: rememberedProfile(account) });

  const ask = () => {
    if (!wasSignedIn()) {
      setWho({ kind: "nobody" });
      return;
    }
    setWho({ kind: "asking" });
    renew()
      .then((session) => enter(session.account))
      .catch((cause: unknown) => {
        const away = cause instanceof ApiError && (cause.status === 0 || cause.status >= 500);
        setWho(away ? { kind: "unreachable", message: cause.message } : { kind: "nobody" });
      });
  };

  // Asked once, when the page opens.
  useEffect(() => {
    whenSignedOut(() => setWho({ kind: "nobody" }));
    ask();
  }, []);

  useEffect(() => {
    if (route.page !== "watch") window.scrollTo(0, 0);
  }, [route.page]);

  const name = who.kind === "nobody" ? "Sign in – Nightfill" : nameOf(route);
  const title = "title" in route ? route.title : "";
  useEffect(() => {
    document.title = name;
  }, [name, title]);

  if (who.kind === "asking") return <div class="hush" role="status" aria-label="Loading" />;
  if (who.kind === "unreachable") return <Unreachable message={who.message} onRetry={ask} />;
  if (who.kind === "nobody") return <AuthPage onSession={(session) => enter(session.account)} />;

  const { account, profile } = who;
  const choose = (chosen: Profile) => {
    localStorage.setItem(PROFILE_SETTING, chosen.id);
    setWho({ ...who, profile: chosen });
    if (route.page === "profiles") go(hrefs.home);
  };
  // Who removes their own profile is asked who they are now.
  const change = (next: Account) =>
    setWho({
      ...who,
      account: next,
      profile: next.profiles.find((each) => each.id === profile?.id) ?? null,
    });
  const leave = () => {
    member.signOut().catch(() => {});
    setWho({ kind: "nobody" });
    go(hrefs.home);
  };
  if (!profile || route.page === "profiles") {
    return (
      <ProfilesPage account={account} onAccount={change} onChoose={choose} onSignOut={leave} />
    );
  }
  if (route.page === "watch") {
    return <WatchPage key={route.title} title={route.title} profile={profile.id} />;
  }
  return (
    <>
      <button type="button" class="skip" onClick={skipToContent}>
        Skip to content
      </button>
      <Header profile={profile} route={route} onSignOut={leave} />
      <main id="content" tabIndex={-1}>
        {route.page === "home" && <HomePage key={profile.id} profile={profile} />}
        {route.page === "title" && (
          <TitlePageView key={route.title} title={route.title} profile={profile.id} />
        )}
        {route.page === "search" && <SearchPage query={route.query} profile={profile.id} />}
        {route.page === "account" && (
          <AccountPage account={account} onAccount={change} onSignOut={leave} />
        )}
      </main>
      <footer class="foot">Nightfill — films from a server near you.</footer>
    </>
  );
}

// The fragment is the route, so this cannot be an anchor.
function skipToContent(): void {
  document.getElementById("content")?.focus();
}

function Unreachable({ message, onRetry }: { message: string; onRetry: () => void }) {
  return (
    <div class="middle">
      <h1>We will be right back</h1>
      <p class="muted">{message}</p>
      <button type="button" class="button lamp" onClick={onRetry}>
        Try again
      </button>
    </div>
  );
}
