// What a page shows in place of an answer it did not get.

export function Refused({ message, again }: { message: string; again: () => void }) {
  return (
    <div class="middle" role="alert">
      <h1>This page did not load</h1>
      <p class="muted">{message}</p>
      <button type="button" class="button lamp" onClick={again}>
        Try again
      </button>
    </div>
  );
}
