// Makes the mock's titles: a short CMAF ladder and a few posters, by ffmpeg, in a directory of its own.
// Not the real packager: just enough of one for a page to play what comes out.

import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

export const TITLE_SECONDS = 60;
const FRAMES_PER_SECOND = 12;
const SEGMENT_SECONDS = 2;
const FFMPEG_MS_MAX = 60_000;

/** Two rungs of picture and one of sound, in one run of ffmpeg. */
const TRACKS = [
  {
    file: "v240.mp4",
    kind: "video",
    width: 426,
    height: 240,
    codecs: "avc1.42c015",
    bitrate: "300k",
  },
  {
    file: "v360.mp4",
    kind: "video",
    width: 640,
    height: 360,
    codecs: "avc1.42c01e",
    bitrate: "600k",
  },
  { file: "a.mp4", kind: "audio", codecs: "mp4a.40.2" },
];

async function encode(dir) {
  const picture = `gradients=s=640x360:r=${FRAMES_PER_SECOND}:nb_colors=4:speed=0.02:seed=11:d=${TITLE_SECONDS}`;
  const sound = `sine=f=196:r=48000:d=${TITLE_SECONDS}`;
  const gop = String(FRAMES_PER_SECOND * SEGMENT_SECONDS);
  const packaged = [
    "-movflags",
    "+frag_keyframe+empty_moov+default_base_moof+global_sidx",
    "-f",
    "mp4",
  ];
  const args = [
    "-nostdin",
    "-v",
    "error",
    "-y",
    "-f",
    "lavfi",
    "-i",
    picture,
    "-f",
    "lavfi",
    "-i",
    sound,
  ];
  for (const track of TRACKS) {
    if (track.kind === "audio") {
      args.push("-map", "1:a", "-c:a", "aac", "-b:a", "64k", "-ac", "2");
      args.push("-frag_duration", String(SEGMENT_SECONDS * 1e6));
      args.push("-movflags", "+empty_moov+default_base_moof+global_sidx", "-f", "mp4");
    } else {
      args.push("-map", "0:v", "-s", `${track.width}x${track.height}`, "-pix_fmt", "yuv420p");
      args.push(
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-profile:v",
        "baseline",
        "-b:v",
        track.bitrate,
      );
      args.push("-g", gop, "-keyint_min", gop, "-sc_threshold", "0", ...packaged);
    }
    args.push(join(dir, track.file));
  }
  await run("ffmpeg", args, { timeout: FFMPEG_MS_MAX });
}

async function paint(dir, count) {
  const args = ["-nostdin", "-v", "error", "-y"];
  for (let i = 0; i < count; i += 1) {
    args.push(
      "-f",
      "lavfi",
      "-i",
      `gradients=s=960x540:nb_colors=${3 + (i % 4)}:seed=${40 + i * 7}:d=0.04`,
    );
  }
  for (let i = 0; i < count; i += 1) {
    const shade = `vignette=PI/4,eq=brightness=-0.12:saturation=${0.7 + (i % 3) * 0.15},noise=alls=6`;
    args.push(
      "-map",
      `${i}:v`,
      "-vf",
      shade,
      "-frames:v",
      "1",
      "-q:v",
      "4",
      join(dir, `p${i}.jpg`),
    );
  }
  await run("ffmpeg", args, { timeout: FFMPEG_MS_MAX });
}

/** Top-level boxes of a file, in order. */
function boxesOf(bytes) {
  const boxes = [];
  for (let at = 0; at + 8 <= bytes.length; ) {
    const size = bytes.readUInt32BE(at);
    if (size < 8) break;
    boxes.push({ type: bytes.toString("latin1", at + 4, at + 8), start: at, end: at + size });
    at += size;
  }
  return boxes;
}

/** Segments are `moof`+`mdat` pairs; durations come from the index box. */
function segmentsOf(bytes, boxes) {
  const index = boxes.find((box) => box.type === "sidx");
  if (!index) throw new Error("ffmpeg wrote no index box; another version may be needed");
  const timescale = bytes.readUInt32BE(index.start + 16);
  const wide = bytes.readUInt8(index.start + 8) === 1;
  const count = bytes.readUInt16BE(index.start + 20 + (wide ? 16 : 8) + 2);
  const first = index.start + 20 + (wide ? 16 : 8) + 4;
  const moofs = boxes.filter((box) => box.type === "moof");
  const segments = [];
  for (let i = 0, box = 0; i < count; i += 1) {
    const entry = first + i * 12;
    const size = bytes.readUInt32BE(entry) & 0x7fffffff;
    const start = segments.length
      ? segments.at(-1).start + segments.at(-1).bytes
      : moofs[box].start;
    segments.push({ start, bytes: size, seconds: bytes.readUInt32BE(entry + 4) / timescale });
    box += 1;
  }
  return { index, segments };
}

function playlistOf(track) {
  const longest = Math.ceil(Math.max(...track.segments.map((each) => each.seconds)));
  const lines = [
    "#EXTM3U",
    "#EXT-X-VERSION:7",
    `#EXT-X-TARGETDURATION:${longest}`,
    "#EXT-X-PLAYLIST-TYPE:VOD",
    "#EXT-X-INDEPENDENT-SEGMENTS",
    `#EXT-X-MAP:URI="${track.object}.mp4",BYTERANGE="${track.initBytes}@0"`,
  ];
  for (const each of track.segments) {
    lines.push(`#EXTINF:${each.seconds.toFixed(5)},`);
    lines.push(`#EXT-X-BYTERANGE:${each.bytes}@${each.start}`, `${track.object}.mp4`);
  }
  return Buffer.from(`${lines.join("\n")}\n#EXT-X-ENDLIST\n`);
}

/** A stand-in for the BLAKE3 name: any 64 hex digits will do for a page. */
const nameOf = (bytes) => createHash("sha256").update(bytes).digest("hex");

/** Answers `{ tracks, objects, posters }`: `objects` maps a name to its bytes. */
export async function makeMedia(dir, posterCount) {
  await Promise.all([encode(dir), paint(dir, posterCount)]);
  const objects = new Map();
  const tracks = [];
  for (const made of TRACKS) {
    const bytes = await readFile(join(dir, made.file));
    const boxes = boxesOf(bytes);
    const { index, segments } = segmentsOf(bytes, boxes);
    const object = nameOf(bytes);
    const track = {
      ...made,
      object,
      bytes,
      segments,
      indexStart: index.start,
      indexEnd: index.end,
    };
    track.initBytes = boxes.find((box) => box.type === "moov").end;
    track.peak = Math.ceil(Math.max(...segments.map((each) => (8 * each.bytes) / each.seconds)));
    const playlist = playlistOf(track);
    track.playlist = nameOf(playlist);
    objects.set(object, bytes);
    objects.set(track.playlist, playlist);
    tracks.push(track);
  }
  const posters = new Map();
  for (let i = 0; i < posterCount; i += 1) {
    const bytes = await readFile(join(dir, `p${i}.jpg`));
    posters.set(nameOf(bytes), bytes);
  }
  return { tracks, objects, posters };
}
