// What the overview derives from the fleet's own reports. Pure.

import type { ApplianceStatus, FillProgress } from "../shared/api/types";

/** Bytes to members since the appliances started, by who sent them. */
export interface Served {
  edge: number;
  tier: number;
  origin: number;
}

/**
 * Appliances count all bytes they send, fill included. What the agents say they took from tiers and
 * the origin is taken out again; what peers sent each other is taken out of the edges.
 */
export function served(fleet: ApplianceStatus[], fills: FillProgress[]): Served {
  const sum: Served = { edge: 0, tier: 0, origin: 0 };
  for (const each of fleet) {
    sum[each.record.role] += each.report?.sent_bytes_total ?? 0;
  }
  for (const { report } of fills) {
    sum.edge -= report.bytes_from.peer;
    sum.tier -= report.bytes_from.tier;
    sum.origin -= report.bytes_from.origin;
  }
  return {
    edge: Math.max(0, sum.edge),
    tier: Math.max(0, sum.tier),
    origin: Math.max(0, sum.origin),
  };
}

/** Share of members' bytes that edges sent, 0 to 1; `null` before the first byte. */
export function offload({ edge, tier, origin }: Served): number | null {
  const all = edge + tier + origin;
  return all > 0 ? edge / all : null;
}

export function sendingBps(fleet: ApplianceStatus[]): number {
  return fleet.reduce((sum, each) => sum + (each.report?.sending_bps ?? 0), 0);
}

/** Points of a polyline in a `width` by `height` box, newest at the right edge. */
export function sparkPoints(values: number[], width: number, height: number): string {
  const top = Math.max(1, ...values);
  const step = width / Math.max(1, values.length - 1);
  return values
    .map((value, i) => `${(i * step).toFixed(1)},${(height - (height * value) / top).toFixed(1)}`)
    .join(" ");
}
