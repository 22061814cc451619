// The account: its plan, its profiles, and how this browser plays.

import { useState } from "preact/hooks";
import { ApiError } from "../../shared/api/http";
import { member } from "../../shared/api/member";
import type { Account, Plan } from "../../shared/api/types";
import { chosenEngine, saveEngine } from "../../shared/player/press";
import { plural } from "../../shared/ui/format";
import { Avatar } from "../parts/avatar";
import { useLoaded } from "../parts/load";

interface Props {
  account: Account;
  onAccount: (account: Account) => void;
  onSignOut: () => void;
}

function price(plan: Plan): string {
  return new Intl.NumberFormat("en", { style: "currency", currency: plan.currency }).format(
    plan.price_cents / 100,
  );
}

export function AccountPage({ account, onAccount, onSignOut }: Props) {
  const plans = useLoaded("plans", () => member.plans());
  const [problem, setProblem] = useState("");
  const [engine, setEngine] = useState(chosenEngine());

  const attempt = async (work: () => Promise<void>) => {
    setProblem("");
    try {
      await work();
    } catch (cause) {
      setProblem(cause instanceof ApiError ? cause.message : "That did not work. Try again.");
    }
  };
  const choosePlan = (plan: string) =>
    attempt(async () => {
      await member.choosePlan(plan);
      onAccount({ ...account, plan });
    });
  const removeProfile = (id: string) =>
    attempt(async () => {
      await member.removeProfile(id);
      onAccount({ ...account, profiles: account.profiles.filter((each) => each.id !== id) });
    });

  return (
    <div class="settings">
      <h1>Account</h1>
      <p class="muted">{account.email}</p>
      {problem && (
        <p class="notice" role="alert">
          {problem}
        </p>
      )}
      <h2>Plan</h2>
      {plans.kind === "refused" && (
        <p class="notice" role="alert">
          {plans.message}{" "}
          <button type="button" class="button small" onClick={plans.again}>
            Try again
          </button>
        </p>
      )}
      <div class="plans">
        {plans.kind === "answered" &&
          plans.answer.map((plan) => (
            <button
              type="button"
              key={plan.name}
              class="plan"
              aria-pressed={plan.name === account.plan}
              onClick={() => choosePlan(plan.name)}
            >
              <strong>{plan.name}</strong>
              <span class="price">{price(plan)} a month</span>
              <span>Up to {plan.height_max}p</span>
              <span>{plural(plan.streams_max, "screen")} at once</span>
            </button>
          ))}
      </div>
      <h2>Profiles</h2>
      <ul class="profile-list">
        {account.profiles.map((profile) => (
          <li key={profile.id}>
            <Avatar profile={profile} />
            <span>{profile.name}</span>
            {account.profiles.length > 1 && (
              <button type="button" class="button small" onClick={() => removeProfile(profile.id)}>
                Remove
              </button>
            )}
          </li>
        ))}
      </ul>
      <h2>Playback</h2>
      <label class="field narrow">
        Streaming format
        <select
          value={engine}
          onChange={(event) => {
            const next = event.currentTarget.value === "dash" ? "dash" : "hls";
            setEngine(next);
            saveEngine(next);
          }}
        >
          <option value="hls">HLS</option>
          <option value="dash">DASH</option>
        </select>
      </label>
      <button type="button" class="button" onClick={onSignOut}>
        Sign out
      </button>
    </div>
  );
}
