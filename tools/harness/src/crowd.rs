//! Many members at once, each at the pace of watching: segments of one small rendition, steered by
//! Content Steering at its TTL, and nothing else. Not a player: it keeps no bytes and has one
//! rendition; for what a member sees in detail there is `player`.
//!
//! A screen does what RFC 8216bis asks of a player: it streams from the first pathway of its list
//! that has not failed it lately, keeps its list when a question is not answered, and makes cloned
//! pathways by replacing the host.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use control_types::play::{PlayAnswer, SteeringManifest};
use reqwest::header::RANGE;
use reqwest::{Certificate, StatusCode, Url};

use crate::player::{Segment, Track};
use crate::trouble::Trouble;

/// Media kept ahead of the picture.
const BUFFER_AHEAD: Duration = Duration::from_secs(8);
/// A host that cannot be connected to, or is silent for this long, is left for the next.
const CONNECT_WITHIN: Duration = Duration::from_millis(1_500);
const FIRST_BYTE_WITHIN: Duration = Duration::from_millis(3_000);
/// A pathway that failed is not tried again for this long, if there is another.
const SHUNNED_FOR: Duration = Duration::from_secs(10);
/// Between two rounds over pathways that all fail.
const ROUND_EVERY: Duration = Duration::from_millis(250);
/// Screens begin one after the other.
const BEGIN_EVERY: Duration = Duration::from_millis(20);
/// How late a timer of 100 ms may be before the machine counts as having stood still.
const TICK: Duration = Duration::from_millis(100);

/// What one member saw.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Picture time shown.
    pub watched: Duration,
    /// How often the picture stood still after the first frame.
    pub stalls: u32,
    /// For how long, together.
    pub stalled: Duration,
    /// Bytes by pathway.
    pub bytes_from: BTreeMap<String, u64>,
    /// Moves from one pathway to another.
    pub moves: u32,
    /// Steering questions that were answered.
    pub answers: u32,
    /// And those that were not.
    pub unanswered: u32,
    /// Where it streams from.
    pub pathway: String,
    /// What it met on the way, in words; the last few.
    pub troubles: Vec<String>,
}

/// What all of them saw.
#[derive(Clone, Debug, Default)]
pub struct Crowd {
    /// Screen by screen.
    pub screens: Vec<Seen>,
    /// The longest that this process was kept from running: an interruption shorter than this may
    /// be the machine's.
    pub stood_still: Duration,
}

impl Crowd {
    /// Screens that stream from `pathway` now.
    #[must_use]
    pub fn at(&self, pathway: &str) -> usize {
        self.screens.iter().filter(|seen| seen.pathway == pathway).count()
    }

    /// A sum over all screens.
    #[must_use]
    pub fn sum(&self, of: impl Fn(&Seen) -> u64) -> u64 {
        self.screens.iter().map(of).sum()
    }
}

/// A crowd that watches until it is told to stop.
pub struct Watching {
    began: Instant,
    now: Arc<Mutex<Crowd>>,
    over: Arc<AtomicBool>,
    tasks: tokio::task::JoinSet<()>,
}

impl Watching {
    /// `screens` screens watch `track`, over and over, by turns on each of `answers`.
    ///
    /// # Errors
    /// When `ca_pem` is no certificate or a URL in an answer is none.
    pub fn start(
        screens: usize,
        track: &Arc<Track>,
        answers: &[PlayAnswer],
        ca_pem: &str,
    ) -> Result<Self, Trouble> {
        let now = Arc::new(Mutex::new(Crowd::default()));
        let mut tasks = tokio::task::JoinSet::new();
        let over = Arc::new(AtomicBool::new(false));
        for (number, answer) in answers.iter().cycle().take(screens).enumerate() {
            let mut screen = Screen::new(answer, track, &over, ca_pem)?;
            now.lock().expect("no holder panics").screens.push(Seen::default());
            let board = Arc::clone(&now);
            let waits = BEGIN_EVERY * u32::try_from(number).unwrap_or(u32::MAX);
            tasks.spawn(async move {
                tokio::time::sleep(waits).await;
                screen
                    .watch(|seen| {
                        board.lock().expect("no holder panics").screens[number] = seen.clone();
                    })
                    .await;
            });
        }
        let (board, is_over) = (Arc::clone(&now), Arc::clone(&over));
        tasks.spawn(async move {
            while !is_over.load(Ordering::Relaxed) {
                let began = Instant::now();
                tokio::time::sleep(TICK).await;
                let late = began.elapsed().saturating_sub(TICK);
                let mut crowd = board.lock().expect("no holder panics");
                crowd.stood_still = crowd.stood_still.max(late);
            }
        });
        Ok(Self { began: Instant::now(), now, over, tasks })
    }

