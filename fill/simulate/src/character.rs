//! What a trace is like, in figures that studies of real services publish: how skewed it is, how
//! young what is watched is, how fast its list of most watched titles changes. Judges nothing.

use crate::trace::Trace;

/// Titles on the list of most watched ones.
const LIST: usize = 100;
/// A title is young for so many days.
const YOUNG_DAYS: i32 = 28;

/// Figures of the last four weeks of a trace, all sites together; shares are of plays, 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Character {
    /// Of the most watched hundredth of titles, and of the most watched tenth.
    pub first_hundredth: f64,
    /// See `first_hundredth`.
    pub first_tenth: f64,
    /// Of titles that appeared at most four weeks before.
    pub young: f64,
    /// Share of a day's hundred most watched titles that were not the day before.
    pub changed_a_day: f64,
    /// The same against a week before.
    pub changed_a_week: f64,
}

impl Character {
    /// Counts plays.
    #[must_use]
    pub fn of(trace: &Trace) -> Self {
        let days = trace.days();
        let first = days.saturating_sub(YOUNG_DAYS as usize);
        let titles = trace.titles.len();
        let mut daily = vec![vec![0_u32; titles]; days];
        let (mut all, mut young) = (0_u64, 0_u64);
        for play in &trace.plays {
            let day = play.at as usize / 86_400;
            let title = trace.objects[play.object as usize].title as usize;
            daily[day][title] += 1;
            if day >= first {
                all += 1;
                let age = day as i32 - trace.titles[title].published_day;
                young += u64::from(age <= YOUNG_DAYS);
            }
        }
        let mut sums = vec![0_u64; titles];
        for day in &daily[first..] {
            sums.iter_mut().zip(day).for_each(|(sum, plays)| *sum += u64::from(*plays));
        }
        sums.sort_unstable_by(|a, b| b.cmp(a));
        let share = |count: u64| count as f64 / all.max(1) as f64;
        let of_first = |part: usize| share(sums[..titles.div_ceil(part)].iter().sum());
        let lists: Vec<Vec<usize>> = daily[first..].iter().map(|day| most_watched(day)).collect();
        Self {
            first_hundredth: of_first(100),
            first_tenth: of_first(10),
            young: share(young),
            changed_a_day: changed(&lists, 1),
            changed_a_week: changed(&lists, 7),
        }
    }
}

fn most_watched(plays: &[u32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..plays.len()).filter(|title| plays[*title] > 0).collect();
    order.sort_by_key(|title| (std::cmp::Reverse(plays[*title]), *title));
    order.truncate(LIST);
    order
}

/// Mean share of a list that was not on the one `apart` days before.
fn changed(lists: &[Vec<usize>], apart: usize) -> f64 {
    let pairs = lists.iter().zip(lists.iter().skip(apart));
    let new = |(before, now): (&Vec<usize>, &Vec<usize>)| {
        let new = now.iter().filter(|title| !before.contains(title)).count();
        new as f64 / now.len().max(1) as f64
    };
    let shares: Vec<f64> = pairs.map(new).collect();
    shares.iter().sum::<f64>() / shares.len().max(1) as f64
}
