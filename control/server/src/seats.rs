//! Seats of one port: how many connections it holds, and which one goes when another comes to a
//! full port: the one that has rested longest. Accepts nothing and speaks nothing.
//!
//! A connection: seated → resting ⇄ busy (requests under way) → over. Only one that rests may be
//! asked to leave, so nobody's answer is cut off before it begins; a caller whose resting
//! connection ended connects anew, as after any restart. When all are busy, who comes waits in the
//! kernel's backlog until one ends.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// The seats of one port.
pub(crate) struct Seats {
    free: Arc<Semaphore>,
    most: usize,
    resting: Mutex<Resting>,
}

/// Those that rest, the longest first.
#[derive(Default)]
struct Resting {
    /// Rises with each rest that begins.
    next: u64,
    by_age: BTreeMap<u64, Arc<Notify>>,
}

/// One connection's seat, free again when it is dropped.
pub(crate) struct Seat {
    seats: Arc<Seats>,
    leave: Arc<Notify>,
    state: Mutex<State>,
    _permit: OwnedSemaphorePermit,
}

#[derive(Default)]
struct State {
    /// Requests under way.
    busy: usize,
    /// Since which rest, while there are none.
    rest: Option<u64>,
}

/// A request under way, which is over when this is dropped.
pub(crate) struct Busy(Arc<Seat>);

impl Seats {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        let free = Arc::new(Semaphore::new(most));
        Arc::new(Self { free, most, resting: Mutex::default() })
    }

    /// A seat for a connection that is there already. On a full port it asks the one that has
    /// rested longest to leave, and waits until one is gone.
    pub(crate) async fn take(self: &Arc<Self>) -> Arc<Seat> {
        let permit = match Arc::clone(&self.free).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                let made_room = self.ask_one_to_leave();
                tracing::warn!(most = self.most, made_room, "every seat of a port is taken");
                let free = Arc::clone(&self.free).acquire_owned().await;
                free.expect("nobody closes the semaphore")
            }
        };
        let (leave, state) = (Arc::default(), Mutex::default());
        Arc::new(Seat { seats: Arc::clone(self), leave, state, _permit: permit })
    }

    fn ask_one_to_leave(&self) -> bool {
        let oldest = self.resting().by_age.pop_first();
        oldest.inspect(|(_, leave)| leave.notify_one()).is_some()
    }

    fn resting(&self) -> MutexGuard<'_, Resting> {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// From here on it may be asked to leave, until its first request.
    pub(crate) fn rest(&self) {
        self.rest_in(&mut self.state());
    }

    /// Ready when it is to leave.
    pub(crate) async fn is_to_leave(&self) {
        self.leave.notified().await;
    }

    /// A request begins.
    pub(crate) fn begin(self: &Arc<Self>) -> Busy {
        let mut state = self.state();
        state.busy += 1;
        if let Some(rest) = state.rest.take() {
            self.seats.resting().by_age.remove(&rest);
        }
        drop(state);
        Busy(Arc::clone(self))
    }

    fn rest_in(&self, state: &mut State) {
        let mut resting = self.seats.resting();
        let number = resting.next;
        resting.next += 1;
        resting.by_age.insert(number, Arc::clone(&self.leave));
        state.rest = Some(number);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(rest) = self.state().rest.take() {
            self.seats.resting().by_age.remove(&rest);
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.busy -= 1;
        if state.busy == 0 {
            self.0.rest_in(&mut state);
        }
    }
}

/// Raises how many files may be open to what the ports together may need, as far as the machine
/// lets us; says so where it does not.
pub(crate) fn raise_open_files(wanted: u64) -> u64 {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let limit = Resource::RLIMIT_NOFILE;
    let Ok((soft, hard)) = getrlimit(limit) else { return 0 };
    if soft >= wanted {
        return soft;
    }
    let reachable = wanted.min(hard);
    let open = if setrlimit(limit, reachable, hard).is_ok() { reachable } else { soft };
    if open < wanted {
        tracing::warn!(
            open,
            wanted,
            "ports take fewer connections than they could: \
            set LimitNOFILE= of the unit, or `ulimit -n`"
        );
    }
    open
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    async fn leaves(seat: &Seat) -> bool {
        tokio::time::timeout(Duration::ZERO, seat.is_to_leave()).await.is_ok()
    }

    #[tokio::test]
    async fn the_one_that_rested_longest_leaves_and_nobody_who_is_busy() {
        let seats = Seats::new(3);
        let [first, second, third] = [seats.take().await, seats.take().await, seats.take().await];
        for seat in [&first, &second, &third] {
            seat.rest();
        }
        let at_work = first.begin();
        // It has rested for less time than the third by now.
        drop(second.begin());
        let coming = tokio::spawn({
            let seats = Arc::clone(&seats);
            async move { seats.take().await }
        });
        third.is_to_leave().await;
        assert!(!leaves(&first).await && !leaves(&second).await && !coming.is_finished());
        drop(third);
        let fourth = coming.await.unwrap();
        // It has not said a word, so it is not asked; of the first one nothing is left to do.
        drop(at_work);
        let (also, busy) = (first.begin(), first.begin());
        drop(also);
        let coming = tokio::spawn({
            let seats = Arc::clone(&seats);
            async move { seats.take().await }
        });
        second.is_to_leave().await;
        assert!(!leaves(&first).await && !leaves(&fourth).await);
        drop((busy, second));
        coming.await.unwrap();
    }

    #[tokio::test]
    async fn where_nobody_rests_who_comes_waits() {
        let seats = Seats::new(1);
        let only = seats.take().await;
        let busy = only.begin();
        let coming = tokio::spawn({
            let seats = Arc::clone(&seats);
            async move { seats.take().await }
        });
        tokio::task::yield_now().await;
        assert!(!leaves(&only).await && !coming.is_finished());
        drop((busy, only));
        coming.await.unwrap();
        assert!(seats.resting().by_age.is_empty(), "nothing is left of who is gone");
    }
}
