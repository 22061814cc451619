// The operator's side of the API: every call carries the operator key.
// Never keeps the key beyond the tab (sessionStorage), and never sends it anywhere but here.

import { call } from "./http";
import type {
  ApplianceStatus,
  FillProgress,
  FillWindow,
  Live,
  NewWindow,
  Site,
  TitleRecord,
} from "./types";

const KEY_NAME = "nightfill-operator-key";

export function savedKey(): string | null {
  return sessionStorage.getItem(KEY_NAME);
}

export function saveKey(key: string): void {
  sessionStorage.setItem(KEY_NAME, key);
}

export function forgetKey(): void {
  sessionStorage.removeItem(KEY_NAME);
}

function ask<T>(path: string, options: { method?: string; body?: unknown } = {}): Promise<T> {
  return call<T>(path, { ...options, bearer: savedKey(), deadlineMs: 8_000 });
}

const named = encodeURIComponent;

export const operator = {
  appliances: () => ask<ApplianceStatus[]>("/v1/operator/appliances"),
  sites: () => ask<Site[]>("/v1/operator/sites"),
  fills: () => ask<FillProgress[]>("/v1/operator/fills"),
  windows: () => ask<FillWindow[]>("/v1/operator/windows"),
  live: () => ask<Live>("/v1/operator/live"),
  titles: () => ask<TitleRecord[]>("/v1/operator/titles"),
  drain: (appliance: string) =>
    ask<void>(`/v1/operator/appliances/${named(appliance)}/drain`, { method: "POST" }),
  undrain: (appliance: string) =>
    ask<void>(`/v1/operator/appliances/${named(appliance)}/undrain`, { method: "POST" }),
  openWindow: (window: NewWindow) =>
    ask<FillWindow>("/v1/operator/windows", { method: "POST", body: window }),
  closeWindow: (window: string) =>
    ask<void>(`/v1/operator/windows/${named(window)}/close`, { method: "POST" }),
};
