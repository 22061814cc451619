// What a page shows in place of an answer it did not get.

import { hrefs } from "../route";

interface Props {
  /** There is no such thing, so that asking again would not help. */
  absent: boolean;
  message: string;
  again: () => void;
}

export function Refused({ absent, message, again }: Props) {
  return (
    <div class="middle" role="alert">
      <h1>{absent ? "This is not showing here" : "This page did not load"}</h1>
      <p class="muted">{message}</p>
      {absent ? (
        <a class="button lamp" href={hrefs.home}>
          Home
        </a>
      ) : (
        <button type="button" class="button lamp" onClick={again}>
          Try again
        </button>
      )}
    </div>
  );
}
