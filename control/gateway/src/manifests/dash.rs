//! The DASH MPD (ISO/IEC 23009-1, on-demand profile) with Content Steering: one BaseURL an
//! appliance. Addresses media by `SegmentBase`: players read the `sidx` from the appliance.

use std::fmt::Write;

use super::Stage;
use super::ladder::{Audio, Video, audio_groups, videos};

/// Media a player must have ahead before it starts, seconds.
const BUFFER_S_MIN: u32 = 4;

/// The MPD.
pub(crate) fn presentation(stage: &Stage<'_>) -> String {
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    // Writing into a String cannot fail.
    let _ = writeln!(
        text,
        "<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" \
         profiles=\"urn:mpeg:dash:profile:isoff-on-demand:2011\" type=\"static\" \
         mediaPresentationDuration=\"PT{}S\" minBufferTime=\"PT{BUFFER_S_MIN}S\">",
        seconds(stage.record.duration_ms)
    );
    for ranked in stage.ranked {
        let (id, url) = (ranked.appliance.as_str(), escaped(&ranked.base_url));
        let _ = writeln!(text, "  <BaseURL serviceLocation=\"{id}\">{url}</BaseURL>");
    }
    if let Some(first) = stage.ranked.first() {
        // Asked before the first segment, so that a stale MPD does not start on a drained box.
        let _ = writeln!(
            text,
            "  <ContentSteering defaultServiceLocation=\"{}\" queryBeforeStart=\"true\">{}\
             </ContentSteering>",
            first.appliance,
            escaped(stage.steering_url)
        );
    }
    text.push_str("  <Period id=\"0\" start=\"PT0S\">\n");
    let sets = write_videos(&mut text, &videos(stage.record, stage.height_max));
    let audios = audio_groups(stage.record);
    let audios = audios.iter().flat_map(|group| &group.languages);
    for (number, audio) in audios.enumerate() {
        write_audio(&mut text, sets + number, audio);
    }
    text.push_str("  </Period>\n</MPD>\n");
    text
}

/// One adaptation set a codec family: players do not switch decoders inside one. Says how many.
fn write_videos(text: &mut String, videos: &[Video<'_>]) -> usize {
    let mut families: Vec<&str> = Vec::new();
    for video in videos {
        let family = family_of(video);
        if !families.contains(&family) {
            families.push(family);
        }
    }
    for (number, family) in families.iter().enumerate() {
        let _ = writeln!(
            text,
            "    <AdaptationSet id=\"{number}\" contentType=\"video\" mimeType=\"video/mp4\" \
             segmentAlignment=\"true\" subsegmentAlignment=\"true\" startWithSAP=\"1\" \
             subsegmentStartsWithSAP=\"1\">"
        );
        for video in videos.iter().filter(|video| family_of(video) == *family) {
            let rendition = video.rendition;
            let _ = writeln!(
                text,
                "      <Representation id=\"{id}\" bandwidth=\"{bps}\" codecs=\"{codecs}\" \
                 width=\"{width}\" height=\"{height}\" frameRate=\"{rate}\" sar=\"1:1\">",
                id = rendition.media,
                bps = rendition.peak_bps,
                codecs = escaped(&rendition.codecs),
                width = video.width,
                height = video.height,
                rate = frame_rate(video.frames_per_kilosecond),
            );
            write_segments(text, rendition);
        }
        text.push_str("    </AdaptationSet>\n");
    }
    families.len()
}

fn family_of<'a>(video: &Video<'a>) -> &'a str {
    video.rendition.codecs.split('.').next().unwrap_or_default()
}

