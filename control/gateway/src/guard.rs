//! Stands between a press of play and a store that may be slow or away: a deadline, a breaker, a
//! bound on what is under way. Has no answer of its own: the caller knows what to do without one.
//!
//! ```text
//!          MISSES_MAX misses in a row, or
//! closed ── OVERDUE_MAX behind the deadline at once ──▶ open: nobody waits
//!   ▲                                                    │
//!   └──────── one question, or a write, in time ◀────────┘ a question every PROBE_EVERY_MS
//! ```
//!
//! The deadline is for crowds: one caller whose answer is late waits on, as long as patience lasts,
//! because a busy moment is no outage; when many are late at once the store is, and members are
//! worth more than what it would say. Who waits when the breaker opens stops waiting: all of them
//! found out by then. While it is open a question is asked now and then with nobody waiting for the
//! answer; when that comes in time, the breaker closes. A miss is an answer that is late, or the store's own "I am away".

mod breaker;

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;

use self::breaker::{Breaker, May};
use crate::limits::{OVERDUE_MAX, WRITES_BEHIND_MAX};

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missed {
    /// Not in time.
    Late,
    /// It was away too often just now, so it was not asked.
    Open,
    /// It said that it is away.
    Away,
    /// Too many writes wait for it already: this one was not begun.
    Full,
}

impl Missed {
    /// The label of metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Late => "late",
            Self::Open => "open",
            Self::Away => "away",
            Self::Full => "full",
        }
    }
}

/// One kind of call to one store. Cheap to clone; clones are the same guard.
#[derive(Clone)]
pub(crate) struct Guard(Arc<Parts>);

struct Parts {
    /// For logs and metrics.
    word: &'static str,
    deadline: Duration,
    /// From the question, not from the deadline.
    patience: Duration,
    /// Callers behind the deadline who wait on.
    overdue: AtomicUsize,
    breaker: Mutex<Breaker>,
    /// Rung when the breaker opens.
    opened: Notify,
    behind: Arc<Semaphore>,
}

impl Guard {
    /// For answers that take at most `deadline_ms` from a store that is well, and that one caller
    /// waits `patience_ms` for.
    pub fn new(word: &'static str, deadline_ms: u64, patience_ms: u64) -> Self {
        Self(Arc::new(Parts {
            word,
            deadline: Duration::from_millis(deadline_ms),
            patience: Duration::from_millis(patience_ms),
            overdue: AtomicUsize::new(0),
            breaker: Mutex::default(),
            opened: Notify::new(),
            behind: Arc::new(Semaphore::new(WRITES_BEHIND_MAX)),
        }))
    }

