// The stall meter: what counts, how much of it, and what must not count.

import { expect, test } from "vitest";
import { StallMeter } from "../shared/player/stall-meter";

/** Plays samples of [at, position, moving] and answers the meter with what it said. */
function run(samples: [number, number, boolean?][]) {
  const meter = new StallMeter();
  const said = samples
    .map(([at, position, moving = true]) => meter.take({ at, position, moving }))
    .filter((word) => word !== null);
  return { meter, said };
}

test("steady play counts nothing but time watched", () => {
  const { meter, said } = run(Array.from({ length: 21 }, (_, i) => [i * 100, i * 100]));
  expect(said).toEqual([]);
  expect([meter.stalls, meter.stallMs, meter.watchedMs]).toEqual([0, 0, 2000]);
});

test("a stop counts once, and only the time stopped", () => {
  const { meter, said } = run([
    [0, 0],
    [100, 100],
    [200, 150],
    [300, 150],
    [400, 150],
    [500, 150],
    [600, 200],
    [700, 300],
  ]);
  expect(said).toEqual(["stalled", "resumed"]);
  expect(meter.stalls).toBe(1);
  expect(meter.stallMs).toBe(350);
  expect(meter.watchedMs).toBe(700);
});

test("a page too busy to sample is not a stall when the picture moved on", () => {
  const { meter } = run([
    [0, 0],
    [100, 100],
    [900, 900],
    [1000, 1000],
  ]);
  expect([meter.stalls, meter.stallMs]).toEqual([0, 0]);
});

test("a stop between two late samples still counts", () => {
  const { meter } = run([
    [0, 0],
    [100, 100],
    [1100, 400],
    [1200, 500],
  ]);
  expect([meter.stalls, meter.stallMs]).toEqual([1, 700]);
});

test("pauses and seeks are not stalls, and a jump between samples is a seek", () => {
  const { meter, said } = run([
    [0, 0],
    [100, 100],
    [200, 100, false],
    [5000, 100, false],
    [5100, 100],
    [5200, 200],
    [5300, 40_000],
    [5400, 40_100],
    [5500, 3_000],
    [5600, 3_100],
  ]);
  expect(said).toEqual([]);
  expect(meter.stallMs).toBe(0);
});

test("a pause ends a stall under way", () => {
  const { meter, said } = run([
    [0, 0],
    [100, 0],
    [200, 0],
    [300, 0],
    [400, 0, false],
    [9000, 0, false],
  ]);
  expect(said).toEqual(["stalled", "resumed"]);
  expect(meter.stallMs).toBe(300);
});