fn write_audio(text: &mut String, number: usize, audio: &Audio<'_>) {
    let rendition = audio.rendition;
    let _ = writeln!(
        text,
        "    <AdaptationSet id=\"{number}\" contentType=\"audio\" mimeType=\"audio/mp4\" \
         lang=\"{language}\" segmentAlignment=\"true\" subsegmentAlignment=\"true\" \
         startWithSAP=\"1\" subsegmentStartsWithSAP=\"1\">\n      \
         <Representation id=\"{id}\" bandwidth=\"{bps}\" codecs=\"{codecs}\" \
         audioSamplingRate=\"{rate}\">\n        \
         <AudioChannelConfiguration schemeIdUri=\
         \"urn:mpeg:dash:23003:3:audio_channel_configuration:2011\" value=\"{channels}\"/>",
        language = escaped(audio.language),
        id = rendition.media,
        bps = rendition.peak_bps,
        codecs = escaped(&rendition.codecs),
        rate = audio.sample_rate,
        channels = audio.channels,
    );
    write_segments(text, rendition);
    text.push_str("    </AdaptationSet>\n");
}

/// Our ranges end before their end, those of DASH on their last byte.
fn write_segments(text: &mut String, rendition: &control_types::catalog::Rendition) {
    let _ = writeln!(
        text,
        "        <BaseURL>{media}.mp4</BaseURL>\n        \
         <SegmentBase indexRange=\"{index_first}-{index_last}\">\
         <Initialization range=\"0-{init_last}\"/></SegmentBase>\n      \
         </Representation>",
        media = rendition.media,
        index_first = rendition.index_start,
        index_last = rendition.index_end.saturating_sub(1),
        init_last = rendition.init_bytes.saturating_sub(1),
    );
}

/// The rates of NTSC are fractions of 1001, and players want them exact.
fn frame_rate(frames_per_kilosecond: u32) -> String {
    match frames_per_kilosecond {
        23_976 => "24000/1001".to_owned(),
        29_970 => "30000/1001".to_owned(),
        47_952 => "48000/1001".to_owned(),
        59_940 => "60000/1001".to_owned(),
        119_880 => "120000/1001".to_owned(),
        whole if whole % 1000 == 0 => (whole / 1000).to_string(),
        other => format!("{other}/1000"),
    }
}

fn seconds(millis: u64) -> String {
    format!("{}.{:03}", millis / 1000, millis % 1000)
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars().filter(|c| !c.is_control()) {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ranked, record};
    use super::*;

    fn mpd() -> String {
        let (record, ranked) = (record(), ranked());
        presentation(&Stage {
            record: &record,
            ranked: &ranked,
            height_max: 720,
            steering_url: "https://control.example/s?a=1&b=2",
        })
    }

    #[test]
    fn appliances_are_base_urls_in_order_and_steering_is_declared() {
        let text = mpd();
        let (one, two) = (text.find("serviceLocation=\"edge-a1\""), text.find("\"edge-b1\""));
        assert!(one.unwrap() < two.unwrap(), "{text}");
        assert!(text.contains("defaultServiceLocation=\"edge-a1\" queryBeforeStart=\"true\""));
        assert!(text.contains("https://control.example/s?a=1&amp;b=2</ContentSteering>"));
    }

    #[test]
    fn ranges_are_inclusive_and_the_plan_caps_the_ladder() {
        let text = mpd();
        assert!(text.contains("indexRange=\"800-931\""), "{text}");
        assert!(text.contains("<Initialization range=\"0-799\"/>"));
        assert!(text.contains("frameRate=\"24000/1001\""));
        assert_eq!(text.matches("contentType=\"video\"").count(), 1);
        assert_eq!(text.matches("contentType=\"audio\"").count(), 3);
        assert!(text.contains("height=\"720\"") && !text.contains("height=\"1080\""));
        assert!(text.contains("mediaPresentationDuration=\"PT4.000S\""));
    }

    #[test]
    fn every_element_that_opens_closes() {
        let text = mpd();
        for name in ["MPD", "BaseURL", "Period", "AdaptationSet", "Representation", "SegmentBase"] {
            let opened = text.matches(&format!("<{name} ")).count()
                + text.matches(&format!("<{name}>")).count();
            assert_eq!(opened, text.matches(&format!("</{name}>")).count(), "{name} in {text}");
        }
    }
}
