//! A demand trace: what there was to watch and who pressed play when. Reads and writes its line
//! format; replays nothing.
//!
//! One JSON object a line; the first key says what the line is, unknown keys are refused:
//!
//! ```text
//! {"trace":1}                                                        first line, the version
//! {"title":"t17","genre":"drama","published_day":-30}                day 0 begins the trace, a Monday
//! {"object":"t17-1080","title":"t17","height":1080,"bytes":2100000000}
//! {"play":71234,"site":"lisbon","object":"t17-1080","seconds":2400,"bytes":1500000000}
//! ```
//!
//! `play` is seconds since the trace began, local time of the site; a play takes `bytes` of the
//! object from its start, evenly over `seconds`. Titles come before their objects and objects
//! before their plays; plays come in order of time. Sites are known by their plays.

use std::fmt::Write as _;

use ahash::AHashMap;
use serde::{Deserialize, Serialize};

use crate::error::SimulateError;

/// Version this code reads and writes.
const VERSION: u32 = 1;
/// Longest trace, days.
pub(crate) const DAYS_MAX: u32 = 1_000;
/// Longest play, seconds: a day.
const PLAY_SECONDS_MAX: u32 = 86_400;
/// Most objects, plays and sites.
const OBJECTS_MAX: usize = 10_000_000;
const PLAYS_MAX: usize = 200_000_000;
pub(crate) const SITES_MAX: usize = 1_000;

/// A whole trace.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trace {
    /// What can be watched.
    pub titles: Vec<Title>,
    /// Their files.
    pub objects: Vec<Object>,
    /// Names of genres, by index.
    pub genres: Vec<String>,
    /// Names of sites, by index.
    pub sites: Vec<String>,
    /// By time.
    pub plays: Vec<Play>,
}

/// One title.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Title {
    /// Name.
    pub name: String,
    /// Index into `genres`.
    pub genre: u16,
    /// Day it appears; negative for what was there before.
    pub published_day: i32,
}

/// One file of a title.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Name.
    pub name: String,
    /// Index into `titles`.
    pub title: u32,
    /// Height of its picture, pixels; 0 for sound.
    pub height: u32,
    /// Size, bytes.
    pub bytes: u64,
}

/// One press of play.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Play {
    /// Seconds since the trace began.
    pub at: u32,
    /// How long it lasted, seconds.
    pub seconds: u32,
    /// Index into `objects`.
    pub object: u32,
    /// Index into `sites`.
    pub site: u16,
    /// Bytes taken from the object's start.
    pub bytes: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeadLine {
    trace: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TitleLine<'a> {
    title: &'a str,
    genre: &'a str,
    published_day: i32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ObjectLine<'a> {
    object: &'a str,
    title: &'a str,
    height: u32,
    bytes: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlayLine<'a> {
    play: u32,
    site: &'a str,
    object: &'a str,
    seconds: u32,
    bytes: u64,
}

/// A trace while it is read.
struct Reader {
    trace: Trace,
    titles: AHashMap<String, u32>,
    objects: AHashMap<String, u32>,
    genres: AHashMap<String, u16>,
    sites: AHashMap<String, u16>,
}

impl Trace {
    /// Reads a trace line by line; empty lines are passed over. `progress` is told the number of
    /// each line read.
    ///
    /// # Errors
    /// The first line that is not as it should be, by number.
    pub fn read<'a>(
        lines: impl Iterator<Item = std::io::Result<std::borrow::Cow<'a, str>>>,
        mut progress: impl FnMut(usize),
    ) -> Result<Self, SimulateError> {
        let mut reader = Reader {
            trace: Self::default(),
            titles: AHashMap::new(),
            objects: AHashMap::new(),
            genres: AHashMap::new(),
            sites: AHashMap::new(),
        };
        let mut begun = false;
        for (at, text) in lines.enumerate() {
            let line = at + 1;
            let wrong = |why: String| SimulateError::Line { line, why };
            let text = text.map_err(|error| wrong(error.to_string()))?;
            let text = text.trim();
            if text.is_empty() {
                continue;
            }
            if begun {
                reader.take(text).map_err(wrong)?;
            } else {
                let head: HeadLine = parsed(text, r#"begin with {"trace":1}"#).map_err(wrong)?;
                if head.trace != VERSION {
                    let version = head.trace;
                    return Err(wrong(format!("version {version} is not read here: use 1")));
                }
                begun = true;
            }
            progress(line);
        }
        if !begun {
            let why = r#"an empty trace: begin with {"trace":1}"#.to_owned();
            return Err(SimulateError::Line { line: 1, why });
        }
        Ok(reader.trace)
    }

    /// The trace as text, as [`Trace::read`] reads it; `sink` gets it in pieces of whole lines.
    ///
    /// # Errors
    /// What the sink said.
    pub fn write<E>(&self, mut sink: impl FnMut(&str) -> Result<(), E>) -> Result<(), E> {
        let mut text = String::new();
        let line = |text: &mut String, value: Result<String, serde_json::Error>| {
            // Numbers and strings alone cannot fail to be written.
            let _ = writeln!(text, "{}", value.unwrap_or_default());
        };
        line(&mut text, serde_json::to_string(&HeadLine { trace: VERSION }));
        for title in &self.titles {
            let one = TitleLine {
                title: &title.name,
                genre: &self.genres[usize::from(title.genre)],
                published_day: title.published_day,
            };
            line(&mut text, serde_json::to_string(&one));
        }
        for object in &self.objects {
            let one = ObjectLine {
                object: &object.name,
                title: &self.titles[object.title as usize].name,
                height: object.height,
                bytes: object.bytes,
            };
            line(&mut text, serde_json::to_string(&one));
        }
        for play in &self.plays {
            let one = PlayLine {
                play: play.at,
                site: &self.sites[usize::from(play.site)],
                object: &self.objects[play.object as usize].name,
                seconds: play.seconds,
                bytes: play.bytes,
            };
            line(&mut text, serde_json::to_string(&one));
            if text.len() > 1 << 20 {
                sink(&text)?;
                text.clear();
            }
        }
        sink(&text)
    }

    /// Days from the first to the last play, both counted.
    #[must_use]
    pub fn days(&self) -> usize {
        self.plays.last().map_or(0, |play| play.at as usize / 86_400 + 1)
    }

    /// Bytes of everything there is to watch.
    #[must_use]
    pub fn catalog_bytes(&self) -> u64 {
        self.objects.iter().map(|object| object.bytes).sum()
    }
}

