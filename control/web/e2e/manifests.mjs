// The mock's HLS and DASH manifests: one pathway an appliance, steering declared, like control's own.

import { TITLE_SECONDS } from "./media.mjs";

export function hlsManifest(play, media) {
  const lines = [
    "#EXTM3U",
    "#EXT-X-VERSION:7",
    "#EXT-X-INDEPENDENT-SEGMENTS",
    `#EXT-X-CONTENT-STEERING:SERVER-URI="/v1/plays/${play.id}/steering",PATHWAY-ID="${play.ranked[0].appliance}"`,
  ];
  const sound = media.tracks.find((track) => track.kind === "audio");
  for (const { appliance, base_url } of play.ranked) {
    const group = `sound-${appliance}`;
    lines.push(
      `#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="${group}",NAME="Sound",LANGUAGE="und",DEFAULT=YES,AUTOSELECT=YES,` +
        `CHANNELS="2",STABLE-RENDITION-ID="sound",URI="${base_url}${sound.playlist}.m3u8"`,
    );
    for (const track of media.tracks.filter((each) => each.kind === "video")) {
      lines.push(
        `#EXT-X-STREAM-INF:BANDWIDTH=${track.peak + sound.peak},CODECS="${track.codecs},${sound.codecs}",` +
          `RESOLUTION=${track.width}x${track.height},FRAME-RATE=12.000,AUDIO="${group}",` +
          `PATHWAY-ID="${appliance}",STABLE-VARIANT-ID="${track.height}"`,
        `${base_url}${track.playlist}.m3u8`,
      );
    }
  }
  return `${lines.join("\n")}\n`;
}

function representation(track) {
  const shape =
    track.kind === "video"
      ? `width="${track.width}" height="${track.height}" frameRate="12"`
      : `audioSamplingRate="48000"`;
  return `<Representation id="${track.file}" bandwidth="${track.peak}" codecs="${track.codecs}" ${shape}>
<BaseURL>${track.object}.mp4</BaseURL>
<SegmentBase indexRange="${track.indexStart}-${track.indexEnd - 1}"><Initialization range="0-${track.initBytes - 1}"/></SegmentBase>
</Representation>`;
}

export function dashManifest(play, media, origin) {
  const bases = play.ranked
    .map((each) => `<BaseURL serviceLocation="${each.appliance}">${each.base_url}</BaseURL>`)
    .join("\n");
  const sets = ["video", "audio"]
    .map((kind) => {
      const inside = media.tracks.filter((each) => each.kind === kind).map(representation);
      return `<AdaptationSet contentType="${kind}" mimeType="${kind}/mp4" segmentAlignment="true" startWithSAP="1">
${inside.join("\n")}
</AdaptationSet>`;
    })
    .join("\n");
  return `<?xml version="1.0" encoding="UTF-8"?>
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" profiles="urn:mpeg:dash:profile:isoff-on-demand:2011" type="static" mediaPresentationDuration="PT${TITLE_SECONDS}S" minBufferTime="PT2S">
${bases}
<ContentSteering defaultServiceLocation="${play.ranked[0].appliance}" queryBeforeStart="true">${origin}/v1/plays/${play.id}/steering</ContentSteering>
<Period>
${sets}
</Period>
</MPD>
`;
}
