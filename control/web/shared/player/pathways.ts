// Which appliance a URL belongs to, and which appliances have failed lately.
// Pure: no clock and no network; the engines ask it before they choose.

import { PENALTY_MS } from "./engine";

/** Scheme, host and port of a URL; empty for what is not one. */
function originOf(url: string): string {
  try {
    return new URL(url).origin;
  } catch {
    return "";
  }
}

export class Pathways {
  private readonly byOrigin = new Map<string, string>();
  private readonly failedAt = new Map<string, number>();
  private known: string[] = [];

  /** Learns that `url` is served by `pathway`. */
  learn(pathway: string, url: string): void {
    const origin = originOf(url);
    if (origin) this.byOrigin.set(origin, pathway);
    if (!this.known.includes(pathway)) this.known.push(pathway);
  }

  /** `null` for a URL that no pathway owns. */
  of(url: string | undefined): string | null {
    return url ? (this.byOrigin.get(originOf(url)) ?? null) : null;
  }

  fail(pathway: string, now: number): void {
    this.failedAt.set(pathway, now);
  }

  /** Bytes came: whatever went wrong before is over. */
  recover(pathway: string): void {
    this.failedAt.delete(pathway);
  }

  /** Whether any pathway but `current` is free of recent failures. */
  hasAlternative(current: string, now: number): boolean {
    return this.known.some((pathway) => {
      const failed = this.failedAt.get(pathway);
      return pathway !== current && (failed === undefined || now - failed > PENALTY_MS);
    });
  }
}