    /// How it goes.
    #[must_use]
    pub fn now(&self) -> Crowd {
        self.now.lock().expect("no holder panics").clone()
    }

    /// Tells them to stop, not before `span` has passed since they began, and waits for it.
    pub async fn end(mut self, span: Duration) -> Crowd {
        tokio::time::sleep(span.saturating_sub(self.began.elapsed())).await;
        self.over.store(true, Ordering::Relaxed);
        while self.tasks.join_next().await.is_some() {}
        self.now()
    }
}

/// One member's screen.
struct Screen {
    http: reqwest::Client,
    track: Arc<Track>,
    over: Arc<AtomicBool>,
    /// Where each pathway's files are.
    bases: BTreeMap<String, Url>,
    /// Best first.
    list: Vec<String>,
    shunned: BTreeMap<String, Instant>,
    steering: Url,
    ttl: Duration,
    asked: Option<Instant>,
    seen: Seen,
}

impl Screen {
    fn new(
        answer: &PlayAnswer,
        track: &Arc<Track>,
        over: &Arc<AtomicBool>,
        ca_pem: &str,
    ) -> Result<Self, Trouble> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .http1_only()
            .tls_certs_only([Certificate::from_pem(ca_pem.as_bytes())?])
            .connect_timeout(CONNECT_WITHIN)
            .read_timeout(FIRST_BYTE_WITHIN)
            .build()?;
        let url = |text: &str| {
            Url::parse(text).map_err(|error| Trouble(format!("{text} is no URL: {error}")))
        };
        let mut bases = BTreeMap::new();
        for ranked in &answer.ranked {
            bases.insert(ranked.appliance.to_string(), url(&ranked.base_url)?);
        }
        let list: Vec<String> =
            answer.ranked.iter().map(|ranked| ranked.appliance.to_string()).collect();
        let pathway = list.first().cloned().unwrap_or_default();
        Ok(Self {
            http,
            track: Arc::clone(track),
            over: Arc::clone(over),
            bases,
            list,
            shunned: BTreeMap::new(),
            steering: url(&answer.steering_url)?,
            ttl: Duration::ZERO,
            asked: None,
            seen: Seen { pathway, ..Seen::default() },
        })
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    async fn watch(&mut self, tell: impl Fn(&Seen)) {
        let mut buffered = Duration::ZERO;
        let mut first_frame: Option<Instant> = None;
        let mut index = 0;
        while !self.is_over() {
            self.ask_when_due().await;
            let played = first_frame
                .map(|began| began.elapsed().saturating_sub(self.seen.stalled))
                .unwrap_or_default();
            if let Some(wait) = buffered.checked_sub(played + BUFFER_AHEAD) {
                let question =
                    self.asked.map_or(self.ttl, |at| self.ttl.saturating_sub(at.elapsed()));
                tokio::time::sleep(wait.min(question).max(Duration::from_millis(5))).await;
                continue;
            }
            let segment = self.track.segments[index % self.track.segments.len()];
            if !self.take(segment).await {
                break;
            }
            index += 1;
            let began = *first_frame.get_or_insert_with(Instant::now);
            let late = (began.elapsed().saturating_sub(self.seen.stalled)).saturating_sub(buffered);
            if index > 1 && !late.is_zero() {
                self.seen.stalls += 1;
                self.seen.stalled += late;
            }
            buffered += segment.duration;
            self.seen.watched = began.elapsed().saturating_sub(self.seen.stalled);
            tell(&self.seen);
        }
        tell(&self.seen);
    }

