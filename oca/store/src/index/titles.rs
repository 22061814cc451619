//! Titles by number: they are few and objects many, so each text is kept once.
//! Never forgets one: a title that came once comes again.

use ahash::AHashMap;
use control_types::TitleId;

/// All titles met so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Titles {
    texts: Vec<TitleId>,
    numbers: AHashMap<Box<[u8]>, u32>,
    /// The one asked for last: objects of a title stand together in a journal.
    last: u32,
}

impl Titles {
    /// The number of a title, given now if it is new.
    pub fn number(&mut self, title: &TitleId) -> u32 {
        match self.known(title.as_str().as_bytes()) {
            Some(number) => number,
            None => self.add(title.clone()),
        }
    }

    /// The same from a text not checked yet; `None` when it is no title.
    pub fn number_of_bytes(&mut self, text: &[u8]) -> Option<u32> {
        if let Some(number) = self.known(text) {
            return Some(number);
        }
        let title: TitleId = std::str::from_utf8(text).ok()?.parse().ok()?;
        Some(self.add(title))
    }

    /// The number of a title met before, changing nothing.
    pub fn find(&self, title: &TitleId) -> Option<u32> {
        self.numbers.get(title.as_str().as_bytes()).copied()
    }

    pub fn text(&self, number: u32) -> &TitleId {
        &self.texts[number as usize]
    }

    fn known(&mut self, text: &[u8]) -> Option<u32> {
        if self.texts.get(self.last as usize).is_some_and(|last| last.as_str().as_bytes() == text) {
            return Some(self.last);
        }
        self.last = *self.numbers.get(text)?;
        Some(self.last)
    }

    fn add(&mut self, title: TitleId) -> u32 {
        let number = u32::try_from(self.texts.len()).expect("fewer titles than 2^32 objects");
        self.numbers.insert(title.as_str().as_bytes().into(), number);
        self.texts.push(title);
        self.last = number;
        number
    }
}
