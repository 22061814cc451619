// Fill windows: when, for whom, how fast. The ISP's say over its own links.

import { useState } from "preact/hooks";
import { ApiError } from "../../shared/api/http";
import { operator } from "../../shared/api/operator";
import type { FillWindow, NewWindow, WindowScope } from "../../shared/api/types";
import { bytes, megabits } from "../../shared/ui/format";
import { Panel } from "../panel";
import { usePoll } from "../poll";
import { Empty, Table, Word } from "./parts";

function scopeWords(scope: WindowScope): string {
  if (typeof scope === "string") return "everyone";
  const [kind, name] = Object.entries(scope)[0] ?? ["", ""];
  return `${kind} ${name}`;
}

function stateOf(window: FillWindow, now: number): string {
  if (window.closed) return "closed";
  if (now < window.opens_at) return "scheduled";
  return now < window.closes_at ? "open" : "over";
}

function moment(at: number): string {
  return new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short" }).format(at);
}

export function Windows() {
  const { value: windows, problem, nudge } = usePoll(operator.windows);
  const [refusal, setRefusal] = useState("");

  const attempt = async (work: () => Promise<unknown>): Promise<boolean> => {
    setRefusal("");
    try {
      await work();
      nudge();
      return true;
    } catch (cause) {
      setRefusal(cause instanceof ApiError ? cause.message : String(cause));
      return false;
    }
  };

  const now = Date.now();
  const sorted = [...(windows ?? [])].sort((a, b) => b.opens_at - a.opens_at);
  return (
    <>
      <Panel title="Open a window">
        <WindowForm onOpen={(window) => attempt(() => operator.openWindow(window))} />
        {(refusal || problem) && (
          <p class="notice" role="alert">
            {refusal || problem}
          </p>
        )}
      </Panel>
      <Panel title="Windows">
        {windows?.length === 0 && <Empty>None. Appliances fill only inside a window.</Empty>}
        {sorted.length > 0 && (
          <Table heads={["Window", "State", "For", "Opens", "Closes", "Rate cap", "Byte cap", ""]}>
            {sorted.map((window) => {
              const state = stateOf(window, now);
              return (
                <tr key={window.id}>
                  <th scope="row">{window.id}</th>
                  <td>
                    <Word word={state} />
                  </td>
                  <td>{scopeWords(window.scope)}</td>
                  <td class="number">{moment(window.opens_at)}</td>
                  <td class="number">{moment(window.closes_at)}</td>
                  <td class="number">
                    {window.rate_bps_max === null
                      ? "none"
                      : `${megabits(window.rate_bps_max)} Mb/s`}
                  </td>
                  <td class="number">
                    {window.bytes_max === null ? "none" : bytes(window.bytes_max)}
                  </td>
                  <td>
                    {(state === "open" || state === "scheduled") && (
                      <button
                        type="button"
                        class="button small"
                        aria-label={`Close ${window.id}`}
                        onClick={() => attempt(() => operator.closeWindow(window.id))}
                      >
                        Close
                      </button>
                    )}
                  </td>
                </tr>
              );
            })}
          </Table>
        )}
      </Panel>
    </>
  );
}

function readForm(form: FormData): NewWindow {
  const text = (name: string) => String(form.get(name) ?? "").trim();
  const kind = text("kind");
  const scope = kind === "everyone" ? kind : { [kind]: text("name") };
  const window: NewWindow = {
    id: text("id"),
    scope: scope as WindowScope,
    length_ms: Math.round(Number(text("minutes")) * 60_000),
  };
  if (text("rate")) window.rate_bps_max = Math.round(Number(text("rate")) * 1e6);
  if (text("gigabytes")) window.bytes_max = Math.round(Number(text("gigabytes")) * 1e9);
  return window;
}

function WindowForm({ onOpen }: { onOpen: (window: NewWindow) => Promise<boolean> }) {
  const [kind, setKind] = useState("everyone");
  const submit = async (event: Event) => {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    if (await onOpen(readForm(new FormData(form)))) form.reset();
  };
  return (
    <form class="window-form" onSubmit={submit}>
      <label class="field">
        Name
        <input
          name="id"
          required
          pattern="[a-z0-9][a-z0-9\-]*"
          maxLength={64}
          placeholder="tonight"
        />
      </label>
      <label class="field">
        For
        <select name="kind" value={kind} onChange={(event) => setKind(event.currentTarget.value)}>
          <option value="everyone">everyone</option>
          <option value="isp">one ISP</option>
          <option value="site">one site</option>
          <option value="appliance">one appliance</option>
        </select>
      </label>
      {kind !== "everyone" && (
        <label class="field">
          Which {kind === "isp" ? "ISP" : kind}
          <input name="name" required pattern="[a-z0-9][a-z0-9\-]*" maxLength={64} />
        </label>
      )}
      <label class="field">
        Minutes, from now
        <input name="minutes" type="number" required min={1} max={1440} value={60} />
      </label>
      <label class="field">
        Mb/s, each
        <input name="rate" type="number" min={0.1} step="any" placeholder="no cap" />
      </label>
      <label class="field">
        GB, each
        <input name="gigabytes" type="number" min={0.001} step="any" placeholder="no cap" />
      </label>
      <button type="submit" class="button lamp">
        Open
      </button>
    </form>
  );
}
