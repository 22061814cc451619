//! What goes wrong in one run, and how slow things are: drawn once from the seed, then constant.
//! Every run draws another mix, so that faults are met alone as well as together.

use fastrand::Rng;
use oca::engine::Preference;

use crate::agenda::Moment;
use crate::disk::{Outage, OutageKind};
use crate::shelf::VOLUMES;

const MICROSECOND: Moment = 1000;
/// Nanoseconds of a millisecond.
pub const MILLISECOND: Moment = 1_000_000;
/// Nanoseconds of a second.
pub const SECOND: Moment = 1000 * MILLISECOND;

/// Chances are per ten thousand.
pub type Chance = u32;
const CERTAIN: Chance = 10_000;

/// One run's mix of trouble.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weather {
    /// Longest time an operation takes that nothing is wrong with.
    pub latency_max: Moment,
    /// Longest time a disk read takes that nothing is wrong with.
    pub disk_latency_max: Moment,
    /// A receive gets less than has arrived.
    pub short_receive: Chance,
    /// A send takes less than there is room for.
    pub short_send: Chance,
    /// An operation is refused until the next turn: the queue is full.
    pub queue_full: Chance,
    /// An accept ends with an error, and goes on.
    pub accept_error: Chance,
    /// A file of the library is bad in some way.
    pub bad_file: Chance,
    /// A read of a good file fails, slows down for seconds, or gives a wrong byte, this once.
    pub bad_read: Chance,
    /// The page cache forgets what it is asked for.
    pub forgets: Chance,
    /// A paced send's pages are not all had when they are wanted.
    pub short_fill: Chance,
    /// The ring goes on with what a pipe has kept, whatever is to be sent. No server can be right
    /// on such a machine: it shows that the clients would notice.
    pub mixes_pipes: bool,
    /// An open fails although the file is there.
    pub bad_open: Chance,
    /// The machine stands still: monotonic time leaps, up to a minute.
    pub standstill: Chance,
    /// The wall clock is set, up to an hour either way.
    pub wall_set: Chance,
    /// A wake arrives that nobody asked for.
    pub stray_wake: Chance,
    /// Whole devices that are out of order for a while.
    pub outages: Vec<Outage>,
    /// A client misbehaves.
    pub rude_client: Chance,
    /// A full socket takes more only when a third of it is free, as real ones do.
    pub coarse_room: bool,
    /// The network copies what it was lent, and says so.
    pub copies_loans: Chance,
    /// A send that lends is refused.
    pub refuses_to_lend: Chance,
    /// Longest time from the last use of lent memory to the word that it is free.
    pub notice_max: Moment,
    /// The kernel says at once that it is done with lent memory, and is not. No server can be right
    /// on such a machine: it shows that the clients would notice.
    pub forgets_loans: bool,
    /// Which way clear sockets' bodies go.
    pub preference: Preference,
    /// Receive, chunk and send buffers.
    pub buffers: [u32; 3],
    /// There are fewer buffers than clients may need: the server may have to turn some away.
    pub scarce: bool,
    /// Sockets at once.
    pub sockets_max: usize,
}

impl Weather {
    /// Nothing goes wrong and nothing is slow.
    #[must_use]
    pub fn fair() -> Self {
        Self {
            latency_max: 100 * MICROSECOND,
            disk_latency_max: MILLISECOND,
            short_receive: 0,
            short_send: 0,
            queue_full: 0,
            accept_error: 0,
            bad_file: 0,
            bad_read: 0,
            forgets: 0,
            short_fill: 0,
            mixes_pipes: false,
            bad_open: 0,
            standstill: 0,
            wall_set: 0,
            stray_wake: 0,
            outages: Vec::new(),
            rude_client: 0,
            coarse_room: false,
            copies_loans: 0,
            refuses_to_lend: 0,
            notice_max: MILLISECOND,
            forgets_loans: false,
            preference: Preference::Owned,
            buffers: [64, 64, 64],
            scarce: false,
            sockets_max: 64,
        }
    }

