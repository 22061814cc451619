// Where a play starts on the ladder, and which pathway a failure belongs to.

import { expect, test } from "vitest";
import { PENALTY_MS, startingRung } from "../shared/player/engine";
import { Pathways } from "../shared/player/pathways";

test("a play starts on the best cheap rung, or on the cheapest one", () => {
  const ladder = [
    { height: 180, bps: 300_000 },
    { height: 360, bps: 900_000 },
    { height: 720, bps: 2_500_000 },
  ];
  expect(startingRung(ladder)).toBe(1);
  expect(startingRung([...ladder].reverse())).toBe(1);
  expect(startingRung(ladder.slice(2))).toBe(0);
  expect(
    startingRung([
      { height: 1080, bps: 6_000_000 },
      { height: 720, bps: 2_500_000 },
    ]),
  ).toBe(1);
});

test("a failure belongs to the appliance whose address it names", () => {
  const pathways = new Pathways();
  pathways.learn("edge-a1", "https://127.0.0.1:7001/t/x/v/film/a.m3u8");
  pathways.learn("edge-a2", "https://127.0.0.1:7002/t/x/v/film/a.m3u8");
  expect(pathways.of("https://127.0.0.1:7002/t/x/v/film/b.mp4")).toBe("edge-a2");
  expect(pathways.of("https://elsewhere.test/b.mp4")).toBeNull();
  expect(pathways.of(undefined)).toBeNull();
});

test("a pathway that failed is no alternative until its penalty is over or bytes came", () => {
  const pathways = new Pathways();
  pathways.learn("edge-a1", "https://127.0.0.1:7001/");
  pathways.learn("edge-a2", "https://127.0.0.1:7002/");
  expect(pathways.hasAlternative("edge-a1", 0)).toBe(true);
  pathways.fail("edge-a2", 0);
  expect(pathways.hasAlternative("edge-a1", 1_000)).toBe(false);
  expect(pathways.hasAlternative("edge-a1", PENALTY_MS + 1)).toBe(true);
  pathways.recover("edge-a2");
  expect(pathways.hasAlternative("edge-a1", 1_000)).toBe(true);
});
