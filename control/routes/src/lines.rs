//! A text file of routes: CSV (`prefix[,as_path_len[,origin[,med]]]`, a heading allowed) or JSON
//! lines; `#` begins a comment. Guesses nothing: every mistake is told with its line and the cure.

use std::io::{BufRead, Read};

use ipnet::IpNet;
use serde::Deserialize;

use crate::choice::Origin;
use crate::limits::{LINE_BYTES_MAX, LINE_MISTAKES_MAX, ROUTES_PER_PEER_MAX};
use crate::load::{Loaded, LoadedPeer};
use crate::rib::PrefixPath;
use crate::wire_error::WireError;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    prefix: String,
    #[serde(default)]
    as_path_len: u16,
    #[serde(default)]
    origin: Origin,
    #[serde(default)]
    med: u32,
}

/// Reads a whole file.
///
/// # Errors
/// Every mistake up to a bound.
pub(crate) fn read(mut file: impl BufRead) -> Result<Loaded, WireError> {
    let mut paths: Vec<PrefixPath> = Vec::new();
    let mut mistakes = Vec::new();
    let mut number = 0u64;
    let mut line = Vec::new();
    while next_line(&mut file, &mut line)? {
        number += 1;
        let read = match std::str::from_utf8(&line) {
            _ if line.len() > LINE_BYTES_MAX => Err("is too long for a route".to_owned()),
            Err(_) => Err("is not UTF-8 text".to_owned()),
            Ok(text) => parse(text.trim().trim_start_matches('\u{feff}'), number),
        };
        match read {
            Ok(path) => paths.extend(path),
            Err(why) => mistakes.push(format!("line {number} {why}")),
        }
        if mistakes.len() == LINE_MISTAKES_MAX {
            mistakes.push("and perhaps more".to_owned());
            break;
        }
        if paths.len() > ROUTES_PER_PEER_MAX {
            let what = "routes of one file";
            return Err(WireError::TooMany { what, max: ROUTES_PER_PEER_MAX });
        }
    }
    if !mistakes.is_empty() {
        return Err(WireError::Lines(mistakes));
    }
    let peers = vec![LoadedPeer { peer: String::new(), peer_as: 0, paths }];
    Ok(Loaded { peers, records: number, is_text: true, ..Loaded::default() })
}

/// One line without its end; false at the end of the file. Of a line too long, its beginning.
fn next_line(file: &mut impl BufRead, line: &mut Vec<u8>) -> Result<bool, WireError> {
    let broken = |error: std::io::Error| WireError::Packed(error.to_string());
    line.clear();
    let most = LINE_BYTES_MAX as u64 + 2;
    let taken = file.by_ref().take(most).read_until(b'\n', line).map_err(broken)?;
    if taken as u64 == most && line.last() != Some(&b'\n') {
        file.skip_until(b'\n').map_err(broken)?;
    }
    while matches!(line.last(), Some(b'\n' | b'\r')) {
        line.pop();
    }
    Ok(taken > 0)
}

fn parse(text: &str, number: u64) -> Result<Option<PrefixPath>, String> {
    if text.is_empty() || text.starts_with('#') {
        return Ok(None);
    }
    let line = if text.starts_with('{') {
        serde_json::from_str(text).map_err(parse_json_mistake)?
    } else if number == 1 && text.starts_with("prefix") {
        return Ok(None);
    } else {
        parse_csv(text)?
    };
    let prefix: IpNet = line
        .prefix
        .parse()
        .map_err(|_| format!("{:?} is not a prefix: write 203.0.113.0/24", line.prefix))?;
    if prefix.trunc() != prefix {
        return Err(format!("{prefix} has bits set after its length: write {}", prefix.trunc()));
    }
    let (as_path_len, origin, med) = (line.as_path_len, line.origin, line.med);
    Ok(Some(PrefixPath { as_path_len, origin, med, ..PrefixPath::own(prefix) }))
}

/// Without the parser's own line number, which is always 1 and would be taken for the file's.
fn parse_json_mistake(error: serde_json::Error) -> String {
    let text = error.to_string();
    format!("is no JSON route: {}", text.split(" at line ").next().unwrap_or_default())
}

fn parse_csv(text: &str) -> Result<Line, String> {
    let mut fields = text.split(',').map(str::trim);
    let prefix = fields.next().unwrap_or_default().to_owned();
    let as_path_len = parse_number(fields.next(), "as_path_len")?;
    let origin = match fields.next() {
        None | Some("" | "igp") => Origin::Igp,
        Some("egp") => Origin::Egp,
        Some("incomplete") => Origin::Incomplete,
        Some(other) => return Err(format!("{other:?} is no origin: igp, egp or incomplete")),
    };
    let med = parse_number(fields.next(), "med")?;
    match fields.next() {
        None => Ok(Line { prefix, as_path_len, origin, med }),
        Some(more) => Err(format!("{more:?} is a fifth field: prefix,as_path_len,origin,med")),
    }
}

fn parse_number<T: std::str::FromStr + Default>(
    field: Option<&str>,
    name: &str,
) -> Result<T, String> {
    match field {
        None | Some("") => Ok(T::default()),
        Some(text) => text.parse().map_err(|_| format!("{text:?} is no {name}")),
    }
}
