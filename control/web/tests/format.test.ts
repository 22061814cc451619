// Numbers and addresses as people read them.

import { expect, test } from "vitest";
import { ago, bytes, clock, length, percent, sentence } from "../shared/ui/format";
import { nameOf, parseRoute } from "../viewer/route";

test("times", () => {
  expect([clock(0), clock(62_900), clock(3_723_000)]).toEqual(["0:00", "1:02", "1:02:03"]);
  expect([length(45_000), length(720_000), length(6_120_000)]).toEqual([
    "45 s",
    "12 min",
    "1 h 42 min",
  ]);
  expect([ago(0, 4_000), ago(0, 120_000)]).toEqual(["4 s ago", "2 min ago"]);
});

test("sizes and shares", () => {
  expect([bytes(12), bytes(1_500), bytes(2_340_000_000)]).toEqual(["12 B", "1.5 kB", "2.3 GB"]);
  expect([percent(1, 4), percent(9, 4), percent(1, 0)]).toEqual([25, 100, 0]);
});

test("an address leads to its page, and a broken one leads home", () => {
  expect(parseRoute("#/title/night-train")).toEqual({ page: "title", title: "night-train" });
  expect(parseRoute("#/watch/night-train?engine=dash")).toEqual({
    page: "watch",
    title: "night-train",
  });
  expect(parseRoute("#/search?q=two%20words")).toEqual({ page: "search", query: "two words" });
  expect(parseRoute("#/title/%E0%A4%A")).toEqual({ page: "home" });
  expect(parseRoute("")).toEqual({ page: "home" });
});

test("a tab is named after its page", () => {
  expect(nameOf({ page: "home" })).toBe("Nightfill");
  expect(nameOf({ page: "search", query: "two words" })).toBe("two words – Search – Nightfill");
  expect(nameOf({ page: "search", query: " " })).toBe("Search – Nightfill");
  expect(nameOf({ page: "account" })).toBe("Account – Nightfill");
});

test("a refusal is a sentence", () => {
  expect(["there is no title x", "Wait!", "", "émigré"].map(sentence)).toEqual([
    "There is no title x.",
    "Wait!",
    "",
    "Émigré.",
  ]);
});
