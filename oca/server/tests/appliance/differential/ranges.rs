//! `Range` headers and what they mean, decided here once more: a set of stretches is put together
//! by sorting, where the program adds them one by one.

use std::ops::Range;

use super::world::{CHUNK, Rng};

/// More ranges than this are answered with the whole.
const RANGES_MAX: usize = 16;

/// One `Range` header and what it means for any length.
#[derive(Clone)]
pub struct Ranges {
    pub text: String,
    /// `None`: it cannot be read.
    specs: Option<Vec<Spec>>,
}

#[derive(Clone, Copy)]
enum Spec {
    Between(usize, usize),
    From(usize),
    Last(usize),
}

/// What of a length is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    Whole,
    /// In this order; one is an ordinary 206.
    Stretches(Vec<Range<usize>>),
    Nothing,
}

impl Ranges {
    pub fn draw(rng: &mut Rng, length: usize) -> Self {
        match rng.below(14) {
            0 => Self::draw_odd(rng),
            1..=4 => Self::draw_several(rng, length),
            _ => {
                let (text, spec) = Spec::draw(rng, length);
                let unit = *rng.pick(&["bytes", "bytes", "bytes", "Bytes", "BYTES"]);
                let specs = spec.map(|spec| vec![spec]);
                Self { text: format!("{unit}={text}"), specs }
            }
        }
    }

    fn draw_several(rng: &mut Rng, length: usize) -> Self {
        let count = if rng.one_in(6) { 1 + rng.below(20) } else { 2 + rng.below(4) };
        let (mut text, mut specs) = ("bytes=".to_owned(), Some(Vec::new()));
        for at in 0..count {
            if at > 0 {
                text += *rng.pick(&[",", ",", ", ", ",,", " ,\t"]);
            }
            let (one, spec) = Spec::draw(rng, length);
            text += &one;
            match (spec, &mut specs) {
                (Some(spec), Some(specs)) => specs.push(spec),
                _ => specs = None,
            }
        }
        let specs = specs.filter(|specs| specs.len() <= RANGES_MAX);
        Self { text, specs }
    }

    fn draw_odd(rng: &mut Rng) -> Self {
        let odd = [
            "items=0-1",
            "bytes=-",
            "bytes=x-1",
            "bytes",
            "bytes=1-x",
            "bytes=+1-2",
            "bytes=0x1-2",
            "bytes=--1",
            "bytes=1-2-3",
            "bytes=0-0,x",
            "bytes=,",
            "bytes=0-0;1-1",
            "bytes=0 - 1",
            "none",
        ];
        Self { text: (*rng.pick(&odd)).to_owned(), specs: None }
    }

    pub fn resolve(&self, length: usize) -> Sent {
        let Some(specs) = &self.specs else { return Sent::Whole };
        let mut there: Vec<(usize, Range<usize>)> = Vec::new();
        let mut is_empty_whole = false;
        for (place, spec) in specs.iter().enumerate() {
            match spec.resolve(length) {
                None => return Sent::Whole,
                Some(range) if !range.is_empty() => there.push((place, range)),
                Some(_) => {
                    is_empty_whole |= length == 0 && matches!(spec, Spec::Last(1..));
                }
            }
        }
        if there.is_empty() {
            return if is_empty_whole { Sent::Whole } else { Sent::Nothing };
        }
        there.sort_by_key(|(_, range)| range.start);
        let mut merged: Vec<(usize, Range<usize>)> = Vec::new();
        for (place, range) in there {
            match merged.last_mut() {
                Some((first, last)) if range.start <= last.end => {
                    last.end = last.end.max(range.end);
                    *first = place.min(*first);
                }
                _ => merged.push((place, range)),
            }
        }
        merged.sort_by_key(|(place, _)| *place);
        Sent::Stretches(merged.into_iter().map(|(_, range)| range).collect())
    }
}

impl Spec {
    /// Text, and what it means if it can be read.
    fn draw(rng: &mut Rng, length: usize) -> (String, Option<Self>) {
        let near = |at: usize| if at < length { at } else { length / 3 };
        let edges = [
            0,
            1,
            near(CHUNK - 1),
            near(CHUNK),
            near(CHUNK + 1),
            length / 4,
            length / 2,
            length.saturating_sub(1),
        ];
        let mut edge = || *rng.pick(&edges) + rng.below(3) as usize;
        let (a, b) = (edge(), edge());
        match rng.below(10) {
            0 => (format!("{a}-"), Some(Self::From(a))),
            1 => (format!("-{a}"), Some(Self::Last(a))),
            2 => (format!("{a}-99999999999999999999999"), Some(Self::Between(a, usize::MAX - 1))),
            3 if rng.one_in(3) => {
                ("99999999999999999999999-".to_owned(), Some(Self::From(usize::MAX)))
            }
            4 => (format!("{a}-{a}"), Some(Self::Between(a, a))),
            5 => (format!("{a}-{}", a + 99), Some(Self::Between(a, a + 99))),
            // Mostly a pair that can be read; the other order cannot.
            6 => (format!("{a}-{b}"), (a <= b).then_some(Self::Between(a, b))),
            _ => {
                let (a, b) = (a.min(b), a.max(b));
                (format!("{a}-{b}"), Some(Self::Between(a, b)))
            }
        }
    }

    /// Empty: nothing of it is there. `None`: it makes the header one that cannot be read.
    fn resolve(self, length: usize) -> Option<Range<usize>> {
        match self {
            Self::Between(first, last) if last < first => None,
            Self::Between(first, last) if first < length => Some(first..length.min(last + 1)),
            Self::From(first) if first < length => Some(first..length),
            Self::Last(count) => Some(length.saturating_sub(count)..length),
            Self::Between(..) | Self::From(_) => Some(0..0),
        }
    }
}

/// What an answer's `Content-Range` says.
pub fn said(text: &str) -> Range<usize> {
    let (range, _) = text.strip_prefix("bytes ").unwrap().split_once('/').unwrap();
    let (first, last) = range.split_once('-').unwrap();
    first.parse().unwrap()..last.parse::<usize>().unwrap() + 1
}