    /// For logs and metrics.
    pub fn word(&self) -> &'static str {
        self.0.word
    }

    /// Asks, and gives up when patience ends or the breaker opens. `is_away` tells the store's
    /// failure from an answer.
    pub async fn ask<T: Send + 'static, E: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, E>> + Send + 'static,
        is_away: fn(&E) -> bool,
    ) -> Result<Result<T, E>, Missed> {
        match self.breaker().may(Instant::now()) {
            May::Ask => {}
            May::Probe => {
                let guard = self.clone();
                tokio::spawn(async move { guard.judge(work, is_away).await });
                return Err(Missed::Open);
            }
            May::Not => return Err(Missed::Open),
        }
        let opened = self.0.opened.notified();
        tokio::select! {
            answer = self.judge(work, is_away) => answer,
            () = opened => Err(Missed::Open),
        }
    }

    /// Writes on a task of its own, which goes on whatever becomes of the caller; waits for it as
    /// for an answer, and not at all while the breaker is open.
    pub async fn tell<T: Send + 'static, E: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, E>> + Send + 'static,
        is_away: fn(&E) -> bool,
    ) -> Result<Result<T, E>, Missed> {
        let Ok(seat) = self.0.behind.clone().try_acquire_owned() else {
            return Err(Missed::Full);
        };
        let guard = self.clone();
        let is_open = self.is_open();
        let mut task = tokio::spawn(async move {
            let began = Instant::now();
            let answer = work.await;
            let away = matches!(&answer, Err(error) if is_away(error));
            if !away {
                guard.note_answer(began.elapsed());
            }
            drop(seat);
            answer
        });
        if is_open {
            return Err(Missed::Open);
        }
        let opened = self.0.opened.notified();
        let answer = tokio::select! {
            answer = self.wait(&mut task) => answer,
            () = opened => return Err(Missed::Open),
        };
        match answer {
            Some(Ok(Err(error))) if is_away(&error) => Err(self.note_miss(Missed::Away)),
            Some(Ok(answer)) => Ok(answer),
            // A panic there was reported when it happened.
            Some(Err(_)) => Err(self.note_miss(Missed::Away)),
            None => Err(self.note_miss(Missed::Late)),
        }
    }

    /// Writes behind the caller's back.
    pub fn send(&self, work: impl Future<Output = ()> + Send + 'static) -> Result<(), Missed> {
        let seat = self.0.behind.clone().try_acquire_owned().map_err(|_| Missed::Full)?;
        tokio::spawn(async move {
            work.await;
            drop(seat);
        });
        Ok(())
    }

    /// The answer, if it comes in time.
    async fn judge<T, E>(
        &self,
        work: impl Future<Output = Result<T, E>>,
        is_away: fn(&E) -> bool,
    ) -> Result<Result<T, E>, Missed> {
        let began = Instant::now();
        match self.wait(work).await {
            Some(Err(error)) if is_away(&error) => Err(self.note_miss(Missed::Away)),
            Some(answer) => {
                self.note_answer(began.elapsed());
                Ok(answer)
            }
            None => Err(self.note_miss(Missed::Late)),
        }
    }

    /// What `work` comes to, unless too many wait for too long or patience ends.
    async fn wait<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        if let Ok(answer) = timeout(self.0.deadline, &mut work).await {
            return Some(answer);
        }
        let overdue = Overdue::count(&self.0.overdue);
        if overdue.number >= OVERDUE_MAX {
            self.open(Missed::Late);
            return None;
        }
        timeout(self.0.patience.saturating_sub(self.0.deadline), work).await.ok()
    }

    /// Whether nobody waits for it now.
    pub fn is_open(&self) -> bool {
        self.breaker().is_open()
    }

    fn note_answer(&self, took: Duration) {
        if took > self.0.deadline {
            self.breaker().note_slow();
        } else if self.breaker().note_answer() {
            tracing::warn!(dependency = self.0.word, "answers in time again");
        }
    }

    fn note_miss(&self, missed: Missed) -> Missed {
        // Not held while the waiters are woken.
        let opens = self.breaker().note_miss(Instant::now());
        if opens {
            self.tell_open(missed);
        }
        missed
    }

    fn open(&self, missed: Missed) {
        let opens = self.breaker().open(Instant::now());
        if opens {
            self.tell_open(missed);
        }
    }

    fn tell_open(&self, missed: Missed) {
        let (dependency, why) = (self.0.word, missed.word());
        tracing::warn!(dependency, why, "nobody waits for it until it answers in time");
        self.0.opened.notify_waiters();
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.0.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One caller behind the deadline, for as long as it lives.
struct Overdue<'a> {
    count: &'a AtomicUsize,
    /// With this one.
    number: usize,
}

impl<'a> Overdue<'a> {
    fn count(count: &'a AtomicUsize) -> Self {
        let number = count.fetch_add(1, Ordering::Relaxed) + 1;
        Self { count, number }
    }
}

