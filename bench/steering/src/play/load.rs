//! The two loops: members who press again as soon as they are answered, and members who arrive
//! whatever becomes of others. Decides no rate.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::crowd::{Crowd, Member};
pub use super::figures::Presses;
use super::figures::cpu_s_of;
use super::wire::{Caller, Wire};

/// Longest wait for what is still under way when a run ends.
const DRAIN: Duration = Duration::from_secs(25);

/// An open loop.
pub struct Load {
    /// Presses a second, mean.
    pub rate: f64,
    pub warm_s: f64,
    pub seconds: f64,
    pub seed: u64,
}

/// A press that is to happen.
struct Arrival {
    /// When.
    at: Instant,
    number: u64,
    /// Seconds since counting began; absent before.
    counted_s: Option<u64>,
}

/// As many as `members` at once manage.
pub fn closed(crowd: &Crowd, members: usize, length: Duration) -> Result<Presses, String> {
    let presses = Arc::new(Mutex::new(Presses::default()));
    let numbers = Arc::new(AtomicU64::new(0));
    let is_over = Arc::new(AtomicBool::new(false));
    let cpu = cpu_s_of(crowd.pid);
    let began = Instant::now();
    crowd.runtime.block_on(async {
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..members {
            let (numbers, is_over) = (Arc::clone(&numbers), Arc::clone(&is_over));
            let (presses, crowd) = (Arc::clone(&presses), crowd.shared());
            tasks.spawn(async move {
                while !is_over.load(Ordering::Relaxed) {
                    let number = numbers.fetch_add(1, Ordering::Relaxed);
                    let arrival = Arrival { at: Instant::now(), number, counted_s: Some(0) };
                    press(&crowd.wire, crowd.member(number), crowd.body(number), arrival, &presses)
                        .await;
                }
            });
        }
        tokio::time::sleep(length).await;
        is_over.store(true, Ordering::Relaxed);
        while tasks.join_next().await.is_some() {}
    });
    let mut presses = std::mem::take(&mut *presses.lock().unwrap_or_else(PoisonError::into_inner));
    presses.seconds = began.elapsed().as_secs_f64();
    presses.cpu_s = cpu_s_of(crowd.pid) - cpu;
    Ok(presses)
}

/// Arrivals by a Poisson process; `turn` is called when counting begins.
pub fn open(
    crowd: &Crowd,
    load: &Load,
    turn: impl FnOnce() -> Result<(), String>,
) -> Result<Presses, String> {
    let presses = Arc::new(Mutex::new(Presses::default()));
    let (arrivals, mut arriving) = mpsc::unbounded_channel::<Arrival>();
    let shared = crowd.shared();
    let kept = Arc::clone(&presses);
    let taking = crowd.runtime.spawn(async move {
        let mut under_way = tokio::task::JoinSet::new();
        while let Some(arrival) = arriving.recv().await {
            let (crowd, kept) = (shared.clone(), Arc::clone(&kept));
            under_way.spawn(async move {
                let (member, body) = (crowd.member(arrival.number), crowd.body(arrival.number));
                press(&crowd.wire, member, body, arrival, &kept).await;
            });
            while under_way.try_join_next().is_some() {}
        }
        let rest = async { while under_way.join_next().await.is_some() {} };
        tokio::time::timeout(DRAIN, rest).await.is_ok()
    });

    let mut random = fastrand::Rng::with_seed(load.seed);
    let began = Instant::now();
    let (mut at_s, mut number, mut late_us_max) = (0.0f64, 0u64, 0u64);
    let mut turn = Some(turn);
    let mut cpu = 0.0;
    while at_s < load.warm_s + load.seconds {
        at_s += -(1.0 - random.f64()).ln() / load.rate;
        let at = began + Duration::from_secs_f64(at_s);
        if let Some(wait) = at.checked_duration_since(Instant::now()) {
            std::thread::sleep(wait);
        }
        let counted = at_s >= load.warm_s;
        if counted && let Some(turn) = turn.take() {
            cpu = cpu_s_of(crowd.pid);
            turn()?;
        }
        let late = u64::try_from(at.elapsed().as_micros()).unwrap_or(u64::MAX);
        late_us_max = late_us_max.max(if counted { late } else { 0 });
        number += 1;
        let counted_s = counted.then_some((at_s - load.warm_s) as u64);
        arrivals.send(Arrival { at, number, counted_s }).map_err(|error| error.to_string())?;
    }
    let cpu_s = cpu_s_of(crowd.pid) - cpu;
    drop(arrivals);
    let all_ended = crowd.runtime.block_on(taking).map_err(|error| error.to_string())?;
    let mut presses = std::mem::take(&mut *presses.lock().unwrap_or_else(PoisonError::into_inner));
    if !all_ended {
        presses.failed.insert("never answered".to_owned(), 1);
    }
    (presses.seconds, presses.cpu_s, presses.late_us_max) = (load.seconds, cpu_s, late_us_max);
    Ok(presses)
}

/// One press, and the player's `stopped` behind it.
async fn press(
    wire: &Wire,
    member: &Member,
    body: &[u8],
    arrival: Arrival,
    presses: &Mutex<Presses>,
) {
    let from = member.address(arrival.number);
    let caller = Caller { bearer: &member.token, from: &from };
    let answer = wire.call("POST", "/v1/plays", caller, body).await;
    let took_us = u64::try_from(arrival.at.elapsed().as_micros()).unwrap_or(u64::MAX);
    let play = match &answer {
        Ok(answer) if answer.status == 201 => play_of(&answer.body),
        _ => None,
    };
    let note = |failed: &dyn Fn(&mut Presses)| {
        failed(&mut presses.lock().unwrap_or_else(PoisonError::into_inner));
    };
    if let Some(second) = arrival.counted_s {
        note(&|presses| presses.note(second, took_us));
    }
    let Some(play) = play else {
        let why = match answer {
            Ok(answer) => {
                format!("{}: {}", answer.status, answer.json()["message"].as_str().unwrap_or(""))
            }
            Err(why) => why,
        };
        if arrival.counted_s.is_some() {
            note(&|presses| *presses.failed.entry(why.clone()).or_default() += 1);
        }
        return;
    };
    let stopped = br#"{"events":[{"kind":"stopped","position_ms":61000,"since_press_ms":900}]}"#;
    let path = format!("/v1/plays/{play}/events");
    let why = match wire.call("POST", &path, caller, stopped).await {
        Ok(answer) if answer.status == 204 => return,
        Ok(answer) => answer.status.to_string(),
        Err(why) => why,
    };
    if arrival.counted_s.is_some() {
        note(&|presses| *presses.stops_failed.entry(why.clone()).or_default() += 1);
    }
}

/// The first field of the answer, without reading all of it.
fn play_of(body: &[u8]) -> Option<String> {
    const FIELD: &[u8] = b"\"play\":\"";
    let at = body.windows(FIELD.len()).position(|window| window == FIELD)? + FIELD.len();
    Some(String::from_utf8_lossy(body.get(at..at + 36)?).into_owned())
}
