//! What a player says of itself in CMCD (CTA-5004, versions 1 and 2), as far as pacing needs it.
//! Never trusts it with more than the pace of its own answer, and never fails: nonsense is silence.
//!
//! Keys come in the query (`CMCD=`, percent-encoded) or in four headers; which of them does not
//! matter. A value is a number, a token, or (version 2) a list such as `(3200;v 128;a)`, of which
//! the largest number counts. Bounds: see [`TEXT_BYTES_MAX`].

/// Longest text that is looked at, bytes; the rest of a longer one is not.
pub const TEXT_BYTES_MAX: usize = 1024;

/// What a player said with one request. Absent: it did not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Player {
    /// `br`: encoded bitrate of what it asks for, kbit/s.
    pub bitrate_kbps: Option<u64>,
    /// `tb`: highest bitrate it may play, kbit/s.
    pub top_kbps: Option<u64>,
    /// `bl`: media in its buffer, milliseconds.
    pub buffer_ms: Option<u64>,
    /// `rtp`: throughput that it thinks is enough, kbit/s.
    pub requested_kbps: Option<u64>,
    /// `bs` or `su`: it stalled, or starts: it needs bytes now.
    pub is_urgent: bool,
    /// `ot` is neither audio nor video: a playlist, an init segment, text, a key.
    pub is_small: bool,
}

impl Player {
    /// Reads the query's value (percent-encoded) and the headers' values.
    #[must_use]
    pub fn of(query: &[u8], headers: [&[u8]; 4]) -> Self {
        let mut player = Self::default();
        if !query.is_empty() {
            let mut room = [0; TEXT_BYTES_MAX];
            player.read(decode(query, &mut room));
        }
        for header in headers {
            player.read(header.get(..TEXT_BYTES_MAX).unwrap_or(header));
        }
        player
    }

    fn read(&mut self, text: &[u8]) {
        let mut rest = text;
        while !rest.is_empty() {
            let (pair, after) = split_pair(rest);
            rest = after;
            let mut halves = pair.trim_ascii().splitn(2, |byte| *byte == b'=');
            let key = halves.next().unwrap_or_default();
            let value = halves.next();
            self.take(key, value.unwrap_or(b"?1"));
        }
    }

    fn take(&mut self, key: &[u8], value: &[u8]) {
        match key {
            b"br" => self.bitrate_kbps = number(value),
            b"tb" => self.top_kbps = number(value),
            b"bl" => self.buffer_ms = number(value),
            b"rtp" => self.requested_kbps = number(value),
            b"bs" | b"su" => self.is_urgent |= value != b"?0",
            b"ot" => self.is_small = !matches!(value, b"v" | b"a" | b"av" | b"o"),
            _ => {}
        }
    }
}

/// The pair before the next comma that is in neither a string nor a list, and what follows it.
fn split_pair(text: &[u8]) -> (&[u8], &[u8]) {
    let (mut quoted, mut escaped, mut lists) = (false, false, 0usize);
    for (at, byte) in text.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'(' => lists += 1,
            b')' => lists = lists.saturating_sub(1),
            b',' if lists == 0 => return (&text[..at], &text[at + 1..]),
            _ => {}
        }
    }
    (text, &[])
}

/// The largest number that begins an item; parameters (after `;`) and fractions do not count.
fn number(value: &[u8]) -> Option<u64> {
    let inner = value.strip_prefix(b"(").unwrap_or(value);
    let items = inner.split(|byte| b" )".contains(byte));
    items.filter_map(leading_number).max()
}

fn leading_number(item: &[u8]) -> Option<u64> {
    let digits = item.iter().take_while(|byte| byte.is_ascii_digit()).count();
    // Beyond what anything of ours could be: a nonsense value.
    if digits == 0 || digits > 12 {
        return None;
    }
    item[..digits]
        .iter()
        .try_fold(0u64, |sum, digit| sum.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
}

/// Percent-decoded into `room`, as far as that goes.
fn decode<'a>(text: &[u8], room: &'a mut [u8; TEXT_BYTES_MAX]) -> &'a [u8] {
    let (mut from, mut to) = (0, 0);
    while let (Some(byte), Some(place)) = (text.get(from), room.get_mut(to)) {
        let escape = text.get(from + 1..from + 3).filter(|_| *byte == b'%');
        let decoded = escape.and_then(|two| Some(hex(two[0])? << 4 | hex(two[1])?));
        *place = decoded.unwrap_or(*byte);
        from += if decoded.is_some() { 3 } else { 1 };
        to += 1;
    }
    &room[..to]
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_and_query_say_the_same() {
        let wanted = Player {
            bitrate_kbps: Some(3200),
            top_kbps: Some(6000),
            buffer_ms: Some(21_300),
            requested_kbps: Some(25_400),
            ..Player::default()
        };
        let headers: [&[u8]; 4] = [
            b"br=3200,d=4004,ot=v,tb=6000",
            b"bl=21300,dl=18500,mtp=48100,nor=\"a,br=1,(\\\"b\"",
            b"cid=\"x\",sid=\"y\",v=2",
            b"rtp=25400",
        ];
        assert_eq!(Player::of(b"", headers), wanted);
        let query =
            b"bl%3D21300%2Cbr%3D3200%2Cot%3Dv%2Crtp%3D25400%2Csid%3D%22a%2Cb%22%2Ctb%3D6000";
        assert_eq!(Player::of(query, [b""; 4]), wanted);
    }

    #[test]
    fn lists_of_version_2_count_by_their_largest() {
        let check = |text: &[u8], wanted| {
            assert_eq!(Player::of(b"", [text, b"", b"", b""]).bitrate_kbps, wanted, "{text:?}");
        };
        check(b"br=(128;a 3200;v)", Some(3200));
        check(b"ot=v,br=(5000),bl=1", Some(5000));
        check(b"br=12.7", Some(12));
        check(b"br=()", None);
        check(b"br=-5", None);
        check(b"br=99999999999999999999", None);
        check(b"br", None);
        check(b"br=v", None);
        check(b"xbr=5", None);
    }

    #[test]
    fn urgency_and_small_things_are_heard() {
        let of = |text: &[u8]| Player::of(b"", [text, b"", b"", b""]);
        assert!(of(b"bs").is_urgent && of(b"su,bl=0").is_urgent && !of(b"su=?0").is_urgent);
        assert!(of(b"ot=m").is_small && of(b"ot=i").is_small && !of(b"ot=av").is_small);
        assert!(!of(b"bl=5").is_small);
    }

    #[test]
    fn whatever_comes_is_survived() {
        let mut state = 7u64;
        for _ in 0..20_000 {
            let mut text = Vec::new();
            for _ in 0..state % 60 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(99);
                let pick = b"br=bl,()\";%2Crtp 0159\\suot=v\xff";
                text.push(pick[(state >> 33) as usize % pick.len()]);
            }
            state = state.wrapping_add(1);
            let _ = Player::of(&text, [&text, b"", &text, b""]);
        }
        let _ = Player::of(&[b'%'; 3000], [&[b','; 3000], &[b'('; 3000], b"", b""]);
    }
}