impl Drop for Overdue<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    //! Nothing here depends on how fast it runs: what is to be late never comes, and what is to be
    //! in time has an hour.

    use std::future::pending;

    use tokio::sync::oneshot;

    use super::*;
    use crate::limits::MISSES_MAX;

    const HOUR_MS: u64 = 3_600_000;

    fn never(_: &()) -> bool {
        false
    }

    fn is_away(error: &&str) -> bool {
        *error == "away"
    }

    #[tokio::test]
    async fn what_never_comes_is_waited_for_a_few_times_and_then_no_more() {
        let guard = Guard::new("test", 1, 2);
        for _ in 0..MISSES_MAX {
            assert_eq!(guard.ask(pending::<Result<u32, ()>>(), never).await, Err(Missed::Late));
        }
        assert!(guard.is_open());
        for _ in 0..1_000 {
            assert_eq!(guard.ask(pending::<Result<u32, ()>>(), never).await, Err(Missed::Open));
        }
    }

    #[tokio::test]
    async fn an_answer_that_says_no_is_an_answer() {
        let guard = Guard::new("test", HOUR_MS, HOUR_MS);
        for _ in 0..2 * MISSES_MAX {
            assert_eq!(guard.ask(async { Err::<(), _>("no") }, is_away).await, Ok(Err("no")));
        }
        for _ in 0..MISSES_MAX {
            let answer = guard.ask(async { Err::<(), _>("away") }, is_away).await;
            assert_eq!(answer, Err(Missed::Away));
        }
        assert!(guard.is_open());
    }

    #[tokio::test]
    async fn those_who_wait_when_it_opens_wait_no_longer() {
        let guard = Guard::new("test", HOUR_MS, HOUR_MS);
        let (begun, has_begun) = oneshot::channel();
        let waiting = tokio::spawn({
            let guard = guard.clone();
            async move {
                let work = async move {
                    let _ = begun.send(());
                    pending::<Result<(), &str>>().await
                };
                guard.ask(work, is_away).await
            }
        });
        has_begun.await.unwrap();
        for _ in 0..MISSES_MAX {
            let _ = guard.ask(async { Err::<(), _>("away") }, is_away).await;
        }
        assert_eq!(waiting.await.unwrap(), Err(Missed::Open));
    }

    #[tokio::test]
    async fn one_who_is_late_waits_on_and_a_crowd_does_not() {
        let guard = Guard::new("test", 1, HOUR_MS);
        let (gate, opens) = oneshot::channel::<()>();
        let alone = tokio::spawn({
            let guard = guard.clone();
            async move {
                let work = async move {
                    let _ = opens.await;
                    Ok::<_, ()>(7)
                };
                guard.ask(work, never).await
            }
        });
        while guard.0.overdue.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        gate.send(()).unwrap();
        assert_eq!(alone.await.unwrap(), Ok(Ok(7)));
        assert!(!guard.is_open());
        let crowd: Vec<_> = (0..2 * OVERDUE_MAX)
            .map(|_| {
                let guard = guard.clone();
                tokio::spawn(async move { guard.ask(pending::<Result<(), ()>>(), never).await })
            })
            .collect();
        for one in crowd {
            assert!(matches!(one.await.unwrap(), Err(Missed::Late | Missed::Open)));
        }
        assert!(guard.is_open());
        assert_eq!(guard.0.overdue.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn a_write_goes_on_behind_the_deadline_and_only_so_many_do() {
        let guard = Guard::new("test", 1, 2);
        let (gate, opens) = oneshot::channel::<()>();
        let (done, is_done) = oneshot::channel();
        let write = async move {
            let _ = opens.await;
            let _ = done.send(());
            Ok::<(), ()>(())
        };
        assert_eq!(guard.tell(write, never).await, Err(Missed::Late));
        for _ in 1..WRITES_BEHIND_MAX {
            assert_eq!(guard.send(pending::<()>()), Ok(()));
        }
        assert_eq!(guard.send(pending::<()>()), Err(Missed::Full));
        assert_eq!(guard.tell(pending::<Result<(), ()>>(), never).await, Err(Missed::Full));
        gate.send(()).unwrap();
        is_done.await.expect("what was begun comes to its end");
    }

    #[tokio::test]
    async fn a_write_in_time_closes_the_breaker() {
        let guard = Guard::new("test", HOUR_MS, HOUR_MS);
        for _ in 0..MISSES_MAX {
            let _ = guard.tell(async { Err::<(), _>("away") }, is_away).await;
        }
        assert!(guard.is_open());
        let (done, is_done) = oneshot::channel();
        let write = async move {
            let _ = done.send(());
            Ok::<(), &str>(())
        };
        assert_eq!(guard.tell(write, is_away).await, Err(Missed::Open));
        is_done.await.unwrap();
        while guard.is_open() {
            tokio::task::yield_now().await;
        }
    }
}
