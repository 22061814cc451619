//! A member's player without a picture: fetches real segments at the pace of watching, moves on
//! when an appliance fails, and counts every millisecond that the picture would have stood still.
//! Not a decoder: it compares bytes with the library instead.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use control_client::ControlClient;
use control_types::ObjectId;
use control_types::play::{PlayAnswer, PlayEvent, PlayEventKind, PlayEvents, RankedAppliance};
use reqwest::header::RANGE;
use reqwest::{Certificate, StatusCode};

use crate::trouble::Trouble;

/// Media kept ahead of the picture.
const BUFFER_AHEAD: Duration = Duration::from_secs(8);
/// An appliance that cannot be connected to or is silent for this long is left for the next.
const CONNECT_WITHIN: Duration = Duration::from_millis(1_000);
const FIRST_BYTE_WITHIN: Duration = Duration::from_millis(2_500);
const REPORT_EVERY: Duration = Duration::from_secs(2);

/// What a member saw.
#[derive(Clone, Debug, Default)]
pub struct Viewing {
    /// From press to first frame.
    pub startup: Duration,
    /// Picture time shown.
    pub watched: Duration,
    /// How often the picture stood still after the first frame.
    pub stalls: u32,
    /// For how long, together.
    pub stalled: Duration,
    /// Appliances in the order of first use, with the bytes each sent.
    pub bytes_from: BTreeMap<String, u64>,
    /// Moves from one appliance to another.
    pub switches: u32,
    /// Bytes that were compared with the library and were the same.
    pub bytes_compared: u64,
    /// Refusals and broken transfers met on the way, in words.
    pub troubles: Vec<String>,
}

/// One piece of a file.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    /// First byte.
    pub start: u64,
    /// How many.
    pub bytes: u64,
    /// How long it plays.
    pub duration: Duration,
}

/// A file and its pieces, in order.
#[derive(Clone, Debug)]
pub struct Track {
    /// Its name in a title's URLs.
    pub file: String,
    /// At least one.
    pub segments: Vec<Segment>,
}

/// One play in progress.
pub struct Player {
    http: reqwest::Client,
    control: ControlClient,
    answer: PlayAnswer,
    playlist: String,
    media: ObjectId,
    extension: String,
    segments: Vec<Segment>,
    pressed: Instant,
    current: usize,
    reference: Option<Vec<u8>>,
    reported: Option<Instant>,
    viewing: Viewing,
}

