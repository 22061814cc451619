//! Values of `Range`: what is selected is inside, in one piece where it touches, and never twice.

use oca_http::range::resolve_value;
use oca_http::{RANGES_MAX, Selection};

use crate::engine::{Rng, Target, run};

const PIECES: &[&[u8]] = &[
    b"bytes=",
    b"BYTES =",
    b"-",
    b",",
    b", ",
    b"0",
    b"9",
    b"0-",
    b"-1",
    b"0-0",
    b"99999999999999999999",
    b"18446744073709551615",
    b"\t",
    b"=",
    b"items=",
];

#[test]
fn ranges_select_what_is_there_and_nothing_twice() {
    let seeds = [
        "bytes=0-0",
        "bytes=-5",
        "bytes=5-",
        "bytes=0-0,2-2,4-4,1-1",
        "bytes=0-1, 5-6 ,, 3-9",
        "bytes=9-3",
        "bytes=0-0,1-1,3-3,5-5,7-7,9-9,11-11,13-13,15-15,17-17,19-19,21-21,23-23,25-25,27-27",
        "none",
    ];
    let seeds = seeds.map(|text| text.as_bytes().to_vec()).to_vec();
    run(&Target { name: "range", seeds, pieces: PIECES, reshape: |_, _| false, check });
}

fn check(bytes: &[u8], rng: &mut Rng) -> String {
    let Ok(text) = std::str::from_utf8(bytes) else { return "not text".to_owned() };
    let len = *rng.pick(&[0, 1, 7, 100, 262_144, 1 << 40, u64::MAX]);
    match resolve_value(text, len) {
        Selection::Whole => format!("whole {}", text.contains(',')),
        Selection::Unsatisfiable => format!("unsatisfiable {}", text.contains(',')),
        Selection::Part { start, end } => {
            assert!(start < end && end <= len, "{start}..{end} of {len}");
            format!("part {} {} {}", start == 0, end == len, text.contains(','))
        }
        Selection::Parts(spans) => {
            let mut sorted = spans.as_slice().to_vec();
            assert!((2..=RANGES_MAX).contains(&sorted.len()) && spans.bytes() < len);
            let count = sorted.len();
            let in_order = sorted.is_sorted_by_key(|span| span.start);
            sorted.sort_by_key(|span| span.start);
            assert!(sorted.iter().all(|span| span.start < span.end && span.end <= len));
            assert!(sorted.windows(2).all(|two| two[0].end < two[1].start), "{sorted:?}");
            format!("parts {count} {in_order} {}", text.matches(',').count().min(20))
        }
    }
}
