// The overview's arithmetic: fill traffic is not offload.

import { expect, test } from "vitest";
import { offload, served, sparkPoints } from "../console/figures";
import type { ApplianceStatus, FillProgress, Role } from "../shared/api/types";

function appliance(id: string, role: Role, sent_bytes_total: number): ApplianceStatus {
  return {
    record: { id, site: "s", role, link: "embedded", capacity_bps: 1e9 },
    health: "healthy",
    drain: false,
    report: { sent_bytes_total } as ApplianceStatus["report"],
    heard_at: 0,
    objects: 0,
    held_bytes: 0,
  };
}

function fill(peer: number, tier: number, origin: number): FillProgress {
  return { report: { bytes_from: { peer, tier, origin } }, heard_at: 0 } as FillProgress;
}

test("bytes that filled appliances are not bytes to members", () => {
  const fleet = [
    appliance("a", "edge", 900),
    appliance("b", "edge", 300),
    appliance("o", "origin", 600),
  ];
  const sent = served(fleet, [fill(200, 0, 500)]);
  expect(sent).toEqual({ edge: 1000, tier: 0, origin: 100 });
  expect(offload(sent)).toBeCloseTo(1000 / 1100);
});

test("nothing sent is no offload at all, and counts of different times are not mixed", () => {
  expect(offload(served([], []))).toBeNull();
  expect(served([appliance("o", "origin", 10)], [fill(0, 0, 50)]).origin).toBe(10);
});

test("a spark line fits its box", () => {
  expect(sparkPoints([0, 5, 10], 100, 20)).toBe("0.0,20.0 50.0,10.0 100.0,0.0");
});
