// The console's frame: the key, the tabs, and the questions every tab shares.

import { useEffect, useRef, useState } from "preact/hooks";
import { forgetKey, operator, savedKey, saveKey } from "../shared/api/operator";
import { Brand } from "../shared/ui/brand";
import { sendingBps } from "./figures";
import type { Fleet, Trend } from "./panel";
import { usePoll } from "./poll";
import { Appliances } from "./sections/appliances";
import { Fills } from "./sections/fills";
import { LiveSessions } from "./sections/live";
import { Overview } from "./sections/overview";
import { Sites } from "./sections/sites";
import { Titles } from "./sections/titles";
import { Windows } from "./sections/windows";

const TABS = ["overview", "appliances", "sites", "fill", "windows", "live", "titles"] as const;
type Tab = (typeof TABS)[number];

/** Samples kept for the spark lines: four minutes of them. */
const SAMPLES_MAX = 120;

function tabOf(hash: string): Tab {
  const name = hash.replace(/^#\/?/, "");
  return TABS.find((tab) => tab === name) ?? "overview";
}

export function App() {
  const [key, setKey] = useState(savedKey());
  const [refused, setRefused] = useState(false);
  if (!key) {
    return (
      <KeyForm
        refused={refused}
        onKey={(next) => {
          saveKey(next);
          setRefused(false);
          setKey(next);
        }}
      />
    );
  }
  const leave = (wasRefused: boolean) => {
    forgetKey();
    setRefused(wasRefused);
    setKey(null);
  };
  return <Desk onLeave={() => leave(false)} onRefused={() => leave(true)} />;
}

function KeyForm({ refused, onKey }: { refused: boolean; onKey: (key: string) => void }) {
  const submit = (event: Event) => {
    event.preventDefault();
    const key = new FormData(event.currentTarget as HTMLFormElement).get("key");
    if (typeof key === "string" && key.trim()) onKey(key.trim());
  };
  return (
    <main class="key-page">
      <form onSubmit={submit} class="panel key-form">
        <Brand suffix="console" />
        <label class="field">
          Operator key
          <input
            name="key"
            type="password"
            autoComplete="off"
            required
            ref={(field) => field?.focus()}
          />
        </label>
        {refused && (
          <p class="notice" role="alert">
            The key was refused. It is in the file named by operator.key_file in control.toml.
          </p>
        )}
        <button type="submit" class="button lamp">
          Open the console
        </button>
        <p class="muted">Kept in this tab only.</p>
      </form>
    </main>
  );
}

function Desk({ onLeave, onRefused }: { onLeave: () => void; onRefused: () => void }) {
  const [tab, setTab] = useState(() => tabOf(window.location.hash));
  const trend = useRef<Trend>({ bps: [], plays: [] });

  useEffect(() => {
    const follow = () => setTab(tabOf(window.location.hash));
    window.addEventListener("hashchange", follow);
    return () => window.removeEventListener("hashchange", follow);
  }, []);

  const polled = usePoll<Fleet>(
    async () => {
      const [appliances, live, fills] = await Promise.all([
        operator.appliances(),
        operator.live(),
        operator.fills(),
      ]);
      return { appliances, live, fills };
    },
    ({ appliances, live }) => {
      const { bps, plays } = trend.current;
      trend.current = {
        bps: [...bps, sendingBps(appliances)].slice(-SAMPLES_MAX),
        plays: [...plays, live.sessions.length].slice(-SAMPLES_MAX),
      };
    },
  );
  useEffect(() => {
    if (polled.refused) onRefused();
  });

  const fleet = polled.value;
  return (
    <div class="desk">
      <header class="desk-top">
        <Brand suffix="console" />
        <nav aria-label="Sections">
          {TABS.map((name) => (
            <a key={name} href={`#/${name}`} aria-current={tab === name ? "page" : undefined}>
              {name}
            </a>
          ))}
        </nav>
        <span class={`link-state${polled.problem ? " bad" : ""}`} role="status">
          <span class="dot" aria-hidden="true" />
          {polled.problem ? "control is away" : "live"}
        </span>
        <button type="button" class="button small" onClick={onLeave}>
          Forget key
        </button>
      </header>
      <main class="desk-main">
        {polled.problem && <p class="notice">{polled.problem}</p>}
        {tab === "sites" && <Sites fleet={fleet?.appliances ?? []} />}
        {tab === "windows" && <Windows />}
        {tab === "titles" && <Titles />}
        {fleet && tab === "overview" && <Overview fleet={fleet} trend={trend.current} />}
        {fleet && tab === "appliances" && (
          <Appliances fleet={fleet.appliances} onChanged={polled.nudge} />
        )}
        {fleet && tab === "fill" && <Fills fills={fleet.fills} />}
        {fleet && tab === "live" && <LiveSessions live={fleet.live} />}
      </main>
    </div>
  );
}
