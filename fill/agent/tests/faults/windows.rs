//! What becomes of a window that control opens while the disk that keeps the orders fails.

use control_types::PlanId;

use crate::dice::Dice;
use crate::fault::Fault;
use crate::life::Place;
use crate::{FAULTS, STOPS, number};

/// Goal: a window that only the agent's memory knows of is not filled in, as after a restart it
/// would be as if control had never opened it, and orders from before it would be taken. Method: a
/// night's orders without a window; then the same plan with one, beside a fault at each operation
/// in turn; then the machine stops, and the disk tells what it was acted on by.
#[tokio::test(flavor = "multi_thread")]
async fn a_window_that_is_not_on_disk_is_not_filled_in() {
    let seed = number("NIGHTFILL_SEED", 1);
    let mut place = Place::new(1).await;
    // Three seeds in a row are at each operation.
    let (mut at, mut runs, mut unkept) = (seed % 3, 0, 0);
    loop {
        let turn = (seed + at) as usize;
        let mut is_over = false;
        // One that takes everything else at each: what is noted of the window itself is another
        // file. And one more in turn.
        for fault in [Fault::Full(1), FAULTS[turn % 11]] {
            let told = format!("seed {seed}, {fault:?} at operation {at}");
            let mut dice = Dice::new(seed ^ at << 8);
            place.begin(seed ^ at << 20);
            place.order_shut();
            place.hear(&told, any_plan()).await;
            let asked = place.asked();
            place.open_window();
            place.disk.arm(at, fault);
            let _ = place.live(&told).await;
            let was_acted_on = place.asked() > asked;
            let was_told = place.was_told("newer orders cannot be kept");
            let happened = place.disk.heal() || place.disk.is_stopped();
            is_over |= !happened && fault == Fault::Full(1);
            place.disk.start_again(STOPS[dice.below(3) as usize]);
            let kept = place.kept_windows();
            assert!(!was_acted_on || kept == Some(1), "{told}: acted on, and not kept: {kept:?}");
            unkept += u64::from(was_told);
            runs += 1;
        }
        at += 3;
        if is_over {
            break;
        }
    }
    println!("seed {seed}: {runs} runs, {at} operations, {unkept} times told that it is not kept");
    assert!(at > 20, "{at} operations: the faults did not happen throughout");
    assert!(unkept > 2, "told of {unkept} times");
}

/// The plan of all orders here.
fn any_plan() -> PlanId {
    "00000000-0000-4000-8000-000000000001".parse().unwrap()
}
