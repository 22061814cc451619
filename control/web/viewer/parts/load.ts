// A question to the server as a page sees it: waiting, answered or refused.

import { useEffect, useState } from "preact/hooks";
import { ApiError } from "../../shared/api/http";

export type Loaded<T> =
  | { kind: "waiting" }
  | { kind: "answered"; answer: T }
  | { kind: "refused"; absent: boolean; message: string; again: () => void };

/** Asks again whenever `key` changes; answers of earlier keys are dropped. */
export function useLoaded<T>(key: string, ask: () => Promise<T>): Loaded<T> {
  const [state, setState] = useState<Loaded<T>>({ kind: "waiting" });
  const [attempt, setAttempt] = useState(0);
  // `key` names what `ask` asks for, so `ask` itself is no reason to ask again.
  useEffect(() => {
    let current = true;
    setState({ kind: "waiting" });
    ask()
      .then((answer) => current && setState({ kind: "answered", answer }))
      .catch((cause: unknown) => {
        if (!current) return;
        const message = cause instanceof ApiError ? cause.message : "Something went wrong here.";
        // What is not there will not be there at a second try either.
        const absent = cause instanceof ApiError && cause.status === 404;
        const again = () => setAttempt((count) => count + 1);
        setState({ kind: "refused", absent, message, again });
      });
    return () => {
      current = false;
    };
  }, [key, attempt]);
  return state;
}