    /// One segment from wherever it can be had; false when all is over.
    async fn take(&mut self, segment: Segment) -> bool {
        while !self.is_over() {
            for pathway in self.order() {
                let Some(base) = self.bases.get(&pathway).cloned() else { continue };
                match self.fetch(&base, segment).await {
                    Ok(bytes) => {
                        *self.seen.bytes_from.entry(pathway.clone()).or_default() += bytes;
                        if self.seen.pathway != pathway {
                            self.seen.moves += 1;
                            self.seen.pathway = pathway;
                        }
                        return true;
                    }
                    Err(trouble) => {
                        self.note(format!("{pathway}: {trouble}"));
                        self.shunned.insert(pathway, Instant::now());
                    }
                }
            }
            tokio::time::sleep(ROUND_EVERY).await;
        }
        false
    }

    /// The list, those that failed lately last.
    fn order(&self) -> Vec<String> {
        let is_shunned = |pathway: &String| {
            self.shunned.get(pathway).is_some_and(|at| at.elapsed() < SHUNNED_FOR)
        };
        let mut order = self.list.clone();
        order.sort_by_key(is_shunned);
        order
    }

    async fn fetch(&self, base: &Url, segment: Segment) -> Result<u64, Trouble> {
        let Segment { start, bytes, .. } = segment;
        let url = format!("{base}{}", self.track.file);
        let range = format!("bytes={start}-{}", start + bytes - 1);
        let mut answer = self.http.get(url).header(RANGE, range).send().await?;
        let status = answer.status();
        let mut got = 0;
        while let Some(piece) = answer.chunk().await? {
            got += piece.len() as u64;
        }
        match status {
            StatusCode::PARTIAL_CONTENT if got == bytes => Ok(got),
            _ => Err(Trouble(format!("{status}, {got} of {bytes} bytes"))),
        }
    }

    async fn ask_when_due(&mut self) {
        if self.asked.is_some_and(|at| at.elapsed() < self.ttl) {
            return;
        }
        let was_asked_before = self.asked.replace(Instant::now()).is_some();
        match self.ask().await {
            Ok(manifest) => {
                self.seen.answers += 1;
                if let Err(trouble) = self.follow(&manifest) {
                    self.note(format!("steering: {trouble}"));
                }
            }
            Err(trouble) => {
                self.seen.unanswered += 1;
                self.note(format!("steering: {trouble}"));
                if !was_asked_before {
                    self.ttl = Duration::from_secs(5);
                }
            }
        }
    }

    async fn ask(&self) -> Result<SteeringManifest, Trouble> {
        let mut url = self.steering.clone();
        url.query_pairs_mut().append_pair("_HLS_pathway", &self.seen.pathway);
        let answer = self.http.get(url).send().await?.error_for_status()?;
        Ok(serde_json::from_slice(&answer.bytes().await?)?)
    }

    fn follow(&mut self, manifest: &SteeringManifest) -> Result<(), Trouble> {
        for clone in &manifest.pathway_clones {
            let base = self.bases.get(&clone.base_id).cloned();
            let mut base = base.ok_or_else(|| Trouble(format!("no base {}", clone.base_id)))?;
            let host = clone.uri_replacement.host.as_deref();
            let replaced = base.set_host(host);
            replaced.map_err(|error| Trouble(format!("{host:?} is no host: {error}")))?;
            self.bases.insert(clone.id.clone(), base);
        }
        let reload = self.steering.join(&manifest.reload_uri);
        self.steering = reload.map_err(|error| Trouble(format!("RELOAD-URI: {error}")))?;
        self.ttl = Duration::from_secs(u64::from(manifest.ttl));
        self.list.clone_from(&manifest.pathway_priority);
        Ok(())
    }

    fn note(&mut self, trouble: String) {
        if self.seen.troubles.len() >= 8 {
            self.seen.troubles.remove(0);
        }
        self.seen.troubles.push(trouble);
    }
}
