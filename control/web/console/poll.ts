// The same question every two seconds, without piling up: the next is asked after the last was answered.

import { useEffect, useState } from "preact/hooks";
import { ApiError } from "../shared/api/http";

export const POLL_MS = 2_000;

export interface Polled<T> {
  /** The newest answer; kept when a later question fails. */
  value: T | null;
  /** Why the newest question failed; empty when it did not. */
  problem: string;
  /** The key was refused. */
  refused: boolean;
  /** Asks now. */
  nudge: () => void;
}

export function usePoll<T>(ask: () => Promise<T>, onValue?: (value: T) => void): Polled<T> {
  const [state, setState] = useState<Omit<Polled<T>, "nudge">>({
    value: null,
    problem: "",
    refused: false,
  });
  const [nudges, setNudges] = useState(0);
  // The question is fixed for the hook's life, so only a nudge starts over.
  useEffect(() => {
    let current = true;
    let timer = 0;
    const round = async () => {
      try {
        const value = await ask();
        if (!current) return;
        onValue?.(value);
        setState({ value, problem: "", refused: false });
      } catch (cause) {
        if (!current) return;
        const problem = cause instanceof ApiError ? cause.message : String(cause);
        const refused = cause instanceof ApiError && (cause.status === 401 || cause.status === 403);
        setState((before) => ({ ...before, problem, refused }));
      }
      if (current) timer = window.setTimeout(round, POLL_MS);
    };
    void round();
    return () => {
      current = false;
      window.clearTimeout(timer);
    };
  }, [nudges]);
  return { ...state, nudge: () => setNudges((count) => count + 1) };
}
