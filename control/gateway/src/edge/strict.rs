//! What a request must look like before anyone reads it. Refuses what two readers could read two
//! ways.
//! Never repairs: a request that is nearly right is wrong.

use axum::extract::Request;
use axum::http::{Version, header};
use control_types::ErrorWord;
use control_types::limits::{BODY_BYTES_MAX, PLAN_BYTES_MAX};

use crate::errors::Refusal;
use crate::limits::TARGET_BYTES_MAX;

/// Host exactly once, one framing, a bounded target, a bounded body.
pub(super) fn check(request: &Request) -> Result<(), Refusal> {
    check_host(request)?;
    check_framing(request)?;
    let target = request.uri();
    let bytes = target.path().len() + target.query().map_or(0, str::len);
    if bytes > TARGET_BYTES_MAX {
        let message = format!("path and query are longer than {TARGET_BYTES_MAX} bytes");
        return Err(Refusal::bad(message));
    }
    Ok(())
}

fn check_host(request: &Request) -> Result<(), Refusal> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let (host, more) = (hosts.next(), hosts.next().is_some());
    if more {
        return Err(Refusal::bad("there are two Host headers; send one"));
    }
    let authority = request.uri().authority();
    let host = match (host, authority, request.version()) {
        (None, Some(_), Version::HTTP_2) => return Ok(()),
        (None, ..) => return Err(Refusal::bad("there is no Host header; send one")),
        (Some(host), ..) => host.to_str().unwrap_or_default(),
    };
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]%~".contains(&b);
    if host.is_empty() || !host.bytes().all(plain) {
        return Err(Refusal::bad("the Host header is not a host"));
    }
    match authority {
        Some(authority) if !authority.as_str().eq_ignore_ascii_case(host) => {
            Err(Refusal::bad("Host and the request's target name different hosts"))
        }
        _ => Ok(()),
    }
}

fn check_framing(request: &Request) -> Result<(), Refusal> {
    let headers = request.headers();
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let (length, more) = (lengths.next(), lengths.next().is_some());
    if more || (length.is_some() && headers.contains_key(header::TRANSFER_ENCODING)) {
        return Err(Refusal::bad("the body's length is given twice; give it once"));
    }
    let Some(length) = length else { return Ok(()) };
    let length = length.to_str().ok().and_then(|text| text.parse::<u64>().ok());
    // Read only once its key was found to be the operator's.
    let is_plan = request.uri().path() == crate::operator::PLAN_PATH;
    let bytes_max = if is_plan { PLAN_BYTES_MAX } else { BODY_BYTES_MAX };
    match length {
        None => Err(Refusal::bad("Content-Length is not a number")),
        Some(bytes) if bytes > bytes_max as u64 => Err(Refusal::new(
            ErrorWord::TooLarge,
            format!("the body has {bytes} bytes; at most {bytes_max} are taken"),
        )),
        Some(_) => Ok(()),
    }
}
