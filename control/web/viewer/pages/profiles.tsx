// Who is watching: pick a profile, or make one.

import { useState } from "preact/hooks";
import { ApiError } from "../../shared/api/http";
import { member } from "../../shared/api/member";
import type { Account, Profile } from "../../shared/api/types";
import { Brand } from "../../shared/ui/brand";
import { Avatar } from "../parts/avatar";
import { Icon } from "../parts/icons";

const PROFILES_MAX = 5;

interface Props {
  account: Account;
  onAccount: (account: Account) => void;
  onChoose: (profile: Profile) => void;
  onSignOut: () => void;
}

export function ProfilesPage({ account, onAccount, onChoose, onSignOut }: Props) {
  const [adding, setAdding] = useState(false);
  const [problem, setProblem] = useState("");

  const add = async (event: Event) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    const name = String(form.get("name") ?? "").trim();
    if (!name) return;
    setProblem("");
    try {
      const profile = await member.addProfile(name);
      onAccount({ ...account, profiles: [...account.profiles, profile] });
      setAdding(false);
    } catch (cause) {
      setProblem(
        cause instanceof ApiError ? cause.message : "The profile was not made. Try again.",
      );
    }
  };

  return (
    <div class="gallery">
      <header>
        <Brand />
        <button type="button" class="button small" onClick={onSignOut}>
          Sign out
        </button>
      </header>
      <main>
        <h1>Who is watching?</h1>
        <ul class="faces">
          {account.profiles.map((profile) => (
            <li key={profile.id}>
              <button type="button" onClick={() => onChoose(profile)}>
                <Avatar profile={profile} large />
                <span>{profile.name}</span>
              </button>
            </li>
          ))}
          {account.profiles.length < PROFILES_MAX && !adding && (
            <li>
              <button type="button" onClick={() => setAdding(true)}>
                <span class="avatar large empty">
                  <Icon name="plus" />
                </span>
                <span>Add profile</span>
              </button>
            </li>
          )}
        </ul>
        {adding && (
          <form class="faces-form" onSubmit={add} aria-label="New profile">
            <label class="field">
              Name of the new profile
              <input name="name" required maxLength={40} ref={(field) => field?.focus()} />
            </label>
            <button type="submit" class="button lamp">
              Save
            </button>
            <button type="button" class="button" onClick={() => setAdding(false)}>
              Cancel
            </button>
          </form>
        )}
        {problem && (
          <p class="notice" role="alert">
            {problem}
          </p>
        )}
      </main>
    </div>
  );
}
