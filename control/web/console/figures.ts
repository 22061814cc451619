// What the overview derives from the fleet's own reports. Pure.

import type { ApplianceStatus, FillProgress } from "../shared/api/types";

/** Bytes to members since the appliances started, by who sent them. */
export interface Served {
  edge: number;
  tier: number;
  origin: number;
}

/**
 * Appliances count all bytes they send, fill included; what the agents say they took is taken out
 * again. An appliance that restarted counts from zero and its fill does not, so where more fill is
 * told than was sent at all, the two counts are not of the same time and the fill is left in.
 */
export function served(fleet: ApplianceStatus[], fills: FillProgress[]): Served {
  const sum: Served = { edge: 0, tier: 0, origin: 0 };
  for (const each of fleet) {
    sum[each.record.role] += each.report?.sent_bytes_total ?? 0;
  }
  const fill = { edge: 0, tier: 0, origin: 0 };
  for (const { report } of fills) {
    fill.edge += report.bytes_from.peer;
    fill.tier += report.bytes_from.tier;
    fill.origin += report.bytes_from.origin;
  }
  const toMembers = (role: keyof Served) =>
    fill[role] > sum[role] ? sum[role] : sum[role] - fill[role];
  return { edge: toMembers("edge"), tier: toMembers("tier"), origin: toMembers("origin") };
}

/** Share of members' bytes that edges sent, 0 to 1; `null` before the first byte. */
export function offload({ edge, tier, origin }: Served): number | null {
  const all = edge + tier + origin;
  return all > 0 ? edge / all : null;
}

/** What is being sent now; the last words of an appliance that fell silent do not count. */
export function sendingBps(fleet: ApplianceStatus[]): number {
  return fleet
    .filter((each) => each.health !== "silent" && each.health !== "unheard")
    .reduce((sum, each) => sum + (each.report?.sending_bps ?? 0), 0);
}

/** Points of a polyline in a `width` by `height` box, newest at the right edge. */
export function sparkPoints(values: number[], width: number, height: number): string {
  const top = Math.max(1, ...values);
  const step = width / Math.max(1, values.length - 1);
  return values
    .map((value, i) => `${(i * step).toFixed(1)},${(height - (height * value) / top).toFixed(1)}`)
    .join(" ");
}