fn parsed<'a, T: Deserialize<'a>>(text: &'a str, cure: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| {
        // It counts lines of its own; the caller knows which line of the file this is.
        let (said, column) = (error.to_string(), error.column());
        let what = said.split(" at line ").next().unwrap_or(&said);
        format!("{what} at column {column}: {cure}")
    })
}

impl Reader {
    fn take(&mut self, text: &str) -> Result<(), String> {
        // The first key decides, so that a mistake in a play is told as one in a play.
        let key = text.trim_start_matches('{').trim_start();
        if key.starts_with("\"play\"") {
            self.take_play(text)
        } else if key.starts_with("\"object\"") {
            self.take_object(text)
        } else if key.starts_with("\"title\"") {
            self.take_title(text)
        } else {
            Err("begin the line with \"title\", \"object\" or \"play\"".to_owned())
        }
    }

    fn take_title(&mut self, text: &str) -> Result<(), String> {
        let cure = "a title is {\"title\":name,\"genre\":name,\"published_day\":number}";
        let TitleLine { title, genre, published_day } = parsed(text, cure)?;
        let index = u32::try_from(self.trace.titles.len()).map_err(|_| "too many titles")?;
        let genres = &mut self.trace.genres;
        let genre = match self.genres.get(genre) {
            Some(genre) => *genre,
            None => {
                let index = u16::try_from(genres.len()).map_err(|_| "too many genres")?;
                genres.push(genre.to_owned());
                self.genres.insert(genre.to_owned(), index);
                index
            }
        };
        if self.titles.insert(title.to_owned(), index).is_some() {
            return Err(format!("title {title:?} is there already"));
        }
        self.trace.titles.push(Title { name: title.to_owned(), genre, published_day });
        Ok(())
    }

    fn take_object(&mut self, text: &str) -> Result<(), String> {
        let cure =
            "an object is {\"object\":name,\"title\":name,\"height\":number,\"bytes\":number}";
        let ObjectLine { object, title, height, bytes } = parsed(text, cure)?;
        let Some(title_index) = self.titles.get(title) else {
            return Err(format!("title {title:?} is not known: its line comes first"));
        };
        if bytes == 0 || bytes > control_types::limits::OBJECT_BYTES_MAX {
            return Err(format!("{bytes} bytes is no object: use 1 B to 64 GiB"));
        }
        if self.trace.objects.len() >= OBJECTS_MAX {
            return Err(format!("more than {OBJECTS_MAX} objects"));
        }
        let index = self.trace.objects.len() as u32;
        if self.objects.insert(object.to_owned(), index).is_some() {
            return Err(format!("object {object:?} is there already"));
        }
        let name = object.to_owned();
        self.trace.objects.push(Object { name, title: *title_index, height, bytes });
        Ok(())
    }

    fn take_play(&mut self, text: &str) -> Result<(), String> {
        let cure = "a play is {\"play\":seconds,\"site\":name,\"object\":name,\
                    \"seconds\":number,\"bytes\":number}";
        let PlayLine { play: at, site, object, seconds, bytes } = parsed(text, cure)?;
        let Some(index) = self.objects.get(object) else {
            return Err(format!("object {object:?} is not known: its line comes first"));
        };
        let whole = self.trace.objects[*index as usize].bytes;
        if bytes > whole {
            return Err(format!("{bytes} bytes of an object of {whole}"));
        }
        if seconds == 0 || seconds > PLAY_SECONDS_MAX {
            return Err(format!("a play of {seconds} s: use 1 to {PLAY_SECONDS_MAX}"));
        }
        if at >= DAYS_MAX * 86_400 {
            return Err(format!("second {at} is beyond {DAYS_MAX} days"));
        }
        if self.trace.plays.last().is_some_and(|last| last.at > at) {
            return Err(format!("second {at} is before the play above it: sort them by time"));
        }
        if self.trace.plays.len() >= PLAYS_MAX {
            return Err(format!("more than {PLAYS_MAX} plays"));
        }
        let sites = &mut self.trace.sites;
        let site = match self.sites.get(site) {
            Some(site) => *site,
            None if sites.len() >= SITES_MAX => return Err(format!("more than {SITES_MAX} sites")),
            None => {
                let index = sites.len() as u16;
                sites.push(site.to_owned());
                self.sites.insert(site.to_owned(), index);
                index
            }
        };
        self.trace.plays.push(Play { at, seconds, object: *index, site, bytes });
        Ok(())
    }
}
