//! The HLS media playlist of a packaged track file: byte ranges of one object. Pure.
//! Names the object relatively, so that it works behind any appliance and any ticket.

use std::fmt::Write;

use control_types::ObjectId;

use crate::package::Packaged;

/// RFC 8216 media playlist for the track file `media`, which is requested as `<hash>.mp4` beside
/// it.
#[must_use]
pub fn media_playlist(media: &ObjectId, packaged: &Packaged) -> String {
    let scale = f64::from(packaged.facts.timescale);
    let seconds = |ticks: u64| ticks as f64 / scale;
    let longest = packaged.spans.iter().map(|span| span.ticks).max().unwrap_or(0);
    // The target is at least every duration rounded to whole seconds, and 1 at least.
    let target = (seconds(longest).round() as u64).max(1);
    let mut text = format!(
        "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:{target}\n#EXT-X-MEDIA-SEQUENCE:0\n\
         #EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-INDEPENDENT-SEGMENTS\n\
         #EXT-X-MAP:URI=\"{media}.mp4\",BYTERANGE=\"{}@0\"\n",
        packaged.init_bytes
    );
    for span in &packaged.spans {
        write!(
            text,
            "#EXTINF:{:.6},\n#EXT-X-BYTERANGE:{}@{}\n{media}.mp4\n",
            seconds(span.ticks),
            span.bytes,
            span.start
        )
        .expect("writing to a String cannot fail");
    }
    text.push_str("#EXT-X-ENDLIST\n");
    text
}