    /// A mix: each kind of trouble is there in about a third of all runs.
    #[must_use]
    pub fn draw(random: &mut Rng) -> Self {
        let fair = Self::fair();
        let mut some = |chance: Chance| if random.u8(..3) == 0 { chance } else { 0 };
        let mut weather = Self {
            short_receive: some(4000),
            short_send: some(4000),
            queue_full: some(1500),
            accept_error: some(1000),
            bad_file: some(3500),
            bad_read: some(400),
            forgets: some(3000),
            short_fill: some(3000),
            bad_open: some(500),
            standstill: some(20),
            wall_set: some(50),
            stray_wake: some(300),
            rude_client: some(4000),
            copies_loans: some(4000),
            refuses_to_lend: some(500),
            ..fair
        };
        if random.bool() {
            weather.latency_max = random.u64(MICROSECOND..5 * MILLISECOND);
        }
        if random.bool() {
            weather.disk_latency_max = random.u64(MICROSECOND..200 * MILLISECOND);
        }
        if random.u8(..3) == 0 {
            weather.scarce = true;
            weather.buffers = [random.u32(8..20), random.u32(16..20), random.u32(2..12)];
        }
        if random.bool() {
            weather.notice_max = random.u64(MILLISECOND..3 * SECOND);
        }
        weather.preference = match random.u8(..8) {
            0..4 => Preference::PageCache,
            4 => Preference::Owned,
            5 => Preference::OwnedZeroCopy,
            _ => Preference::Auto,
        };
        if random.u8(..4) == 0 {
            weather.sockets_max = random.usize(1..6);
        }
        if random.u8(..4) == 0 {
            weather.outages = draw_outages(random);
        }
        weather
    }

    /// Whether polite clients may lose their connection to a deadline through no fault of theirs.
    #[must_use]
    pub fn breaks_deadlines(&self) -> bool {
        self.standstill > 0
    }
}

/// One device or two of the three, for a moment, a while or for ever.
fn draw_outages(random: &mut Rng) -> Vec<Outage> {
    let spared = random.usize(..VOLUMES.len());
    let count = random.usize(1..VOLUMES.len());
    let mut outage = |volume| {
        let from = random.u64(..12 * SECOND);
        let until = match random.u8(..3) {
            0 => from + random.u64(..SECOND),
            1 => from + random.u64(..30 * SECOND),
            _ => Moment::MAX,
        };
        let kind = if random.bool() { OutageKind::Hangs } else { OutageKind::Fails };
        Outage { volume, kind, from, until }
    };
    (1..=count).map(|number| outage((spared + number) % VOLUMES.len())).collect()
}

/// Draws once.
pub fn happens(random: &mut Rng, chance: Chance) -> bool {
    chance > 0 && random.u32(..CERTAIN) < chance
}

/// Mostly short, sometimes up to `max`: what latencies look like.
pub fn latency(random: &mut Rng, max: Moment) -> Moment {
    let max = if random.u8(..8) == 0 { max } else { max / 16 };
    random.u64(1..=max.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_draw_equal_weather_and_seeds_differ() {
        let draw = |seed| Weather::draw(&mut Rng::with_seed(seed));
        assert_eq!(draw(1), draw(1));
        assert!((2..20).any(|seed| draw(seed) != draw(1)));
    }

    #[test]
    fn every_kind_of_trouble_is_drawn_by_some_seed() {
        let drawn: Vec<Weather> =
            (0..100).map(|seed| Weather::draw(&mut Rng::with_seed(seed))).collect();
        let some = |has: fn(&Weather) -> bool| {
            assert!(drawn.iter().any(has));
            assert!(!drawn.iter().all(has));
        };
        some(|weather| weather.short_receive > 0);
        some(|weather| weather.short_send > 0);
        some(|weather| weather.queue_full > 0);
        some(|weather| weather.accept_error > 0);
        some(|weather| weather.bad_file > 0);
        some(|weather| weather.bad_read > 0);
        some(|weather| weather.bad_open > 0);
        some(|weather| weather.forgets > 0);
        some(|weather| weather.short_fill > 0);
        some(|weather| weather.standstill > 0);
        some(|weather| weather.wall_set > 0);
        some(|weather| weather.stray_wake > 0);
        some(|weather| weather.rude_client > 0);
        some(|weather| weather.sockets_max < 6);
        some(|weather| weather.outages.len() == 1);
        some(|weather| weather.outages.len() == 2);
        some(|weather| weather.outages.iter().any(|outage| outage.until == Moment::MAX));
        some(|weather| weather.preference == Preference::PageCache);
        some(|weather| weather.preference == Preference::Owned);
        some(|weather| weather.preference == Preference::OwnedZeroCopy);
        some(|weather| weather.preference == Preference::Auto);
        some(|weather| weather.copies_loans > 0);
        some(|weather| weather.refuses_to_lend > 0);
        some(|weather| weather.notice_max > SECOND);
    }
}
