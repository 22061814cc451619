//! What `run --once` ends with: whoever runs it from a script must be able to tell a night that is
//! done from a box that control does not know.

use control_types::limits::CHUNK_BYTES;
use hyper::StatusCode;

use crate::bench::{Bench, pull, wide_open};
use crate::source::{Mood, sealed};

#[tokio::test(flavor = "multi_thread")]
async fn a_box_that_control_refuses_ends_with_an_error_that_names_it_and_the_cure() {
    for status in [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN] {
        let bench = Bench::new().await;
        bench.refuse(status);
        let (code, said) = bench.once();
        assert_eq!(code, Some(1), "{said}");
        let words = [status.as_str(), "edge-a1", "control.key_file", "this key is nobody's"];
        for word in words {
            assert!(said.contains(word), "{word} is not in {said}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_control_away_the_last_orders_are_done_and_that_is_well() {
    let mut bench = Bench::new().await;
    let object = sealed(70, CHUNK_BYTES as usize + 9);
    let (code, said) = bench.once();
    assert_eq!(code, Some(1), "away, and no orders were ever had: {said}");

    let origin = bench.source(Mood::Good, &[]).await;
    bench.order(vec![pull(&object, &[("origin", &origin)])], Vec::new(), wide_open());
    let (code, said) = bench.once();
    assert_eq!(code, Some(1), "no source has it: {said}");
    bench.take_control_away();
    origin.put(&object);
    let (code, said) = bench.once();
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(bench.published(&object.seal.object()).unwrap(), object.payload);

    // Refused, it works on too; and says so at the end.
    bench.refuse(StatusCode::UNAUTHORIZED);
    std::fs::remove_dir_all(bench.volume()).unwrap();
    std::fs::create_dir(bench.volume()).unwrap();
    let (code, said) = bench.once();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("control.key_file"), "{said}");
    assert_eq!(bench.published(&object.seal.object()).unwrap(), object.payload);
}