impl Player {
    /// Loads the manifest from control and the lowest rendition's playlist from the first
    /// appliance. `pressed` is when play was pressed.
    ///
    /// # Errors
    /// When there is nothing playable.
    pub async fn open(
        control: &ControlClient,
        answer: PlayAnswer,
        ca_pem: &str,
        pressed: Instant,
    ) -> Result<Self, Trouble> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([Certificate::from_pem(ca_pem.as_bytes())?])
            .connect_timeout(CONNECT_WITHIN)
            .read_timeout(FIRST_BYTE_WITHIN)
            .build()?;
        let manifest = control.hls_manifest(answer.play).await?;
        let parsed = m3u8_rs::parse_master_playlist_res(manifest.as_bytes());
        let master = parsed.map_err(|error| Trouble(format!("multivariant playlist: {error}")))?;
        let lowest = master.variants.iter().min_by_key(|variant| variant.bandwidth);
        let lowest = lowest.ok_or_else(|| Trouble("no variant in the manifest".to_owned()))?;
        let playlist = lowest.uri.rsplit('/').next().unwrap_or_default().to_owned();
        let mut player = Self {
            http,
            control: control.clone(),
            answer,
            playlist,
            media: ObjectId([0; 32]),
            extension: String::new(),
            segments: Vec::new(),
            pressed,
            current: 0,
            reference: None,
            reported: None,
            viewing: Viewing::default(),
        };
        player.load_playlist().await?;
        Ok(player)
    }

    async fn load_playlist(&mut self) -> Result<(), Trouble> {
        let name = self.playlist.clone();
        let bytes = self.fetch(&name, None).await?;
        let parsed = m3u8_rs::parse_media_playlist_res(&bytes);
        let list = parsed.map_err(|error| Trouble(format!("media playlist: {error}")))?;
        let mut next = 0;
        for segment in &list.segments {
            let range = segment.byte_range.as_ref();
            let range = range.ok_or_else(|| Trouble("a segment has no byte range".to_owned()))?;
            let start = range.offset.unwrap_or(next);
            next = start + range.length;
            let duration = Duration::from_secs_f32(segment.duration);
            self.segments.push(Segment { start, bytes: range.length, duration });
            let (name, extension) = segment.uri.rsplit_once('.').unwrap_or((&segment.uri, ""));
            self.media = name.parse()?;
            self.extension = extension.to_owned();
        }
        if self.segments.is_empty() {
            return Err(Trouble("the media playlist has no segment".to_owned()));
        }
        Ok(())
    }

    /// What is being played.
    #[must_use]
    pub fn track(&self) -> Track {
        let file = format!("{}.{}", self.media, self.extension);
        Track { file, segments: self.segments.clone() }
    }

    /// Which file is being played.
    #[must_use]
    pub fn media(&self) -> ObjectId {
        self.media
    }

    /// Compares every segment with `media`, the library's own copy of the file.
    #[must_use]
    pub fn comparing_with(mut self, media: Vec<u8>) -> Self {
        self.reference = Some(media);
        self
    }

    /// The appliance being streamed from.
    #[must_use]
    pub fn appliance(&self) -> &str {
        self.ranked(self.current).appliance.as_str()
    }

    fn ranked(&self, index: usize) -> &RankedAppliance {
        &self.answer.ranked[index % self.answer.ranked.len()]
    }

    /// Watches for `span` of wall-clock time; at the title's end it starts again. `then` is called
    /// once after every segment, with the time watched so far, to make something happen in
    /// mid-play.
    ///
    /// # Errors
    /// When no appliance of the list can give a segment any more.
    pub async fn watch<T>(&mut self, span: Duration, mut then: T) -> Result<Viewing, Trouble>
    where
        T: FnMut(&Viewing, &str) -> Result<(), Trouble>,
    {
        let mut index = 0;
        let mut buffered = Duration::ZERO;
        let mut first_frame: Option<Instant> = None;
        let until = Instant::now() + span;
        while Instant::now() < until {
            let played = self.played(first_frame);
            if buffered > played + BUFFER_AHEAD {
                tokio::time::sleep(buffered - played - BUFFER_AHEAD).await;
                continue;
            }
            let count = self.segments.len();
            buffered += self.take_segment(index % count).await?;
            index += 1;
            match first_frame {
                None => {
                    first_frame = Some(Instant::now());
                    self.viewing.startup = self.pressed.elapsed();
                }
                Some(began) => self.note_stall(began, buffered, index % count),
            }
            self.viewing.watched = self.played(first_frame);
            self.report().await;
            let appliance = self.appliance().to_owned();
            then(&self.viewing, &appliance)?;
        }
        self.viewing.watched = self.played(first_frame);
        Ok(self.viewing.clone())
    }

    fn played(&self, first_frame: Option<Instant>) -> Duration {
        let since = first_frame.map(|began| began.elapsed()).unwrap_or_default();
        since.saturating_sub(self.viewing.stalled)
    }

    /// The segment just added came too late when the picture had already used up all before it.
    fn note_stall(&mut self, began: Instant, buffered: Duration, next: usize) {
        let count = self.segments.len();
        let added = self.segments[(next + count - 1) % count].duration;
        let before = buffered.saturating_sub(added);
        let late = began.elapsed().saturating_sub(self.viewing.stalled).saturating_sub(before);
        if !late.is_zero() {
            self.viewing.stalls += 1;
            self.viewing.stalled += late;
        }
    }

    async fn take_segment(&mut self, index: usize) -> Result<Duration, Trouble> {
        let (start, bytes) = (self.segments[index].start, self.segments[index].bytes);
        let name = format!("{}.{}", self.media, self.extension);
        let body = self.fetch(&name, Some((start, bytes))).await?;
        if let Some(reference) = &self.reference {
            let range = usize::try_from(start)
                .ok()
                .and_then(|start| reference.get(start..start + usize::try_from(bytes).ok()?));
            if range != Some(&body[..]) {
                return Err(Trouble(format!("WRONG BYTES in {name} at {start}+{bytes}")));
            }
            self.viewing.bytes_compared += bytes;
        }
        Ok(self.segments[index].duration)
    }

    /// Asks the current appliance, then the next ones, each at most twice.
    async fn fetch(&mut self, name: &str, range: Option<(u64, u64)>) -> Result<Vec<u8>, Trouble> {
        for _ in 0..self.answer.ranked.len() * 2 {
            let from = self.ranked(self.current).clone();
            match self.fetch_from(&from, name, range).await {
                Ok(body) => {
                    let sent = body.len() as u64;
                    *self.viewing.bytes_from.entry(from.appliance.to_string()).or_default() += sent;
                    return Ok(body);
                }
                Err(trouble) => {
                    self.viewing.troubles.push(format!("{}: {trouble}", from.appliance));
                    self.viewing.switches += 1;
                    self.current += 1;
                }
            }
        }
        let met = self.viewing.troubles.join("; ");
        Err(Trouble(format!("no appliance could give {name}: {met}")))
    }

    async fn fetch_from(
        &self,
        from: &RankedAppliance,
        name: &str,
        range: Option<(u64, u64)>,
    ) -> Result<Vec<u8>, Trouble> {
        let mut request = self.http.get(format!("{}{name}", from.base_url));
        let mut wanted = StatusCode::OK;
        if let Some((start, bytes)) = range {
            request = request.header(RANGE, format!("bytes={start}-{}", start + bytes - 1));
            wanted = StatusCode::PARTIAL_CONTENT;
        }
        let answer = request.send().await?;
        let status = answer.status();
        let body = answer.bytes().await?;
        if status != wanted {
            let said = String::from_utf8_lossy(&body).trim().to_owned();
            return Err(Trouble(format!("{status} {said}")));
        }
        if range.is_some_and(|(_, bytes)| bytes != body.len() as u64) {
            return Err(Trouble(format!("{} bytes instead of {range:?}", body.len())));
        }
        Ok(body.to_vec())
    }

    /// Tells control, which may be away: a player never waits for it.
    async fn report(&mut self) {
        if self.reported.is_some_and(|at| at.elapsed() < REPORT_EVERY) {
            return;
        }
        let kind = match self.reported {
            None => PlayEventKind::Started,
            Some(_) => PlayEventKind::Heartbeat,
        };
        self.reported = Some(Instant::now());
        let event = PlayEvent {
            kind,
            position_ms: millis(self.viewing.watched),
            since_press_ms: millis(self.pressed.elapsed()),
            appliance: self.ranked(self.current).appliance.clone().into(),
            height: 240,
            buffer_ms: millis(BUFFER_AHEAD),
            bytes: 0,
            stall_ms: millis(self.viewing.stalled),
            detail: String::new(),
            trouble: None,
            first_byte_ms: None,
        };
        let control = self.control.clone();
        let play = self.answer.play;
        tokio::spawn(async move {
            let _ = control.play_events(play, &PlayEvents { events: vec![event] }).await;
        });
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
