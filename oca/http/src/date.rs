//! HTTP dates from and to Unix seconds, by calendar arithmetic.
//! It reads no clock; the server formats one date per turn and shares it.

const DAY_NAMES: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTH_NAMES: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The last second of the year 9999: later ones are written as this one.
const SECONDS_MAX: u64 = 253_402_300_799;
const DAY_SECONDS: u64 = 86_400;

/// `Sun, 06 Nov 1994 08:49:37 GMT`: always 29 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpDate([u8; 29]);

impl HttpDate {
    /// The date of `seconds` after 1970; past the year 9999 the last second of it.
    #[must_use]
    pub fn from_unix_seconds(seconds: u64) -> Self {
        let seconds = seconds.min(SECONDS_MAX);
        let (days, of_day) = (seconds / DAY_SECONDS, seconds % DAY_SECONDS);
        let (year, month, day) = civil_from_days(days);
        let mut text = *b"Xxx, 00 Xxx 0000 00:00:00 GMT";
        // 1970-01-01 was a Thursday.
        put(&mut text, 0, DAY_NAMES[((days + 4) % 7) as usize].as_bytes());
        put_digits(&mut text, 5, 2, day);
        put(&mut text, 8, MONTH_NAMES[(month - 1) as usize].as_bytes());
        put_digits(&mut text, 12, 4, year);
        put_digits(&mut text, 17, 2, of_day / 3600);
        put_digits(&mut text, 20, 2, of_day / 60 % 60);
        put_digits(&mut text, 23, 2, of_day % 60);
        Self(text)
    }

    /// As bytes for a header value.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 29] {
        &self.0
    }
}

fn put(text: &mut [u8; 29], at: usize, from: &[u8]) {
    for (to, from) in text.iter_mut().skip(at).zip(from) {
        *to = *from;
    }
}

fn put_digits(text: &mut [u8; 29], at: usize, width: usize, value: u64) {
    let mut left = value;
    for to in text.iter_mut().skip(at).take(width).rev() {
        *to = b'0' + (left % 10) as u8;
        left /= 10;
    }
}

/// Year, month 1–12 and day 1–31 of a day counted from 1970-01-01. Years run March to February
/// here, so that the leap day is the last one and months have a linear formula.
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    // 719,468 days lie between 0000-03-01 and 1970-01-01; 146,097 make 400 years.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

fn days_from_civil(year: u64, month: u64, day: u64) -> Option<u64> {
    let year = if month <= 2 { year.checked_sub(1)? } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let month_from_march = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * month_from_march + 2) / 5 + day.checked_sub(1)?;
    let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
    (era * 146_097 + of_era).checked_sub(719_468)
}

/// Unix seconds of any of the three date formats a recipient must accept. `None` for anything else,
/// for dates before 1970, and for days that never were.
#[must_use]
pub fn parse_http_date(text: &str) -> Option<u64> {
    if !text.is_ascii() {
        return None;
    }
    let (name, rest) = text.split_once(' ')?;
    let (year, month, day, time) = if let Some(name) = name.strip_suffix(',') {
        let date = rest.strip_suffix(" GMT")?;
        if DAY_NAMES.contains(&name) { parse_fixed(date)? } else { parse_dashed(name, date)? }
    } else {
        DAY_NAMES.contains(&name).then_some(())?;
        parse_asctime(rest)?
    };
    let days = days_from_civil(year, month, day)?;
    // The round trip refuses 31 February without a table of month lengths.
    (civil_from_days(days) == (year, month, day)).then_some(())?;
    Some(days * DAY_SECONDS + time)
}

type Parts = (u64, u64, u64, u64);

/// `06 Nov 1994 08:49:37`
fn parse_fixed(text: &str) -> Option<Parts> {
    let mut words = text.split(' ');
    let (day, month) = (number(words.next()?, 2)?, month(words.next()?)?);
    let (year, time) = (number(words.next()?, 4)?, clock(words.next()?)?);
    words.next().is_none().then_some((year, month, day, time))
}

/// `Sunday` and `06-Nov-94 08:49:37`. Two digits of a year: 70–99 are the last century.
fn parse_dashed(name: &str, text: &str) -> Option<Parts> {
    DAY_NAMES.iter().any(|short| name.starts_with(short) && name.ends_with("day")).then_some(())?;
    let (date, time) = text.split_once(' ')?;
    let mut words = date.split('-');
    let (day, month) = (number(words.next()?, 2)?, month(words.next()?)?);
    let year = number(words.next()?, 2)?;
    let year = if year >= 70 { 1900 + year } else { 2000 + year };
    words.next().is_none().then_some((year, month, day, clock(time)?))
}

/// `Nov  6 08:49:37 1994`
fn parse_asctime(text: &str) -> Option<Parts> {
    let (month_name, rest) = text.split_once(' ')?;
    let (day, rest) = rest.split_at_checked(2)?;
    let day = match day.strip_prefix(' ') {
        Some(one) => number(one, 1)?,
        None => number(day, 2)?,
    };
    let (time, year) = rest.strip_prefix(' ')?.split_once(' ')?;
    Some((number(year, 4)?, month(month_name)?, day, clock(time)?))
}

fn month(name: &str) -> Option<u64> {
    MONTH_NAMES.iter().position(|known| *known == name).map(|at| at as u64 + 1)
}

/// `08:49:37` as seconds of the day. A leap second counts as the one before it.
fn clock(text: &str) -> Option<u64> {
    let mut words = text.split(':');
    let (hour, minute) = (number(words.next()?, 2)?, number(words.next()?, 2)?);
    let second = number(words.next()?, 2)?;
    let right = words.next().is_none() && hour < 24 && minute < 60 && second <= 60;
    right.then_some(hour * 3600 + minute * 60 + second.min(59))
}

fn number(text: &str, digits: usize) -> Option<u64> {
    let right = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    right.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(seconds: u64, text: &str) {
        let date = HttpDate::from_unix_seconds(seconds);
        assert_eq!(std::str::from_utf8(date.as_bytes()), Ok(text));
        assert_eq!(parse_http_date(text), Some(seconds));
    }

    #[test]
    fn known_dates() {
        check(0, "Thu, 01 Jan 1970 00:00:00 GMT");
        check(784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT");
        check(951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT");
        check(1_795_392_000, "Mon, 23 Nov 2026 00:00:00 GMT");
        check(4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT");
        check(SECONDS_MAX, "Fri, 31 Dec 9999 23:59:59 GMT");
    }

    #[test]
    fn the_two_older_formats() {
        assert_eq!(parse_http_date("Sunday, 06-Nov-94 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(parse_http_date("Sun Nov  6 08:49:37 1994"), Some(784_111_777));
    }

    #[test]
    fn what_is_no_date() {
        for text in [
            "",
            "Sun",
            "Sun, ",
            "Sun, 31 Feb 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Xxx Nov  6 08:49:37 1994",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Wed, 31 Dec 1969 23:59:59 GMT",
            "Sün Nov  6 08:49:37 1994",
        ] {
            assert_eq!(parse_http_date(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn written_then_read(seconds in 0..=SECONDS_MAX) {
            let date = HttpDate::from_unix_seconds(seconds);
            let text = std::str::from_utf8(date.as_bytes()).expect("ASCII by construction");
            prop_assert_eq!(parse_http_date(text), Some(seconds));
        }

        #[test]
        fn any_text_is_survived(text: String) {
            let _ = parse_http_date(&text);
        }
    }
}
