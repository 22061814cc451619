// Search as you type: the newest question wins, and the last answer stays until a better one comes.

import { useEffect, useState } from "preact/hooks";
import { ApiError } from "../../shared/api/http";
import { member } from "../../shared/api/member";
import type { SearchAnswer } from "../../shared/api/types";
import { plural } from "../../shared/ui/format";
import { Card } from "../parts/card";

const TYPING_PAUSE_MS = 120;

export function SearchPage({ query, profile }: { query: string; profile: string }) {
  const [answer, setAnswer] = useState<SearchAnswer | null>(null);
  const [problem, setProblem] = useState("");
  const wanted = query.trim();

  useEffect(() => {
    if (!wanted) {
      setAnswer(null);
      return;
    }
    const stop = new AbortController();
    const timer = window.setTimeout(() => {
      member
        .search(wanted, profile, stop.signal)
        .then((found) => {
          if (stop.signal.aborted) return;
          setAnswer(found);
          setProblem("");
        })
        .catch((cause: unknown) => {
          if (stop.signal.aborted) return;
          setProblem(cause instanceof ApiError ? cause.message : "Search failed. Try again.");
        });
    }, TYPING_PAUSE_MS);
    return () => {
      stop.abort();
      window.clearTimeout(timer);
    };
  }, [wanted, profile]);

  return (
    <div class="found">
      <h1 class="visually-hidden">Search</h1>
      <p class="found-count" role="status">
        {problem || countOf(wanted, answer)}
      </p>
      {answer && wanted && (
        <ul class="grid">
          {answer.titles.map((card) => (
            <li key={card.id}>
              <Card card={card} />
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

function countOf(wanted: string, answer: SearchAnswer | null): string {
  if (!wanted) return "Type a title, a name or a genre.";
  if (!answer) return "Searching…";
  if (answer.titles.length === 0) return `Nothing found for “${wanted}”.`;
  return `${plural(answer.titles.length, "title")} for “${wanted}”`;
}
