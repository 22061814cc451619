//! Durations, days, rates, sizes and moments as people write them, and back.
//! Refuses what it does not understand with an example of what it does.

use std::collections::BTreeSet;

use control_types::UnixMillis;
use control_types::schedule::Weekday;

/// `90s`, `30m`, `2h30m`, `1d`, in milliseconds.
///
/// # Errors
/// When the text is none of these.
pub fn duration_ms(text: &str) -> Result<u64, String> {
    let refuse = || format!("{text:?} is not a duration: write 90s, 30m, 2h30m or 1d");
    let mut sum: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(refuse)?;
        let number: u64 = rest[..digits].parse().map_err(|_| refuse())?;
        let unit = &rest[digits..];
        let letters = unit.find(|c: char| c.is_ascii_digit()).unwrap_or(unit.len());
        let factor = match &unit[..letters] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(refuse()),
        };
        sum = number.checked_mul(factor).and_then(|ms| sum.checked_add(ms)).ok_or_else(refuse)?;
        rest = &unit[letters..];
    }
    if sum == 0 { Err(refuse()) } else { Ok(sum) }
}

const WEEK: [(&str, Weekday); 7] = [
    ("mon", Weekday::Mon),
    ("tue", Weekday::Tue),
    ("wed", Weekday::Wed),
    ("thu", Weekday::Thu),
    ("fri", Weekday::Fri),
    ("sat", Weekday::Sat),
    ("sun", Weekday::Sun),
];

/// Days of the week, each once, Monday first. A type of its own because clap would read a bare
/// vector as "many values".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Days(pub Vec<Weekday>);

/// `daily`, `mon-fri`, `sat,sun`, `fri-mon`.
///
/// # Errors
/// When the text is none of these.
pub fn days(text: &str) -> Result<Days, String> {
    let refuse = || format!("{text:?} names no days: write daily, mon-fri or sat,sun");
    let place = |name: &str| WEEK.iter().position(|(day, _)| *day == name).ok_or_else(refuse);
    let mut places = BTreeSet::new();
    for part in text.split(',') {
        let (first, last) = match part.split_once('-') {
            _ if part == "daily" => (0, 6),
            Some((first, last)) => (place(first)?, place(last)?),
            None => (place(part)?, place(part)?),
        };
        // `fri-mon` goes over the end of the week.
        let count = (last + 7 - first) % 7 + 1;
        places.extend((0..count).map(|step| (first + step) % 7));
    }
    Ok(Days(places.into_iter().map(|place| WEEK[place].1).collect()))
}

/// Days for people, as [`days`] reads them.
#[must_use]
pub fn show_days(days: &[Weekday]) -> String {
    let on: Vec<usize> = (0..7).filter(|place| days.contains(&WEEK[*place].1)).collect();
    match on[..] {
        [0, .., 6] if on.len() == 7 => "daily".to_owned(),
        [first, .., last] if on.len() > 2 && last - first + 1 == on.len() => {
            format!("{}-{}", WEEK[first].0, WEEK[last].0)
        }
        _ => on.iter().map(|place| WEEK[*place].0).collect::<Vec<_>>().join(","),
    }
}

/// A length of time for people, as [`duration_ms`] reads it.
#[must_use]
pub fn show_duration(ms: u64) -> String {
    let parts = [(ms / 3_600_000, "h"), (ms / 60_000 % 60, "m"), (ms / 1_000 % 60, "s")];
    let parts: Vec<String> = parts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, unit)| format!("{count}{unit}"))
        .collect();
    if parts.is_empty() { format!("{ms}ms") } else { parts.concat() }
}

/// `800kbit`, `500Mbit`, `1.2Gbit`, in bits per second.
///
/// # Errors
/// When the text is none of these.
pub fn rate_bps(text: &str) -> Result<u64, String> {
    let units = [("kbit", 1e3), ("Mbit", 1e6), ("Gbit", 1e9), ("Tbit", 1e12), ("bit", 1.0)];
    scaled(text.trim_end_matches("/s"), &units)
        .ok_or_else(|| format!("{text:?} is not a rate: write 800kbit, 500Mbit or 1.2Gbit"))
}

/// `200MB`, `2TB`, `1.5GiB`, in bytes.
///
/// # Errors
/// When the text is none of these.
pub fn size_bytes(text: &str) -> Result<u64, String> {
    let units = [
        ("KiB", 1024.0),
        ("MiB", 1_048_576.0),
        ("GiB", 1_073_741_824.0),
        ("TiB", 1_099_511_627_776.0),
        ("kB", 1e3),
        ("MB", 1e6),
        ("GB", 1e9),
        ("TB", 1e12),
        ("B", 1.0),
    ];
    scaled(text, &units)
        .ok_or_else(|| format!("{text:?} is not a size: write 200MB, 2TB or 1.5GiB"))
}

