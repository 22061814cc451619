//! Deadlines, wakes, full queues, and the end of a ring.

use std::rc::Rc;
use std::time::{Duration, Instant};

use oca_sys::{Event, Kernel, KernelConfig, Op, Token, Waker};

use crate::rig::{Rig, small};

#[test]
fn a_deadline_ends_a_wait_and_the_clock_moves() {
    let mut rig = Rig::new(small());
    let before = rig.kernel.now();
    rig.kernel.wait(Some(before.plus_millis(30)));
    assert!(rig.kernel.pop().is_none());
    assert!(rig.kernel.now() >= before.plus_millis(30));
    assert!(rig.kernel.now() < before.plus_millis(10_000), "slept far too long");
    assert!(rig.kernel.wall_ms() > 1_600_000_000_000, "this is not before 2020");
}

#[test]
fn the_report_says_what_was_granted() {
    let rig = Rig::new(small());
    let report = rig.kernel.report();
    assert!(report.to_string().starts_with("ring "), "{report}");
    assert_eq!(report.setup, oca_sys::probe().ring.expect("the rig has one"));
}

#[test]
fn a_deadline_in_the_past_does_not_wait() {
    let mut rig = Rig::new(small());
    let begun = Instant::now();
    for _ in 0..100 {
        rig.kernel.wait(Some(rig.kernel.now()));
    }
    assert!(begun.elapsed() < Duration::from_secs(2));
}

#[test]
fn another_thread_wakes_a_wait_without_deadline_again_and_again() {
    let mut rig = Rig::new(small());
    for _ in 0..20 {
        let waker = rig.waker.clone();
        let other = std::thread::spawn(move || waker.wake());
        assert!(matches!(rig.finish(u64::MAX), Event::Woken));
        other.join().expect("it only wakes");
    }
}

#[test]
fn wakes_before_a_wait_are_not_lost() {
    let mut rig = Rig::new(small());
    rig.waker.wake();
    rig.waker.wake();
    assert!(matches!(rig.finish(u64::MAX), Event::Woken));
    let waker = rig.waker.clone();
    drop(rig);
    waker.wake();
}

#[test]
fn a_full_queue_gives_the_operation_back_untouched() {
    let mut rig = Rig::new(KernelConfig { operations_max: 8, receive_buffers: 64, ..small() });
    rig.start_accepting();
    let (_client, socket) = rig.connect();
    let mut taken = 0;
    let refused = loop {
        let mut into = rig.kernel.receive_buffer().expect("more buffers than operations");
        into[0] = 42;
        match rig.kernel.submit(Token(1000 + taken), Op::Receive { socket, into }) {
            Ok(()) => taken += 1,
            Err(op) => break op,
        }
        assert!(taken < 64);
    };
    assert_eq!(taken, 8, "one batch");
    let Op::Receive { socket: same, into } = refused else { panic!("another operation") };
    assert_eq!((same, into[0]), (socket, 42));
    drop(into);
    // The batch is handed over, and every operation of it still waits: only as many more are taken
    // as the ring keeps for itself.
    rig.turn();
    let mut more = 0;
    while let Some(into) = rig.kernel.receive_buffer()
        && rig.kernel.submit(Token(2000), Op::Receive { socket, into }).is_ok()
    {
        more += 1;
    }
    assert!(more <= 2, "{more} more than the queue holds");
    drop(rig);
}

/// Dropping a ring with everything under way must neither hang nor free memory the kernel writes.
#[test]
fn a_ring_can_be_dropped_in_the_middle() {
    let begun = Instant::now();
    for _ in 0..8 {
        let mut rig = Rig::new(small());
        rig.start_accepting();
        let (_client, socket) = rig.connect();
        for token in 0..4 {
            let into = rig.kernel.receive_buffer().expect("a free buffer");
            rig.submit(10 + token, Op::Receive { socket, into });
        }
        let from = Rc::new(rig.kernel.chunk_buffer().expect("a free chunk"));
        for token in 0..20 {
            let range = 0..from.len();
            rig.submit(20 + token, Op::Send { socket, from: Rc::clone(&from), range, more: false });
        }
        rig.submit(60, Op::Open { path: "/etc/hostname".into(), follows: true });
        rig.turn();
        let receive = rig.kernel.receive_buffer().expect("a free buffer");
        drop(rig);
        // What the server still owned stays valid.
        assert_eq!(receive.len(), 4096);
        assert_eq!(from.len(), 256 * 1024);
        assert_eq!(Rc::strong_count(&from), 1, "an operation was leaked");
    }
    assert!(begun.elapsed() < Duration::from_secs(4), "took {:?}", begun.elapsed());
}
