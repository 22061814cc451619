// Signing in and signing up: one form, two questions.

import { useState } from "preact/hooks";
import { ApiError } from "../../shared/api/http";
import { member } from "../../shared/api/member";
import type { Session } from "../../shared/api/types";
import { Brand } from "../../shared/ui/brand";
import { Skyline } from "../parts/skyline";

const PASSWORD_MIN = 8;
const PASSWORD_MAX = 256;

export function AuthPage({ onSession }: { onSession: (session: Session) => void }) {
  const [mode, setMode] = useState<"in" | "up">("in");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState("");

  const submit = async (event: Event) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    const field = (name: string) => String(form.get(name) ?? "").trim();
    const password = String(form.get("password") ?? "");
    setBusy(true);
    setProblem("");
    try {
      const email = field("email");
      onSession(
        mode === "up"
          ? await member.signUp(email, password, field("profile"))
          : await member.signIn(email, password),
      );
    } catch (cause) {
      setProblem(cause instanceof ApiError ? cause.message : "That did not work. Try again.");
      setBusy(false);
    }
  };

  const joining = mode === "up";
  return (
    <div class="door">
      <div class="door-sky" aria-hidden="true">
        <Skyline />
      </div>
      <header>
        <Brand />
      </header>
      <main class="door-main">
        <div class="door-words">
          <h1>The film is already in your neighbourhood.</h1>
          <p>
            While you sleep, tomorrow’s films move to a server a few streets away. Press play and
            the picture is simply there.
          </p>
        </div>
        <form class="door-form" onSubmit={submit} aria-label={joining ? "Sign up" : "Sign in"}>
          <h2>{joining ? "Create your account" : "Welcome back"}</h2>
          {joining && (
            <label class="field">
              Your name
              <input name="profile" required maxLength={40} autoComplete="nickname" />
            </label>
          )}
          <label class="field">
            Email
            <input name="email" type="email" required autoComplete="username" maxLength={254} />
          </label>
          <label class="field">
            Password
            <input
              name="password"
              type="password"
              required
              minLength={PASSWORD_MIN}
              maxLength={PASSWORD_MAX}
              autoComplete={joining ? "new-password" : "current-password"}
            />
            {joining && <small>At least {PASSWORD_MIN} characters.</small>}
          </label>
          {problem && (
            <p class="notice" role="alert">
              {problem}
            </p>
          )}
          <button type="submit" class="button lamp" disabled={busy}>
            {joining ? "Create account" : "Sign in"}
          </button>
          <p class="door-turn">
            {joining ? "Already a member?" : "New here?"}{" "}
            <button
              type="button"
              onClick={() => {
                setMode(joining ? "in" : "up");
                setProblem("");
              }}
            >
              {joining ? "Sign in instead" : "Sign up"}
            </button>
          </p>
        </form>
      </main>
    </div>
  );
}
