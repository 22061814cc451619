//! The HLS multivariant playlist (RFC 8216bis) with Content Steering: one pathway an appliance.
//! Every pathway holds the same variants, as the standard asks; they differ in URIs and group
//! names.

use std::fmt::Write;

use super::Stage;
use super::ladder::{AudioGroup, Video, audio_groups, videos};

/// Players begin with the first variant listed: the best one whose peak is below this, bits per
/// second, because a picture at once beats a sharp picture later.
const FIRST_PEAK_BPS_MAX: u64 = 2_500_000;

/// The playlist; media playlists are objects on the appliances.
pub(crate) fn multivariant(stage: &Stage<'_>) -> String {
    let mut videos = videos(stage.record, stage.height_max);
    let first = videos.iter().rposition(|video| video.rendition.peak_bps <= FIRST_PEAK_BPS_MAX);
    if let Some(first) = first {
        videos[..=first].rotate_right(1);
    }
    let groups = audio_groups(stage.record);

    let mut text = String::from("#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-INDEPENDENT-SEGMENTS\n");
    let first = stage.ranked.first().map_or("", |ranked| ranked.appliance.as_str());
    // Writing into a String cannot fail.
    let _ = writeln!(
        text,
        "#EXT-X-CONTENT-STEERING:SERVER-URI=\"{}\",PATHWAY-ID=\"{first}\"",
        quoted(stage.steering_url)
    );
    for ranked in stage.ranked {
        let pathway = Pathway { id: ranked.appliance.as_str(), base_url: &ranked.base_url };
        text.push('\n');
        for (number, group) in groups.iter().enumerate() {
            pathway.write_audio(&mut text, number, group);
        }
        for video in &videos {
            if groups.is_empty() {
                pathway.write_variant(&mut text, video, None);
            }
            for group in groups.iter().enumerate() {
                pathway.write_variant(&mut text, video, Some(group));
            }
        }
    }
    text
}

struct Pathway<'a> {
    id: &'a str,
    base_url: &'a str,
}

impl Pathway<'_> {
    fn write_audio(&self, text: &mut String, number: usize, group: &AudioGroup<'_>) {
        for (place, audio) in group.languages.iter().enumerate() {
            let default = if place == 0 { "YES" } else { "NO" };
            let _ = writeln!(
                text,
                "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio{number}-{id}\",NAME=\"{language}\",\
                 LANGUAGE=\"{language}\",DEFAULT={default},AUTOSELECT=YES,CHANNELS=\"{channels}\",\
                 STABLE-RENDITION-ID=\"{playlist}\",URI=\"{base}{playlist}.m3u8\"",
                id = self.id,
                language = quoted(audio.language),
                channels = audio.channels,
                base = quoted(self.base_url),
                playlist = audio.rendition.playlist,
            );
        }
    }

    fn write_variant(
        &self,
        text: &mut String,
        video: &Video<'_>,
        group: Option<(usize, &AudioGroup<'_>)>,
    ) {
        let rendition = video.rendition;
        let (mut peak, mut average) = (rendition.peak_bps, rendition.average_bps);
        let mut codecs = quoted(&rendition.codecs);
        let mut audio = String::new();
        if let Some((number, group)) = group {
            peak += group.peak_bps();
            average += group.average_bps();
            codecs = format!("{codecs},{}", quoted(group.codecs));
            audio = format!(",AUDIO=\"audio{number}-{}\"", self.id);
        }
        let number = group.map_or(0, |(number, _)| number);
        let _ = writeln!(
            text,
            "#EXT-X-STREAM-INF:BANDWIDTH={peak},AVERAGE-BANDWIDTH={average},CODECS=\"{codecs}\",\
             RESOLUTION={width}x{height},FRAME-RATE={whole}.{thousandths:03}{audio},\
             STABLE-VARIANT-ID=\"{playlist}-{number}\",PATHWAY-ID=\"{id}\"",
            width = video.width,
            height = video.height,
            whole = video.frames_per_kilosecond / 1000,
            thousandths = video.frames_per_kilosecond % 1000,
            playlist = rendition.playlist,
            id = self.id,
        );
        let _ = writeln!(text, "{}{}.m3u8", self.base_url, rendition.playlist);
    }
}

/// A quoted string may hold neither a quote nor a line end; what got this far with one is cut
/// there.
fn quoted(text: &str) -> String {
    text.chars().take_while(|c| *c != '"' && !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ranked, record};
    use super::*;

    fn playlist(height_max: u32) -> String {
        let (record, ranked) = (record(), ranked());
        multivariant(&Stage {
            record: &record,
            ranked: &ranked,
            height_max,
            steering_url: "https://control.example/s",
        })
    }

    #[test]
    fn every_pathway_holds_the_same_variants() {
        let text = playlist(1080);
        let of = |pathway: &str| -> Vec<String> {
            let mark = format!("PATHWAY-ID=\"{pathway}\"");
            let variants = text.lines().filter(|line| line.starts_with("#EXT-X-STREAM-INF"));
            variants
                .filter(|line| line.contains(&mark))
                .map(|line| line.replace(pathway, "*"))
                .collect()
        };
        let (one, two) = (of("edge-a1"), of("edge-b1"));
        // Three rungs with two audio codecs each.
        assert_eq!(one.len(), 6, "{text}");
        assert_eq!(one, two);
    }

    #[test]
    fn bandwidth_is_the_peak_of_picture_and_sound() {
        let text = playlist(1080);
        let line = text.lines().find(|line| line.contains("RESOLUTION=1920x1080")).unwrap();
        assert!(line.contains("BANDWIDTH=8256000,AVERAGE-BANDWIDTH=4128000"), "{line}");
        assert!(line.contains("CODECS=\"avc1.4d401f,mp4a.40.2\""), "{line}");
        assert!(line.contains("FRAME-RATE=23.976"), "{line}");
    }

    #[test]
    fn the_plan_caps_the_ladder_and_the_first_variant_starts_fast() {
        let text = playlist(720);
        assert!(!text.contains("1920x1080"));
        let first = text.lines().find(|line| line.starts_with("#EXT-X-STREAM-INF")).unwrap();
        assert!(first.contains("RESOLUTION=1280x720"), "{first}");
        // A plan below the lowest rung still shows the lowest rung.
        assert!(playlist(100).contains("RESOLUTION=640x360"));
        assert!(!playlist(100).contains("1280x720"));
    }

    #[test]
    fn every_uri_is_a_playlist_on_its_pathway() {
        let text = playlist(1080);
        let uris: Vec<&str> = text.lines().filter(|line| line.starts_with("https://")).collect();
        assert_eq!(uris.len(), 12);
        for uri in uris {
            assert!(uri.ends_with(".m3u8") && uri.contains("/t/TICKET/v/night/"), "{uri}");
        }
        assert_eq!(text.matches("TYPE=AUDIO").count(), 6);
    }

    #[test]
    fn a_quote_cannot_leave_its_string() {
        assert_eq!(quoted("en\",URI=\"http://evil"), "en");
        assert_eq!(quoted("en\n#EXT"), "en");
    }
}