fn scaled(text: &str, units: &[(&str, f64)]) -> Option<u64> {
    let (number, factor) =
        units.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor)))?;
    let number: f64 = number.trim().parse().ok()?;
    let value = number * factor;
    // Above 2^53 a float no longer counts single bytes; no disk and no link is that large.
    (1.0..9.0e15).contains(&value).then_some(value as u64)
}

/// `2026-11-24T02:00:00+01:00` (RFC 3339).
///
/// # Errors
/// When the text is not such a moment, or lies before 1970.
pub fn moment(text: &str) -> Result<UnixMillis, String> {
    let refuse =
        |why: String| format!("{text:?} is not a moment ({why}): write 2026-11-24T02:00:00+01:00");
    let parsed: jiff::Timestamp =
        text.parse().map_err(|error: jiff::Error| refuse(error.to_string()))?;
    let millis =
        u64::try_from(parsed.as_millisecond()).map_err(|_| refuse("before 1970".to_owned()));
    Ok(UnixMillis(millis?))
}

/// A date: `2026-11-24`.
///
/// # Errors
/// When the text is none.
pub fn date(text: &str) -> Result<jiff::civil::Date, String> {
    let date = jiff::civil::Date::strptime("%Y-%m-%d", text).ok();
    let is_plain = |date: &jiff::civil::Date| date.to_string() == text;
    date.filter(is_plain).ok_or_else(|| format!("{text:?} is not a date: write 2026-12-24"))
}

/// A moment for people, in UTC.
#[must_use]
pub fn show_moment(at: UnixMillis) -> String {
    let millis = i64::try_from(at.0).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(millis)
        .map_or_else(|_| format!("{} ms", at.0), |at| at.strftime("%Y-%m-%d %H:%M:%SZ").to_string())
}

/// A number of bytes for people.
#[must_use]
pub fn show_bytes(bytes: u64) -> String {
    show_scaled(bytes, &["B", "kB", "MB", "GB", "TB", "PB"])
}

/// A rate for people.
#[must_use]
pub fn show_rate(bps: u64) -> String {
    show_scaled(bps, &["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"])
}

fn show_scaled(value: u64, units: &[&str]) -> String {
    let mut number = value as f64;
    let mut unit = 0;
    while number >= 1000.0 && unit + 1 < units.len() {
        number /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{value} {}", units[0]) } else { format!("{number:.1} {}", units[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_as_people_write_them() {
        assert_eq!(duration_ms("2h30m"), Ok(9_000_000));
        assert_eq!(duration_ms("90s"), Ok(90_000));
        assert_eq!(rate_bps("500Mbit"), Ok(500_000_000));
        assert_eq!(rate_bps("1.2Gbit/s"), Ok(1_200_000_000));
        assert_eq!(size_bytes("2TB"), Ok(2_000_000_000_000));
        assert_eq!(size_bytes("1.5GiB"), Ok(1_610_612_736));
        assert_eq!(moment("1970-01-01T00:00:01Z"), Ok(UnixMillis(1_000)));
    }

    #[test]
    fn days_and_lengths_are_read_back_as_they_are_shown() {
        for text in ["daily", "mon-fri", "sat,sun", "wed", "tue-thu", "mon,wed,fri", "mon,sun"] {
            assert_eq!(show_days(&days(text).unwrap().0), text);
        }
        assert_eq!(days("fri-mon"), days("mon,fri,sat,sun"));
        assert_eq!(days("mon-fri,sat,sun"), days("daily"));
        assert_eq!(days("sat,sat"), days("sat"));
        for text in ["5h", "2h30m", "90m", "45s"] {
            let ms = duration_ms(text).unwrap();
            assert_eq!(duration_ms(&show_duration(ms)), Ok(ms));
        }
        for text in ["", "monday", "mon-", "-fri", "sat, sun", "daily-", "Mon"] {
            assert!(days(text).expect_err(text).contains("mon-fri"), "{text}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused_with_an_example() {
        for text in ["", "5", "h", "0s", "2 h", "1y", "-1s", "99999999999999999999s"] {
            let refusal = duration_ms(text).expect_err(text);
            assert!(refusal.contains("2h30m"), "{refusal}");
        }
        for text in ["", "500", "Mbit", "-5Mbit", "NaNMbit", "0Mbit", "1e300Gbit"] {
            assert!(rate_bps(text).is_err(), "{text}");
        }
        for text in ["", "12", "GB", "-1GB"] {
            assert!(size_bytes(text).is_err(), "{text}");
        }
        for text in ["", "2026-2-3", "2026-02-30", "24.12.2026", "2026-12-24T00:00:00Z"] {
            assert!(date(text).expect_err(text).contains("2026-12-24"), "{text}");
        }
        assert!(moment("tomorrow").expect_err("tomorrow").contains("2026-11-24"));
    }
}
