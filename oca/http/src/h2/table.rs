//! The two tables of HPACK (RFC 7541 section 2.3): the fixed one, and the one that grows with what
//! was sent. Never larger than it was told to be.

use std::collections::VecDeque;

/// What each entry counts besides its bytes (RFC 7541 section 4.1).
const ENTRY_OVERHEAD_BYTES: usize = 32;

/// Largest dynamic table, bytes: the default, which we never announce otherwise.
pub const TABLE_BYTES_MAX: usize = 4096;

/// Entries 1 to 61.
#[rustfmt::skip]
pub const FIXED: [(&str, &str); 61] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];

/// The fields sent lately, newest first.
#[derive(Debug)]
pub struct Table {
    entries: VecDeque<Entry>,
    bytes: usize,
    bytes_max: usize,
}

#[derive(Debug)]
struct Entry {
    text: Box<[u8]>,
    name_bytes: usize,
}

impl Default for Table {
    fn default() -> Self {
        Self { entries: VecDeque::new(), bytes: 0, bytes_max: TABLE_BYTES_MAX }
    }
}

impl Entry {
    fn bytes(&self) -> usize {
        self.text.len() + ENTRY_OVERHEAD_BYTES
    }
}

impl Table {
    /// Name and value at `index`, counted from 1 through both tables.
    pub fn get(&self, index: usize) -> Option<(&[u8], &[u8])> {
        let at = index.checked_sub(1)?;
        if let Some((name, value)) = FIXED.get(at) {
            return Some((name.as_bytes(), value.as_bytes()));
        }
        let entry = self.entries.get(at - FIXED.len())?;
        entry.text.split_at_checked(entry.name_bytes)
    }

    /// Adds an entry, after as many of the oldest have gone as it needs room. One that is larger
    /// than the table empties it.
    pub fn add(&mut self, name: &[u8], value: &[u8]) {
        let bytes = name.len() + value.len() + ENTRY_OVERHEAD_BYTES;
        self.shrink_to(self.bytes_max.saturating_sub(bytes));
        if bytes > self.bytes_max {
            return;
        }
        self.bytes += bytes;
        let text = [name, value].concat().into_boxed_slice();
        self.entries.push_front(Entry { text, name_bytes: name.len() });
    }

    /// Bounds the table anew; false when that is more than it may ever be.
    #[must_use]
    pub fn resize(&mut self, bytes_max: usize) -> bool {
        if bytes_max > TABLE_BYTES_MAX {
            return false;
        }
        self.bytes_max = bytes_max;
        self.shrink_to(bytes_max);
        true
    }

    fn shrink_to(&mut self, bytes: usize) {
        while self.bytes > bytes {
            let Some(oldest) = self.entries.pop_back() else { break };
            self.bytes -= oldest.bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_first_and_what_is_too_large_empties_it() {
        let mut table = Table::default();
        assert!(table.resize(100));
        table.add(b"a", b"1");
        table.add(b"b", b"2");
        table.add(b"c", b"345678901234567");
        assert_eq!(table.get(62), Some((&b"c"[..], &b"345678901234567"[..])));
        assert_eq!(table.get(63), Some((&b"b"[..], &b"2"[..])));
        assert_eq!(table.get(64), None);
        table.add(b"d", &[b'x'; 80]);
        assert_eq!((table.get(62), table.bytes), (None, 0));
        assert!(!table.resize(TABLE_BYTES_MAX + 1));
        assert_eq!(table.get(2), Some((&b":method"[..], &b"GET"[..])));
        assert_eq!(table.get(0), None);
    }
}
