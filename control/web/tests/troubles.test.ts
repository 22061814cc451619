// What is held against an appliance: the right words, said soon, said once, and only when it is its fault.

import { expect, test } from "vitest";
import { failureOf, firstByteMs } from "../shared/player/dash-requests";
import {
  type Failure,
  FirstBytes,
  objectOf,
  plainDetail,
  REPEAT_MS,
  type Told,
  TROUBLES_EVERY_MS,
  TROUBLES_MAX,
  Troubles,
  troubleOf,
} from "../shared/player/troubles";

const OBJECT = "0123456789abcdef".repeat(4);
const URL_OF_IT = `https://127.0.0.1:7001/t/secret.ticket/v/film/${OBJECT}.mp4`;

function failure(status: number, timedOut = false): Failure {
  return { appliance: "edge-a1", url: URL_OF_IT, status, timedOut };
}

function refused(appliance: string): Told {
  return { appliance, trouble: { kind: "refused", object: OBJECT }, detail: "" };
}

function missing(object: string): Told {
  return { appliance: "edge-a1", trouble: { kind: "not_found", object }, detail: "" };
}

test("each way to fail has its word, and what is not the appliance's fault has none", () => {
  expect(troubleOf(failure(0))).toEqual({ kind: "refused", object: OBJECT });
  expect(troubleOf(failure(0, true))?.kind).toBe("timeout");
  expect(troubleOf(failure(404))?.kind).toBe("not_found");
  expect(troubleOf(failure(500))?.kind).toBe("failed");
  expect(troubleOf(failure(503))?.kind).toBe("failed");
  for (const status of [200, 206, 304, 401, 403, 416, 429, 600]) {
    expect(troubleOf(failure(status))).toBeNull();
  }
});

test("only an object's full name is an object", () => {
  expect(objectOf(URL_OF_IT)).toBe(OBJECT);
  expect(objectOf(`${URL_OF_IT}?_HLS_pathway=edge-a1`)).toBe(OBJECT);
  expect(objectOf(`https://a.test/o/${OBJECT}`)).toBe(OBJECT);
  for (const other of [OBJECT.slice(1), OBJECT.toUpperCase(), `0${OBJECT}`, "main.m3u8"]) {
    expect(objectOf(`https://a.test/v/film/${other}`)).toBeNull();
  }
  expect(objectOf("")).toBeNull();
});

test("no ticket leaves in a detail", () => {
  const words = plainDetail(`27: ${URL_OF_IT} is not available`);
  expect(words).toBe("27: 127.0.0.1:7001 is not available");
  expect(plainDetail("http://[")).not.toContain("[");
  expect(plainDetail("x".repeat(5_000)).length).toBeLessThanOrEqual(200);
});

test("the first trouble is told at once, the next ones together and a second later", () => {
  const troubles = new Troubles();
  troubles.note(refused("edge-a1"), 0);
  expect(troubles.takeDue(0)).toHaveLength(1);
  troubles.note(refused("edge-a2"), 10);
  troubles.note(refused("edge-a3"), 20);
  expect(troubles.takeDue(TROUBLES_EVERY_MS - 1)).toEqual([]);
  expect(troubles.takeDue(TROUBLES_EVERY_MS).map((each) => each.appliance)).toEqual([
    "edge-a2",
    "edge-a3",
  ]);
  expect(troubles.takeAll(TROUBLES_EVERY_MS)).toEqual([]);
});

test("a word is not repeated within its time, but each missing object is a word", () => {
  const troubles = new Troubles();
  expect(troubles.note(refused("edge-a1"), 0)).toBe(true);
  expect(troubles.note(refused("edge-a1"), REPEAT_MS - 1)).toBe(false);
  expect(troubles.note(refused("edge-a1"), REPEAT_MS)).toBe(true);
  expect(troubles.note(missing("a"), REPEAT_MS)).toBe(true);
  expect(troubles.note(missing("b"), REPEAT_MS)).toBe(true);
  expect(troubles.note(missing("b"), REPEAT_MS)).toBe(false);
});

test("never more wait than the bound", () => {
  const troubles = new Troubles();
  for (let i = 0; i < 10 * TROUBLES_MAX; i += 1) troubles.note(missing(`${i}`), 0);
  expect(troubles.takeDue(0)).toHaveLength(TROUBLES_MAX);
});

test("the longest first byte is told once, and only of the appliance it was", () => {
  const times = new FirstBytes();
  times.note("edge-a1", 12.4);
  times.note("edge-a1", 80.6);
  times.note("edge-a1", 30);
  times.note("edge-a2", 900);
  expect(times.take("edge-a1")).toBe(81);
  expect(times.take("edge-a1")).toBeUndefined();
  expect(times.take("edge-a2")).toBeUndefined();
  expect(times.take(null)).toBeUndefined();
});

test("times that cannot be are not measured", () => {
  const times = new FirstBytes();
  for (const ms of [null, Number.NaN, -1, 3_600_000, Number.POSITIVE_INFINITY]) {
    times.note("edge-a1", ms);
  }
  expect(times.take("edge-a1")).toBeUndefined();
});

test("a DASH request that failed is told by how it ended and how long it took", () => {
  const request = { url: URL_OF_IT, serviceLocation: "edge-a1", startDate: new Date(0) };
  const after = (ms: number, status: number) =>
    failureOf({ data: { request: { ...request, endDate: new Date(ms) }, response: { status } } });
  expect(after(5, 0)).toEqual(failure(0));
  expect(after(4_000, 0)).toEqual(failure(0, true));
  expect(after(4_000, 404)).toEqual(failure(404));
  expect(failureOf({ code: 10, message: "no manifest" })).toBeNull();
  expect(failureOf({ data: { request } })).toBeNull();
});

test("a DASH segment that came in one piece is timed by its end", () => {
  const at = (ms: number) => new Date(ms);
  expect(firstByteMs({ startDate: at(0), firstByteDate: at(40), endDate: at(90) })).toBe(40);
  expect(firstByteMs({ startDate: at(0), firstByteDate: at(0), endDate: at(90) })).toBe(90);
  expect(firstByteMs({})).toBeNull();
});
